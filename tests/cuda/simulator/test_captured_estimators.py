"""Estimators on a simulated device: the numbers of scikit-learn, and host arrays in what is left behind."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from simulated_device import SimulatedDevice

from accelnn.training import fit, full_gradient
from accelnn.training.runners import captured
from tests.estimators.oracle import KINDS, check_same, fitted_pair, rows, targets

N = 24
SHORT: dict[str, Any] = {"hidden_layer_sizes": (4,), "activation": "tanh", "batch_size": 10, "max_iter": 2}

CASES = [(kind, solver) for kind in KINDS for solver in ("sgd", "adam", "lbfgs")]
CASES.remove(("multi-output", "lbfgs"))  # scikit-learn's function and gradient do not belong together


class WholeEpochs:
    """A pace at which an epoch is one chunk, however slow the simulator is."""

    steps = 1000

    def record(self, n_steps: int, seconds: float) -> None: ...


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> SimulatedDevice:
    """Let all trainings run on a simulated device, which is returned."""
    device = SimulatedDevice()

    def choose(requested: str, network: Any, *arguments: Any, objective: Any, **rest: Any) -> Any:
        options = {"device": device, "precision": network.dtype, "objective": objective}
        return captured.CapturedRunner(network, *arguments, **options)

    monkeypatch.setattr(fit, "choose_runner", choose)
    monkeypatch.setattr(full_gradient, "choose_runner", choose)
    monkeypatch.setattr(fit, "Pace", WholeEpochs)
    return device


@pytest.mark.parametrize(("kind", "solver"), CASES)
def test_the_numbers_are_those_of_scikit_learn(kind: str, solver: str, device: SimulatedDevice) -> None:
    ours, theirs = fitted_pair(kind, rows(N), targets(kind, N), solver=solver, alpha=0.0, **SHORT)
    check_same(ours, theirs)
    assert device.log


def test_penalties_and_held_out_rows() -> None:
    options = {**SHORT, "alpha": 0.3, "early_stopping": True, "validation_fraction": 0.25}
    check_same(*fitted_pair("multiclass", rows(N), targets("multiclass", N), **options))


def test_weights_of_rows() -> None:
    weights, options = np.random.default_rng(0).uniform(0.5, 2.0, N), {**SHORT, "solver": "lbfgs", "alpha": 0.3}
    check_same(*fitted_pair("multiclass", rows(N), targets("multiclass", N), weights, **options))


def test_sparse_rows() -> None:
    x = csr_array(rows(N) * (rows(N) > 0.3))
    check_same(*fitted_pair("multiclass", x, targets("multiclass", N), **SHORT))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_what_is_pickled_lies_on_the_host_and_goes_on(solver: str) -> None:
    estimators = fitted_pair("regression", rows(N), targets("regression", N), solver=solver, **SHORT)
    moved = pickle.loads(pickle.dumps(estimators[0]))
    for estimator in (moved, estimators[1]):
        estimator.partial_fit(rows(N), targets("regression", N))
    check_same(moved, estimators[1])
