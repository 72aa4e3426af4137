"""The measurement of a step: what it is made of must fit together; how fast it is, no test says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelnn import SGD, Adam, Dense, Sequential
from accelnn.training.data import TrainingData
from accelnn.training.measurement import machine_rates
from accelnn.training.measurement.machine_rates import USUAL_CACHE_BYTES, Race, RateMeter, cache_bytes
from accelnn.training.measurement.roofline import PHASES
from accelnn.training.measurement.step_benchmark import LEAST_ROUNDS, StepBenchmark, benchmark_step
from accelnn.training.optimizers import Optimizer


@pytest.fixture(autouse=True)
def quick_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rates of the machine be measured on little."""
    monkeypatch.setattr(machine_rates, "NUMPY_WIDTH", 64)
    monkeypatch.setattr(machine_rates, "OWN_WIDTHS", (48,))
    monkeypatch.setattr(machine_rates, "MEMORY_COPY_BYTES", 1 << 20)
    monkeypatch.setattr(machine_rates, "RUN_S", 1e-4)


def benchmark(optimizer: Optimizer, units: tuple[int, ...] = (16, 8), **options: int) -> StepBenchmark:
    rng = np.random.default_rng(0)
    data = TrainingData(rng.integers(0, 256, (200, 12), np.uint8), rng.integers(0, 3, 200))
    layers = [*(Dense(n, "tanh") for n in units), Dense(3, "softmax")]
    model = Sequential(layers, n_in=12, seed=0)
    return benchmark_step(model, data, "cross_entropy", optimizer, 32, 0.01, **options)


@pytest.mark.parametrize("optimizer", [SGD(0.01), Adam()], ids=["sgd", "adam"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_parts_fit_together(optimizer, threads, use_threads) -> None:
    use_threads(threads)
    result = benchmark(optimizer)
    names = [phase.phase for phase in result.phases]
    expected = [phase for phase in PHASES if phase not in ("dropout", "normalization")]
    if threads == 1:
        expected.remove("waiting")
    elif "update" not in names:  # of three biases, the first of two threads updates none
        expected.remove("update")
    assert names == [*expected, "other"]
    assert result.rates.threads == threads
    assert result.rounds >= LEAST_ROUNDS
    assert 0.0 < result.fastest_step_s <= result.step_s
    assert result.samples_per_s == pytest.approx(32 / result.step_s)
    assert sum(phase.share for phase in result.phases) == pytest.approx(1.0)
    assert sum(phase.time_s for phase in result.phases) == pytest.approx(result.profiled_step_s)


def test_limits_come_from_work_and_rates(use_threads) -> None:
    use_threads(1)
    result = benchmark(Adam())
    products = 2 * 32 * (2 * (12 * 16 + 16 * 8 + 8 * 3) + 16 * 8 + 8 * 3)
    assert result.gemm_limit_s == pytest.approx(products / result.rates.gemm_flops_per_s)
    for phase in result.phases[:-1]:
        assert phase.work is not None
        assert phase.limit is not None
        assert phase.limit.time_s >= phase.work.flops / result.rates.gemm_flops_per_s
        assert phase.fraction is None or phase.fraction == pytest.approx(phase.limit.time_s / phase.time_s)
    rest = result.phases[-1]
    assert (rest.phase, rest.work, rest.limit, rest.fraction) == ("other", None, None, None)


def test_a_limit_of_threads(use_threads) -> None:
    use_threads(2)
    assert benchmark(Adam(), threads=1).rates.threads == 1


def test_a_single_layer_has_no_backward_product(use_threads) -> None:
    use_threads(1)
    assert "backward_gemm" not in [phase.phase for phase in benchmark(Adam(), units=()).phases]


@pytest.mark.parametrize("threads", [1, 2])
def test_rates(threads: int) -> None:
    meter = RateMeter("float64", threads)
    meter.measure()
    meter.measure_large_product()
    before = meter.rates()
    meter.measure()
    rates = meter.rates()
    assert rates.threads == threads
    assert rates.gemm_flops_per_s == max(rates.own_flops_per_s, rates.numpy_flops_per_s)
    for name in ("own_flops_per_s", "numpy_flops_per_s", "memory_copy_bytes_per_s", "cache_copy_bytes_per_s"):
        assert 0.0 < getattr(before, name) <= getattr(rates, name)


def test_a_race_runs_all_jobs_and_keeps_the_best() -> None:
    calls: list[int] = []
    race = Race([lambda: calls.append(0), lambda: calls.append(1)], amount=2.0)
    race.run()
    assert sorted(calls) == [0, 1]
    first = race.best_per_s
    race.run()
    assert calls.count(0) == calls.count(1) >= 2
    assert race.best_per_s >= first > 0.0


def test_the_size_of_the_last_cache(tmp_path: Path) -> None:
    assert cache_bytes(tmp_path) == USUAL_CACHE_BYTES
    for index, size in enumerate(("48K\n", "1024K\n", "32768K\n")):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        (folder / "size").write_text(size)
    assert cache_bytes(tmp_path) == 32 << 20
