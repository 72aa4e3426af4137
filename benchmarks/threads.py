"""What sharing out a step over threads brings: one thread, rows of the batch, bands of the inputs, in turn."""

from __future__ import annotations

import time
from statistics import median
from unittest import mock

import numpy as np

from accelnn import SGD
from accelnn.arrays.environment import usable_threads
from accelnn.training.data import TrainingData
from accelnn.training.runners import compiled
from accelnn.training.runners.compiled import CompiledRunner
from benchmarks.programs import aligned, finish, new_parser, usual_model, usual_rows

BATCH_SIZES = (4, 10, 32, 128, 512, 2048, 8192)
ROWS_OF_A_ROUND = 30_000
OPTIMIZER = SGD(0.01)
ONE, BY_ROWS, BY_BANDS = "one thread", "by rows", "by bands"

Times = dict[str, list[float]]


def main() -> None:
    options = new_parser("threads", __doc__, rounds=15).parse_args()
    x, y = usual_rows(options)
    data = TrainingData(x, y.astype(np.int64))
    results = {batch_size: step_times(data, batch_size, options.rounds) for batch_size in BATCH_SIZES}
    finish("threads", options, threads_lines(results), {str(size): times for size, times in results.items()})


def step_times(data: TrainingData, batch_size: int, rounds: int) -> Times:
    """Return the microseconds of a step in each variant, round by round; the first round does not count."""
    runners = {ONE: new_runner(data, batch_size, 1, False)}
    runners[BY_ROWS] = new_runner(data, batch_size, usable_threads(), False)
    runners[BY_BANDS] = new_runner(data, batch_size, usable_threads(), True)
    n_steps = min(len(data), max(ROWS_OF_A_ROUND, 4 * batch_size)) // batch_size
    hyper = OPTIMIZER.hyper(np.arange(n_steps), np.full(n_steps, 0.01))
    times: Times = {name: [] for name in runners}
    for round_number in range(rounds + 1):
        order = np.random.default_rng(round_number).permutation(len(data))
        for name, runner in runners.items():
            runner.begin_epoch(order)
            start_s = time.perf_counter()
            runner.train(0, n_steps, hyper, np.zeros((n_steps, 0, 2), np.uint32))
            if round_number > 0:
                times[name].append((time.perf_counter() - start_s) / n_steps * 1e6)
    return times


def new_runner(data: TrainingData, batch_size: int, threads: int, banded: bool) -> CompiledRunner:
    """Return a runner with so many threads, whatever accelnn would choose."""
    choice = {"team_size": lambda *_: threads, "bands_pay": lambda *_: banded}
    with mock.patch.multiple(compiled, **choice):
        return CompiledRunner(usual_model(), data, "cross_entropy", OPTIMIZER, (), batch_size)


def threads_lines(results: dict[int, Times]) -> list[str]:
    """Return what to print: the median time of a step, and how many times as fast as one thread the others are."""
    rows = []
    for batch_size, times in results.items():
        ratios = {name: [one / own for one, own in zip(times[ONE], times[name], strict=True)] for name in times}
        speeds = [f"{median(r):.2f} ({min(r):.2f}..{max(r):.2f})" for r in (ratios[BY_ROWS], ratios[BY_BANDS])]
        gains = [rows_ / bands for rows_, bands in zip(times[BY_ROWS], times[BY_BANDS], strict=True)]
        gain = f"{median(gains):.2f} ({min(gains):.2f}..{max(gains):.2f})"
        rows.append((f"batch {batch_size}", *(f"{median(t):,.1f}" for t in times.values()), *speeds, gain))
    heads = ("us per step, 784-128-64-10", ONE, BY_ROWS, BY_BANDS, "rows / one", "bands / one", "bands / rows")
    return aligned(heads, rows)


if __name__ == "__main__":
    main()
