"""Times of whole training steps on random images: ``python -m pytest benchmarks/test_steps.py --benchmark-only``.

A round of a benchmark is ``work.n_steps`` steps, gathering included; ``samples_per_s`` in the extra information is the
rate of the median round.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.contenders.accelnn_fit import prepare
from benchmarks.work import Work, load_rows

ROUNDS = 5


@pytest.mark.parametrize("batch_size", [10, 32, 128, 512, 2048])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps(benchmark: Any, optimizer: str, batch_size: int) -> None:
    work = Work(batch_size, optimizer, data="synthetic", n_steps=0 if benchmark.enabled else 3)
    run = prepare(work, *load_rows(work.data), "cpu")
    benchmark.group = f"steps with {optimizer}"
    benchmark.pedantic(run, (work.order(0),), rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["steps"] = work.n_steps
    if benchmark.stats is not None:  # nothing is measured with --benchmark-disable
        benchmark.extra_info["samples_per_s"] = work.n_rows / benchmark.stats.stats.median
