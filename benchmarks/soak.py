"""Thousands of epochs, models made and dropped, fits and predictions: does memory grow, is anything left open?"""

from __future__ import annotations

import argparse
import gc
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from accelnn import Callback, Checkpoint, Dense, Sequential
from benchmarks.programs import aligned
from benchmarks.status import status_bytes

N_SAMPLES = 20
EPOCH_BYTES = 1 << 10
"""What the record of an epoch in the history may take."""

GROWTH_BYTES = 2 << 20
"""Resident memory may grow by so much over the second half of a soak: the allocator and the interpreter breathe."""


@dataclass(frozen=True)
class Soak:
    """What a soak left: resident bytes at even distances, and how many more files and threads there are than before."""

    resident_bytes: list[int]
    files: int
    threads: int
    allowed_bytes: int = GROWTH_BYTES

    @property
    def growth_bytes(self) -> float:
        """The growth over the second half by the Theil-Sen slope, which a few outliers do not move."""
        half = np.asarray(self.resident_bytes[len(self.resident_bytes) // 2 :], float)
        pairs = [(j - i, half[j] - half[i]) for i in range(len(half)) for j in range(i + 1, len(half))]
        return float(np.median([rise / run for run, rise in pairs])) * (len(half) - 1)

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew."""
        return self.growth_bytes < self.allowed_bytes and self.files <= 0 and self.threads <= 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--epochs", type=int, default=10_000, help="default 10000")
    parser.add_argument("--models", type=int, default=100, help="default 100")
    options = parser.parse_args()
    soaks = {
        f"{options.epochs} epochs of one fit": epochs(options.epochs),
        f"{options.epochs} epochs, a checkpoint every 10": epochs(options.epochs, "10 epochs"),
        f"{options.models} models made and dropped": repeated(new_model, options.models),
        f"{options.models} times fit and predict": repeated(one_model(), options.models),
    }
    rows = [
        (name, f"{s.growth_bytes / 2**20:.2f}", s.files, s.threads, "flat" if s.is_flat else "GROWS")
        for name, s in soaks.items()
    ]
    print("\n".join(aligned(("", "MiB grown", "files", "threads", ""), rows)))
    if not all(soak.is_flat for soak in soaks.values()):
        raise SystemExit(1)


def rows_and_labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(64, 16)).astype(np.float32), rng.integers(0, 3, 64)


def small_model() -> Sequential:
    return Sequential([Dense(32, "relu"), Dense(3, "softmax")], seed=0, backend="cpu")


def epochs(n: int, every: str | None = None) -> Soak:
    """Return what one run of ``n`` epochs leaves, with checkpoints if ``every`` says when; its history may grow."""
    x, y = rows_and_labels()
    probe = _Probe(max(1, n // N_SAMPLES))
    with tempfile.TemporaryDirectory() as folder:

        def run(n_epochs: int, **options: Any) -> None:
            runs = pathlib.Path(folder) / str(n_epochs)
            checkpoint = None if every is None else Checkpoint(runs, every, best=False)
            small_model().fit(x, y, epochs=n_epochs, verbose=0, checkpoint=checkpoint, **options)

        run(2)  # loads or compiles the code
        soak = watched(lambda: run(n, callbacks=probe), probe.samples)
    return replace(soak, allowed_bytes=GROWTH_BYTES + n // 2 * EPOCH_BYTES)


def repeated(work: Callable[[], object], n: int) -> Soak:
    """Return what ``n`` calls leave, after a few before the first look."""
    samples: list[int] = []
    for _ in range(5):
        work()

    def loop() -> None:
        for i in range(n):
            work()
            if i % max(1, n // N_SAMPLES) == 0:
                gc.collect()
                samples.append(status_bytes("VmRSS"))

    return watched(loop, samples)


def watched(work: Callable[[], object], samples: list[int]) -> Soak:
    """Run ``work``, which fills ``samples``, and count what it leaves open."""
    gc.collect()
    files, threads = open_files(), threading.active_count()
    work()
    gc.collect()
    return Soak(samples, open_files() - files, threading.active_count() - threads)


def new_model() -> None:
    """Make a model, train it, predict with it and drop it."""
    x, y = rows_and_labels()
    model = small_model()
    model.fit(x, y, epochs=2, verbose=0)
    model.predict(x)


def one_model() -> Callable[[], object]:
    """Return a function that trains the same model again and predicts with it."""
    (x, y), model = rows_and_labels(), small_model()

    def work() -> None:
        model.fit(x, y, epochs=2, verbose=0)
        model.predict(x)

    return work


class _Probe(Callback):
    def __init__(self, every: int) -> None:
        self.every, self.samples = every, list[int]()

    def on_epoch_end(self, model: object, epoch: int, record: object) -> None:
        if epoch % self.every == 0:
            self.samples.append(status_bytes("VmRSS"))


def open_files() -> int:
    """Return how many file descriptors are open."""
    return len(os.listdir("/proc/self/fd"))


if __name__ == "__main__":
    main()
