"""The command line: ``accelnn train``, ``evaluate``, ``predict`` and others; ``accelnn --help`` lists them."""

from accelnn.cli.app import app, main

__all__ = ["app", "main"]
