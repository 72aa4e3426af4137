"""A profile times the training that it watches, counts its calls, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from accelnn_kernels import profile

from accelnn import SGD, Activation, Adam, BatchNorm, Dropout, LayerNorm, Sequential
from accelnn.arrays import reference
from accelnn.errors import AccelnnError
from accelnn.network import Layer
from accelnn.training.data import TrainingData
from accelnn.training.fit import OptimizerState
from accelnn.training.measurement.profiling import Profile, probing, profile_steps, time_steps
from accelnn.training.optimizers import Optimizer
from accelnn.training.runners.compiled import CompiledRunner
from tests.training.parity import dense, inputs, labels

BATCH_SIZE, N_STEPS = 16, 3


def mlp() -> list[Layer]:
    return [dense(7, "relu"), dense(6, "silu"), dense(3, "softmax")]


def every_layer() -> list[Layer]:
    return [BatchNorm(), dense(7, "relu"), Dropout(0.2), LayerNorm(), Activation("tanh"), dense(3, "softmax")]


class Case:
    """A model and its runner; ``run`` trains on three mini-batches."""

    def __init__(self, layers: list[Layer], optimizer: Optimizer) -> None:
        self.model = Sequential(layers, n_in=5, seed=0, dtype="float64")
        self.optimizer = optimizer
        data = TrainingData(inputs(), labels())
        moments = OptimizerState.fresh(optimizer, self.model).moments
        self.runner = CompiledRunner(self.model, data, "cross_entropy", optimizer, moments, BATCH_SIZE)
        self.runner.begin_epoch(np.random.default_rng(0).permutation(53))
        hyper = optimizer.hyper(np.arange(N_STEPS), np.full(N_STEPS, 0.01))
        keys = reference.dropout_keys(self.model.dropout_seed, np.arange(N_STEPS), self.model.n_dropout)
        self.arguments = (0, N_STEPS, hyper, keys)

    def run(self, how: Callable[..., Profile]) -> Profile:
        return how(self.runner, *self.arguments)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("layers", [mlp, every_layer])
@pytest.mark.parametrize("optimizer", [SGD(0.01), Adam(0.01, clip_norm=0.1)], ids=["sgd", "adam"])
def test_a_profiled_step_trains_bitwise_the_same_weights(layers, optimizer, threads, use_threads) -> None:
    use_threads(threads)
    plain, timed, profiled = (Case(layers(), optimizer) for _ in range(3))
    plain.runner.train(*plain.arguments)
    timed.run(time_steps)
    profiled.run(profile_steps)
    for other in (timed, profiled):
        for a, b in zip(plain.model.get_weights(), other.model.get_weights(), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("direct", [True, False])
def test_every_call_is_counted(threads, direct, use_threads) -> None:
    use_threads(threads)
    done = Case(mlp(), SGD(0.01) if direct else Adam(0.01)).run(profile_steps)
    own = sum(index % threads == 0 for index in (1, 3, 5))  # the biases that the first thread updates
    banded = int(threads > 1)  # products of bands of the inputs, to meet and add
    per_step = {
        "gather_rows": 1, "gather_targets": 1, "matmul": 3, "forward": 3, "loss": 1, "matmul_transposed": 2,
        "backward": 3, "add_parts": own + banded, "weight_gradient": 3, "update": own if direct else 6,
        "yield_address": 2 + banded,
    }  # fmt: skip
    assert done.calls == {name: count * N_STEPS for name, count in per_step.items()}


@pytest.mark.parametrize("threads", [1, 2])
def test_times_are_parts_of_the_whole(threads, use_threads) -> None:
    use_threads(threads)
    done = Case(every_layer(), Adam()).run(profile_steps)
    assert done.n_steps == N_STEPS
    assert set(done.times_s) == set(done.calls)
    assert all(time_s >= 0.0 for time_s in done.times_s.values())
    assert 0.0 < sum(done.times_s.values()) <= done.total_s <= done.elapsed_s


def test_plain_steps_have_only_a_whole(use_threads) -> None:
    use_threads(1)
    done = Case(mlp(), SGD(0.01)).run(time_steps)
    assert done == Profile(N_STEPS, done.elapsed_s, done.elapsed_s)
    assert done.elapsed_s > 0.0


def test_the_runner_is_as_before(use_threads) -> None:
    use_threads(2)
    case = Case(mlp(), SGD(0.01))
    machine, kernels = case.runner.machine, case.runner.machine.frame["matmul"].tolist()
    layers = case.runner.machine.program.layers.copy()
    case.run(profile_steps)
    assert case.runner.machine is machine
    assert machine.frame["matmul"].tolist() == kernels
    assert (machine.program.layers == layers).all()


def test_what_a_timed_call_costs() -> None:
    cost = probing()
    assert 0.0 < cost.booked <= cost.whole
    assert 0.0 < cost.s_per_tick * cost.whole < 1e-5


def test_a_processor_without_a_clock(monkeypatch, use_threads) -> None:
    use_threads(1)
    monkeypatch.setattr(profile, "has_clock", lambda: False)
    with pytest.raises(AccelnnError, match="a profile needs a processor of the kind x86-64 or AArch64"):
        Case(mlp(), SGD(0.01)).run(profile_steps)
