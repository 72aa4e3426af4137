"""The process of one section: runs ``measure(task)`` of its module and keeps a file with what was reported so far."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from benchmarks.gpu_check import compatibility  # noqa: F401  before any section imports numba-cuda
from benchmarks.process import one_line


class Skipped(Exception):  # noqa: N818 - a reason, not a mistake
    """A section finds that it cannot run here; the message says why, in one line."""


class Task:
    """What a section is given, and where it reports to.

    options: "device" ("cuda" or "cpu"), "data" ("mnist" or "synthetic"), "peers" (leave accelnn out), "quick" (few
    repetitions, small sizes) and "limit_s", the seconds that the section has.
    """

    def __init__(self, path: pathlib.Path, options: dict[str, Any]) -> None:
        self.options = options
        self._path, self._start_s = path, time.perf_counter()
        self._answer: dict[str, Any] = {"results": {}}

    @property
    def device(self) -> str:
        """Return "cuda" or "cpu"."""
        return str(self.options.get("device", "cuda"))

    @property
    def quick(self) -> bool:
        """Return whether only the logic is tried out."""
        return bool(self.options.get("quick", False))

    @property
    def left_s(self) -> float:
        """Return the seconds until the section is stopped."""
        return float(self.options.get("limit_s", 60.0)) - (time.perf_counter() - self._start_s)

    def report(self, name: str, value: Any) -> None:
        """Keep a result, JSON-able; it survives whatever comes after it."""
        self._answer["results"][name] = value
        self._write()

    def wrong(self, what: str) -> None:
        """Note that something is not as it has to be; the section goes on and counts as failed."""
        self.finish("wrong", [*self._answer.get("wrong", []), what])

    def attempt(self, name: str, measure: Callable[[], Any]) -> None:
        """Report what ``measure`` returns, or note that it raised; for parts that do not depend on each other."""
        try:
            self.report(name, measure())
        except Skipped as reason:
            self.report(name, {"skipped": str(reason)})
        except Exception as error:  # whatever a library raises is the result
            traceback.print_exc()
            self.report(name, {"failed": one_line(error), "traceback": traceback.format_exc()[-3000:]})
            self.wrong(f"{name}: {one_line(error)}")

    def finish(self, key: str, value: Any) -> None:
        """Write how the section ended."""
        self._answer[key] = value
        self._write()

    def _write(self) -> None:
        temporary = self._path.with_suffix(".part")
        temporary.write_text(json.dumps(self._answer, default=_plain))
        os.replace(temporary, self._path)


def _plain(value: Any) -> Any:
    """Return a NumPy or CuPy number or array, or a path, as JSON has it."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def main(name: str, path: str, options: str) -> int:
    """Run a section; return the exit code of the process."""
    task = Task(pathlib.Path(path), json.loads(options))
    try:
        importlib.import_module(f"benchmarks.gpu_check.{name}").measure(task)
    except Skipped as reason:
        task.finish("skipped", str(reason))
    except Exception as error:  # the section's entry says what it was
        traceback.print_exc()
        task.finish("failed", one_line(error))
        return 1
    task.finish("done", True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
