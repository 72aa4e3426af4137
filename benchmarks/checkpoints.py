"""What checkpoints cost: whole training runs that are kept against runs that are not, in turn."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
import time
from statistics import median
from typing import Any

import numpy as np

from accelnn import Checkpoint
from benchmarks.options import network
from benchmarks.programs import cost_lines, finish, new_parser, usual_rows

NONE = "none"
CASES: dict[str, dict[str, Any] | None] = {
    NONE: None,
    "every epoch": {},
    "every 10 seconds, best=False": {"every": "10 seconds", "best": False},
}
"""The arguments of ``Checkpoint`` by name; None is no checkpoint."""


def main() -> None:
    parser = new_parser("checkpoints", __doc__, rounds=7)
    parser.add_argument("--epochs", type=int, default=30, help="of a run, default 30")
    parser.add_argument("--batch-size", type=int, default=32, help="default 32, as that of fit")
    parser.add_argument("--threads", type=int, help="of the training; default: as many as it takes by itself")
    parser.add_argument("--folder", type=pathlib.Path, help="where to write them; default: the system's temporary")
    options = parser.parse_args()
    settings = {"epochs": options.epochs, "batch_size": options.batch_size, "threads": options.threads}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        seconds = measured_s(*usual_rows(options), settings, options.rounds, pathlib.Path(folder) / "run")
    results = summary(seconds)
    finish("checkpoints", options, lines(results, f"{options.epochs} epochs, batch {options.batch_size}"), results)


def measured_s(
    x: np.ndarray, y: np.ndarray, settings: dict[str, Any], rounds: int, folder: pathlib.Path
) -> dict[str, list[float]]:
    """Return the seconds of a whole run by its checkpoints, round by round; the first round does not count.

    A run that is kept begins with hashing its data and ends when the last checkpoint is on the disk. ``settings`` are
    those of ``fit``; its optimizer is Adam, whose two moments make two thirds of a checkpoint.
    """
    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    for round_number in range(rounds + 1):
        for case, arguments in CASES.items():
            model, checkpoint = network(), None if arguments is None else Checkpoint(folder, **arguments)
            start_s = time.perf_counter()
            model.fit(x, y, verbose=0, checkpoint=checkpoint, **settings)
            if round_number > 0:
                seconds[case].append(time.perf_counter() - start_s)
            shutil.rmtree(folder, ignore_errors=True)
    return seconds


def summary(seconds: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Return the times, and those relative to the run without checkpoints of the same round."""
    summaries = {}
    for case, own in seconds.items():
        times = [one / plain for one, plain in zip(own, seconds[NONE], strict=True)]
        summaries[case] = {"seconds": own, "times": times, "times_median": median(times)}
    return summaries


def lines(results: dict[str, dict[str, Any]], head: str) -> list[str]:
    """Return what to print: time of a run relative to one without checkpoints, and their cost in per cent."""
    rows = [(case, f"{median(one['seconds']):.3f}", one["times"]) for case, one in results.items()]
    return cost_lines((head, "s", "times"), rows)


if __name__ == "__main__":
    main()
