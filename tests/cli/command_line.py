"""Run ``accelnn`` in this process (quick, and counted by coverage) or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from typer.testing import CliRunner, Result

from accelnn.cli import app

QUICK = ("--dataset", "digits", "--runner", "plain", "--hidden", "16", "--epochs", "2", "--seed", "0")


def run(*arguments: object) -> Result:
    """Run in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def run_json(*arguments: object) -> dict[str, Any]:
    """Run with ``--json`` and return the one object that was printed."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def error_of(*arguments: object, exit_code: int = 2) -> str:
    """Return the one line on standard error of a command that fails."""
    result = run(*arguments)
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("accelnn: ")
    return result.stderr


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start ``python -m accelnn`` as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-m", "accelnn", *(str(argument) for argument in arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )
