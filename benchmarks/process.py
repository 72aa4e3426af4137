"""A worker in a process of its own: lines of text go in, lines of JSON come out, and its death is an answer too."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

ROOT = pathlib.Path(__file__).resolve().parents[1]
ANSWER_TIMEOUT_S = 600.0
"""A worker that does not answer for so long is given up."""


Answer: TypeAlias = Callable[[Mapping[str, Any]], None]
"""A worker's function that writes one answer."""


class WorkerFailed(Exception):  # noqa: N818 - what happened, in the words of the message
    """A worker cannot go on; the message is the reason, in one line."""


class WorkerProcess:
    """``python -m module *arguments``, with standard error kept in a file for the reason of a failure.

    A thread reads the answers, so that waiting for one can end: at the timeout, or when the process is gone.
    """

    def __init__(self, module: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, question: object, timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """Send a line and return the answer to it; raise WorkerFailed if there is none."""
        self.send(question)
        return self.receive(timeout_s)

    def send(self, question: object) -> None:
        """Send a line. If the process is gone, its last answer or the lack of one tells why."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(f"{question}\n")
            self._process.stdin.flush()

    def receive(self, timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """Return the next answer; raise WorkerFailed with the reason if there is none or if it is a reason itself."""
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise WorkerFailed(f"no answer within {timeout_s:.0f} s") from None
        if not line:
            raise WorkerFailed(self._reason())
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise WorkerFailed(answer["failed"])
        return answer

    def stop(self) -> None:
        """End the process: politely if it is idle, in any case within seconds."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()  # an idle worker reads to the end and leaves
            self._process.wait(timeout=5.0)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=1.0)
        assert self._process.stdout is not None
        if not self._reader.is_alive():  # a process that the worker started may still hold the other end
            self._process.stdout.close()
        self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _reason(self) -> str:
        """Return how the process ended and the last line of what it wrote to standard error."""
        try:
            code: object = self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            code = "unknown"
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return f"its process ended (exit code {code}): {lines[-1] if lines else 'no message'}"


def serve_answers() -> Answer:
    """Return a function that writes an answer, a dictionary, as a line of JSON; for use in the worker.

    From now on ``sys.stdout`` is standard error: what libraries print must not mix with the answers.
    """
    answers, sys.stdout = sys.stdout, sys.stderr

    def answer(values: Mapping[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    return answer


def one_line(error: BaseException) -> str:
    """Return the type and the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
