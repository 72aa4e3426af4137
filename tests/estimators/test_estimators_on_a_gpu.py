"""Estimators on a CUDA device: the numbers of the CPU, and host arrays in what is left behind."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from accelnn.arrays import cuda_probe
from tests.estimators.oracle import KINDS, check_same, pair, quietly, rows, targets

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", autouse=True)
def device() -> None:
    problem = cuda_probe.find_problem()
    if problem is not None:
        pytest.skip(f"{problem.cause}; {problem.remedy}")


def trained(backend: str, kind: str, x: Any = None, weights: Any = None, **parameters: Any) -> Any:
    """Return accelnn's small estimator after ``fit`` on that backend."""
    estimator = pair(kind, activation="tanh", **parameters)[0].set_params(backend=backend)
    return quietly(estimator.fit, rows() if x is None else x, targets(kind), weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_the_numbers_of_the_cpu(kind: str, solver: str) -> None:
    on_cpu, on_gpu = (trained(backend, kind, solver=solver, max_iter=5) for backend in ("cpu", "cuda"))
    check_same(on_gpu, on_cpu, rtol=1e-6, atol=1e-8)
    for method in ("predict", "predict_proba"):
        if hasattr(on_gpu, method):
            outputs = getattr(on_gpu, method)(rows())
            assert type(outputs) is np.ndarray


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weights_of_rows_and_sparse_rows(early_stopping: bool) -> None:
    options = {"max_iter": 5, "early_stopping": early_stopping, "validation_fraction": 0.2}
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 53)
    x = csr_array(rows() * (rows() > 0.3))
    check_same(*(trained(backend, "multiclass", x, weights, **options) for backend in ("cuda", "cpu")), atol=1e-8)


def test_dropout_is_that_of_the_cpu() -> None:
    estimators = [pair("multiclass")[0].set_params(backend=backend, dropout=0.3) for backend in ("cpu", "cuda")]
    for estimator in estimators:
        quietly(estimator.fit, rows(), targets("multiclass"))
    check_same(*estimators, atol=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_what_is_pickled_goes_on_on_a_cpu(solver: str) -> None:
    on_cpu, on_gpu = (trained(backend, "regression", solver=solver, max_iter=3) for backend in ("cpu", "cuda"))
    moved = pickle.loads(pickle.dumps(on_gpu)).set_params(backend="cpu")
    for estimator in (moved, on_cpu):
        estimator.partial_fit(rows(), targets("regression"))
    check_same(moved, on_cpu, atol=1e-8)
