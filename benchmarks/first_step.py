"""From a fresh process to the first trained step: with compiled code in the cache, and on a machine without any."""

from __future__ import annotations

import tempfile
from statistics import median
from typing import Any

from benchmarks.process import WorkerProcess
from benchmarks.programs import aligned, finish, new_parser
from benchmarks.work import QUICK

MEASURES = ("import_s", "compiler_import_s", "first_step_s", "second_fit_s", "import_peak_mib", "peak_mib")
"""What a process tells about itself, see ``first_step_worker.py``."""


def main() -> None:
    options = new_parser("first_step", __doc__, rounds=5).parse_args()
    empty = {} if QUICK else {"empty cache": measure_empty(max(1, options.rounds // 2))}
    results = empty | {"warm cache": measure_warm(options.rounds)}
    finish("first_step", options, first_step_lines(results), results)


def measure_warm(rounds: int) -> list[dict[str, float]]:
    """Return what fresh processes tell that find the code of another process in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        if QUICK:  # the code of earlier programs
            return [ask_process(None) for _ in range(rounds)]
        ask_process(folder)
        return [ask_process(folder) for _ in range(rounds)]


def measure_empty(rounds: int) -> list[dict[str, float]]:
    """Return what fresh processes tell that have to compile everything."""
    answers = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            answers.append(ask_process(folder))
    return answers


def ask_process(cache_folder: str | None) -> dict[str, float]:
    """Let a process train its first step with this folder as its cache, None for the usual one."""
    cache = {} if cache_folder is None else {"ACCELNN_CACHE_DIR": cache_folder}
    process = WorkerProcess("benchmarks.first_step_worker", [], cache)
    try:
        return process.receive()
    finally:
        process.stop()


def first_step_lines(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return what to print: medians with the largest value."""
    rows = []
    for measure in MEASURES:
        values = [[answer[measure] for answer in answers] for answers in results.values()]
        rows.append((measure, *(f"{median(column):.2f} ({max(column):.2f})" for column in values)))
    heads = ("median (largest)", *results)
    return [*aligned(heads, rows), "first_step_s is what comes beyond the imports: model, compiling or loading, step"]


if __name__ == "__main__":
    main()
