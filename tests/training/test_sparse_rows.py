"""Sparse rows train and predict as the same rows do when they are dense."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from accelnn import Adam, Dense, Dropout, Sequential
from accelnn.arrays.sparse_rows import SparseRows
from accelnn.training.callbacks import CallbackList
from accelnn.training.data import TrainingData
from accelnn.training.fit import OptimizerState, Settings, Training
from accelnn.training.runners import row_blocks
from accelnn.training.runners.choice import choose_predictor

N_ROWS, N_IN, BATCH_SIZE = 45, 30, 6


def matrix(dtype: str) -> csr_array:
    return random_array((N_ROWS, N_IN), density=0.1, format="csr", rng=np.random.default_rng(0)).astype(dtype)


def trained(
    x: np.ndarray | SparseRows, runner: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Sequential, list[float]]:
    monkeypatch.setattr("accelnn.training.pace.Pace.steps", property(lambda pace: chunk), raising=False)
    rng = np.random.default_rng(1)
    data = TrainingData(x, rng.integers(0, 3, N_ROWS), rng.uniform(0.5, 1.5, N_ROWS))
    layers = [Dense(7, "tanh"), Dropout(0.3), Dense(3, "softmax")]
    model = Sequential(layers, n_in=N_IN, dtype="float64", backend="cpu", seed=0)
    order = np.random.default_rng(2).permutation
    settings = Settings("cross_entropy", 3, BATCH_SIZE, order, runner, np.arange(N_ROWS))
    history = Training(model, data, settings, OptimizerState.fresh(Adam(0.01), model), CallbackList()).run()
    return model, history["loss"]


@pytest.mark.parametrize("block_batches", [1, 3, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_blocks_of_sparse_rows(monkeypatch: pytest.MonkeyPatch, block_batches: int, dtype: str, chunk: int) -> None:
    sparse = matrix(dtype)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", block_batches * BATCH_SIZE * N_IN * sparse.dtype.itemsize)
    expected, losses = trained(sparse.toarray(), "auto", 1000, monkeypatch)
    model, sparse_losses = trained(SparseRows(sparse), "auto", chunk, monkeypatch)
    np.testing.assert_array_equal(model.arena.values, expected.arena.values)
    assert sparse_losses == losses
    outputs = choose_predictor(model, SparseRows(sparse)).predict(SparseRows(sparse))
    np.testing.assert_array_equal(outputs, model.predict_proba(sparse.toarray()))
    np.testing.assert_array_equal(
        choose_predictor(model, SparseRows(sparse)).predict_on_backend(SparseRows(sparse)), outputs
    )


def test_the_plain_runner_takes_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = trained(matrix("float64").toarray(), "plain", 1000, monkeypatch)
    model, _ = trained(SparseRows(matrix("float64")), "plain", 1000, monkeypatch)
    np.testing.assert_allclose(model.arena.values, expected.arena.values, rtol=1e-12)


def test_some_rows_stay_sparse() -> None:
    data = TrainingData(SparseRows(matrix("float32")), np.arange(N_ROWS)).rows(np.array([4, 2]))
    assert isinstance(data.x, SparseRows)
    np.testing.assert_array_equal(data.x[:], matrix("float32").toarray()[[4, 2]])
