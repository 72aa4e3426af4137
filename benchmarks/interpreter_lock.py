"""How fast does other Python code run while a model trains? A counting thread beside ``fit``, and alone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np

from accelnn import Callback, Sequential
from benchmarks.programs import aligned, finish, new_parser, usual_model, usual_rows
from benchmarks.work import QUICK

COUNT_S, SETTLE_S = (0.01, 0.0) if QUICK else (1.0, 0.2)
LIMIT = "ACCELNN_NUM_THREADS"


def main() -> None:
    options = new_parser("interpreter_lock", __doc__, rounds=5).parse_args()
    x, y = usual_rows(options)
    everything = os.environ.get(LIMIT, "")
    cases = {"1 thread": "1", "all threads": everything}
    results = {name: measure_beside(x, y, limit, options.rounds) for name, limit in cases.items()}
    finish("interpreter_lock", options, lock_lines(results), results)


def measure_beside(x: np.ndarray, y: np.ndarray, limit: str, rounds: int) -> dict[str, Any]:
    """Return the counts per second alone and beside a training on so many threads, in turn, and their ratios."""
    with threads_limited_to(limit):
        usual_model().fit(x, y, epochs=1, verbose=0)  # compiles
        alone, beside = [], []
        for _ in range(rounds):
            alone.append(counts_per_s())
            with training(x, y):
                beside.append(counts_per_s())
    ratios = [one / other for one, other in zip(beside, alone, strict=True)]
    return {"alone_per_s": alone, "beside_per_s": beside, "kept": ratios, "kept_median": median(ratios)}


class StopWhenSet(Callback):
    """Stop at the end of the epoch in which ``event`` is set."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def on_epoch_end(self, model: Sequential, epoch: int, record: dict[str, float]) -> bool:
        return self.event.is_set()


def counts_per_s(duration_s: float = COUNT_S) -> float:
    """Return how often a loop in pure Python goes round per second."""
    time.sleep(SETTLE_S)
    count = 0
    start_s = time.perf_counter()
    end_s = start_s + duration_s
    while (now_s := time.perf_counter()) < end_s:
        for _ in range(1000):
            count += 1
    return count / (now_s - start_s)


@contextmanager
def training(x: np.ndarray, y: np.ndarray) -> Iterator[None]:
    """Train in another thread as long as the context lasts."""
    stop = StopWhenSet()
    options = {"epochs": 100_000, "batch_size": 128, "callbacks": stop, "verbose": 0}
    thread = threading.Thread(target=usual_model().fit, args=(x, y), kwargs=options)
    thread.start()
    try:
        yield
    finally:
        stop.event.set()
        thread.join()


@contextmanager
def threads_limited_to(limit: str) -> Iterator[None]:
    """Set the variable that limits accelnn's threads; the empty text means no limit."""
    before = os.environ.get(LIMIT)
    os.environ[LIMIT] = limit
    try:
        yield
    finally:
        os.environ.pop(LIMIT)
        if before is not None:
            os.environ[LIMIT] = before


def lock_lines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return what to print: how much of its speed the loop kept."""
    rows = []
    for name, result in results.items():
        kept = result["kept"]
        rows.append((name, f"{result['kept_median']:.1%}", f"{min(kept):.1%}", f"{max(kept):.1%}"))
    usable = f"{os.cpu_count()} cores here; training on all of them shares one with the loop, whatever the lock does"
    return [*aligned(("speed that a Python loop keeps beside fit on", "median", "min", "max"), rows), usable]


if __name__ == "__main__":
    main()
