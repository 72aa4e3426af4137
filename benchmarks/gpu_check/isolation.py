"""One section in a process of its own: whatever happens to it is an entry in the results."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.process import ROOT

LOG_CHARACTERS = 6000
"""So much of the end of what a failed section printed is kept."""

MOST_REASONS = 4


def run_isolated(name: str, options: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
    """Run a section and return its entry, JSON-able.

    Keys: "status" ("ok", "failed", "timed out" or "skipped"), "elapsed_s", "results" (what it had reported until
    then), "reason" (in one line, unless ok), "wrong" (all that is not as it has to be) and "log" (the end of what it
    printed, unless ok or skipped).
    """
    start_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        answers, log = pathlib.Path(folder, "answers.json"), pathlib.Path(folder, "log")
        code = _run(name, {**options, "limit_s": limit_s}, answers, log, limit_s)
        answer = _answer(answers)
        printed = log.read_text(errors="replace")[-LOG_CHARACTERS:]
    status, reason = _verdict(code, answer, limit_s)
    entry = {"status": status, "elapsed_s": time.perf_counter() - start_s, "results": answer.get("results", {})}
    if status != "ok":
        entry["reason"] = reason
    if answer.get("wrong"):
        entry["wrong"] = answer["wrong"]
    if status in ("failed", "timed out"):
        entry["log"] = printed
    return entry


def environment() -> dict[str, str]:
    """Return the variables of a child: it finds accelnn and its kernels in the checkout."""
    path = [str(ROOT / "kernels"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in path if part), "PYTHONUNBUFFERED": "1"}


def _run(name: str, options: Mapping[str, Any], answers: pathlib.Path, log: pathlib.Path, limit_s: float) -> int | None:
    """Run the child; return its exit code, None if it had to be stopped."""
    command = [sys.executable, "-m", "benchmarks.gpu_check.child", name, str(answers), json.dumps(options)]
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=file, stderr=file, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child and all that it started, also where it is gone and they are not."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # one that hangs in the driver cannot be ended
        process.wait(5.0)


def _answer(path: pathlib.Path) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return answer


def _verdict(code: int | None, answer: Mapping[str, Any], limit_s: float) -> tuple[str, str]:
    """Return the status and the reason for it."""
    if "skipped" in answer:
        return "skipped", answer["skipped"]
    if "failed" in answer:
        return "failed", answer["failed"]
    if code is None:
        return "timed out", f"not done after {limit_s:.0f} s"
    if not answer.get("done"):
        return "failed", f"its process ended (exit code {code})"
    wrong = answer.get("wrong", [])
    return ("failed", _in_short(wrong)) if wrong else ("ok", "")


def _in_short(wrong: list[str]) -> str:
    more = f"; and {len(wrong) - MOST_REASONS} more" if len(wrong) > MOST_REASONS else ""
    return "; ".join(wrong[:MOST_REASONS]) + more
