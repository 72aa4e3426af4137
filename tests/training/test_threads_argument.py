"""``threads=`` limits the threads of a training, its evaluations too, and the history says how many there were."""

from __future__ import annotations

import os

import numpy as np
import pytest

from accelnn import History, Sequential
from accelnn.arrays import environment
from accelnn.errors import ArgumentError, ArgumentTypeError
from accelnn.training.runners import compiled
from tests.training.parity import dense, inputs, small_net, targets, weights_after_training


def train(**options) -> History:
    model = Sequential(small_net(), seed=0, backend="cpu")
    return model.fit(inputs(), targets(), **{"epochs": 1, "batch_size": 16, "verbose": 0} | options)


@pytest.mark.parametrize(("limit", "threads"), [(None, 3), (1, 1), (2, 2), (3, 3), (8, 3)])
def test_a_limit_never_adds_threads(limit, threads, use_threads):
    use_threads(3)
    assert train(threads=limit).threads == threads


def test_small_work_has_one_thread_whatever_the_limit():
    assert train(threads=64).threads == 1


def test_the_plain_runner_has_one_thread(use_threads):
    use_threads(3)
    assert train(runner="plain").threads == 1


def test_evaluations_keep_to_the_limit(use_threads, monkeypatch):
    use_threads(3)
    sizes, machine = [], compiled.Machine.__init__

    def spy(self, program, *arguments):
        sizes.append(program.memory.threads)
        machine(self, program, *arguments)

    monkeypatch.setattr(compiled.Machine, "__init__", spy)
    train(threads=2, validation_split=0.2, metrics="mse")
    assert sizes == [2, 2, 2]


def test_partial_fit_takes_it_too(use_threads):
    use_threads(3)
    weights = []
    for options in ({"threads": 1}, {"threads": None}, {"threads": 3}):
        model = Sequential(small_net(), seed=0, dtype="float64", backend="cpu")
        for _ in range(3):
            model.partial_fit(inputs(), targets(), **options)
        weights.append(model.arena.values.copy())
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-12)
    np.testing.assert_array_equal(weights[1], weights[2])


def test_the_same_limit_gives_the_same_bits(use_threads):
    use_threads(2)
    expected = weights_after_training(1)
    use_threads(64)
    model_weights = weights_after_training(1, limit=2)
    assert all(np.array_equal(a, b) for a, b in zip(expected, model_weights, strict=True))


@pytest.mark.parametrize("limit", [1, 2])
def test_the_environment_limits_every_team(limit, monkeypatch):
    """Work for many threads, on a machine that seems to have eight processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(environment, "_container_quota", lambda: 8)
    monkeypatch.setenv("ACCELNN_NUM_THREADS", str(limit))
    model = Sequential([dense(64, "tanh"), dense(3)], seed=0, backend="cpu")
    history = model.fit(inputs(n=2048, n_in=300), targets(n=2048), batch_size=1024, epochs=1, verbose=0)
    assert history.threads == limit


@pytest.mark.parametrize(
    ("threads", "error"),
    [
        (0, ArgumentError), (-1, ArgumentError), (1.5, ArgumentTypeError), (True, ArgumentTypeError),
        ("2", ArgumentTypeError), ([2], ArgumentTypeError),
    ],
)  # fmt: skip
def test_wrong_limits(threads, error):
    model = Sequential(small_net(), seed=0)
    for call in (model.fit, model.partial_fit):
        with pytest.raises(error, match=r"threads is .*: use an integer >= 1"):
            call(inputs(), targets(), threads=threads)
