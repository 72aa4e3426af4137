"""Measure trials, cold and warm, in turn; the clock is that of the program that watches."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeAlias

from benchmarks.accuracy import MAX_EPOCHS, TARGETS
from benchmarks.contenders import CONTENDERS
from benchmarks.interleave import SETTLE_S
from benchmarks.process import WorkerFailed, WorkerProcess
from benchmarks.report import Spread, spread

Curve: TypeAlias = list[tuple[float, float]]
"""Seconds since the start and test accuracy, after every epoch."""


@dataclass
class Runner:
    """A contender with its curves: ``cold``, each of a process of its own, and ``warm``, all of one process."""

    name: str
    code_folder: Path
    cold: list[Curve] = field(default_factory=list)
    warm: list[Curve] = field(default_factory=list)
    why_skipped: str | None = None
    process: WorkerProcess | None = None

    def run_cold(self, seed: int) -> Curve:
        """Train in a new process; importing, loading and compiling from a cache on disk count."""
        start_s = time.perf_counter()
        process = self._start()
        try:
            return follow(process, seed, MAX_EPOCHS, start_s)
        finally:
            process.stop()

    def run_warm(self, seed: int) -> Curve:
        """Train in the process that has trained before; the first time an epoch goes ahead that does not count."""
        if self.process is None:
            self.process = self._start()
            follow(self.process, seed, 1, 0.0)
        return follow(self.process, seed, MAX_EPOCHS, time.perf_counter())

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def _start(self) -> WorkerProcess:
        environment = CONTENDERS[self.name].environment | compiled_code_in(self.code_folder)
        return WorkerProcess("benchmarks.accuracy.worker", [self.name], environment)


def compiled_code_in(folder: Path) -> dict[str, str]:
    """Return the variables that let JAX keep compiled code in ``folder``; accelnn has its own place."""
    return {
        "JAX_COMPILATION_CACHE_DIR": os.fspath(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def follow(process: WorkerProcess, seed: int, epochs: int, start_s: float) -> Curve:
    """Let a worker train and return its curve; the times count from ``start_s`` on."""
    process.send(f"{seed} {epochs}")
    curve = []
    while "accuracy" in (answer := process.receive()):
        curve.append((time.perf_counter() - start_s, float(answer["accuracy"])))
    return curve


def run_trials(names: Iterable[str], rounds: int, code_folder: Path) -> list[Runner]:
    """Run all contenders in turn, cold and warm; a round of cold starts that does not count fills the caches."""
    runners = [Runner(name, code_folder, why_skipped=CONTENDERS[name].why_missing) for name in names]
    try:
        for round_number in range(-1, rounds):
            for runner in runners:
                take_turn(runner, "cold", round_number)
            for runner in runners if round_number >= 0 else []:
                take_turn(runner, "warm", round_number)
    finally:
        for runner in runners:
            runner.stop()
    return runners


def take_turn(runner: Runner, kind: str, round_number: int) -> None:
    """Run one trial and keep its curve; a contender that fails is skipped from now on."""
    if runner.why_skipped is not None:
        return
    time.sleep(SETTLE_S)
    try:
        curve = (runner.run_cold if kind == "cold" else runner.run_warm)(max(0, round_number))
    except WorkerFailed as reason:
        runner.why_skipped = str(reason)
        return
    if round_number >= 0:
        getattr(runner, kind).append(curve)


def seconds_to(curve: Curve, target: float) -> float | None:
    """Return when the accuracy first reached the target, None if it did not."""
    return next((elapsed_s for elapsed_s, accuracy in curve if accuracy >= target), None)


def reached(curves: Iterable[Curve], target: float) -> Spread | None:
    """Return median, minimum and maximum of the times to a target, None if not every curve reached it."""
    times = [seconds_to(curve, target) for curve in curves]
    present = [time_s for time_s in times if time_s is not None]
    return spread(present) if present and len(present) == len(times) else None


def trial_summary(runner: Runner) -> dict[str, object]:
    """Return, JSON-able, the times of a contender by kind and target, its epochs, and the curves themselves."""
    kinds = {"cold": runner.cold, "warm": runner.warm}
    return {
        **{kind: {f"{target:.1%}": reached(curves, target) for target in TARGETS} for kind, curves in kinds.items()},
        "epochs": median(len(curve) for curve in runner.warm),
        "epoch_s": median(curve[-1][0] / len(curve) for curve in runner.warm),
        "curves": kinds,
    }
