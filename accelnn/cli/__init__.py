"""The command line: ``accelnn train``, ``evaluate``, ``predict`` and ``info``."""

from accelnn.cli.app import app, main

__all__ = ["app", "main"]
