"""Data that lie on the device already, and predictions that stay there, on a simulated device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from simulated_device import SimulatedDevice

from accelnn import Adam, BatchNorm, Dense, Sequential
from accelnn.arrays.sparse_rows import SparseRows
from accelnn.training import fit
from accelnn.training.callbacks import CallbackList
from accelnn.training.data import TrainingData
from accelnn.training.runners import captured
from accelnn.training.runners.captured import CapturedPredictor
from accelnn.training.runners.row_blocks import BlockPredictor

N_ROWS, N_IN, N_OUT, BATCH_SIZE = 22, 5, 3, 8
ROOMY = np.random.default_rng(0).normal(size=(2 * N_ROWS, N_IN + 2)) * 40 + 128
LABELS = np.random.default_rng(1).integers(0, N_OUT, N_ROWS)


class HoldingDevice(SimulatedDevice):
    """A device on which all arrays lie: here too it is host memory."""

    def holds(self, array: object) -> bool:
        return isinstance(array, np.ndarray)


def layers() -> list[Any]:
    return [BatchNorm(), Dense(4, "tanh"), Dense(N_OUT, "softmax")]


def trained(monkeypatch: pytest.MonkeyPatch, device: SimulatedDevice, x: np.ndarray, **options: Any) -> Sequential:
    def choose(requested: str, network: Any, *arguments: Any, **options: Any) -> Any:
        return captured.CapturedRunner(network, *arguments, device=device, precision=network.dtype)

    monkeypatch.setattr(fit, "choose_runner", choose)
    model = Sequential(layers(), dtype="float64", seed=0, backend="cpu")
    model.fit(x, LABELS, epochs=1, batch_size=BATCH_SIZE, optimizer=Adam(0.01), verbose=0, **options)
    return model


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("rows", [slice(0, N_ROWS), slice(0, None, 2), slice(None, None, -2)])
def test_rows_are_read_where_they_lie(monkeypatch: pytest.MonkeyPatch, dtype: str, rows: slice) -> None:
    x = ROOMY.astype(dtype)[rows, 1:-1]
    devices = SimulatedDevice(), HoldingDevice()
    models = [trained(monkeypatch, device, x) for device in devices]
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)
    assert devices[0].log.count("upload") == devices[1].log.count("upload") + 2  # x and y


@pytest.mark.parametrize("device", [SimulatedDevice, HoldingDevice])
@pytest.mark.parametrize("batch_size", [4, N_ROWS])
def test_predictions(device: Any, batch_size: int) -> None:
    model = Sequential(layers(), dtype="float64", seed=0, backend="cpu", n_in=N_IN)
    x = ROOMY[::2, 1:-1]
    expected = model.predict_proba(x)
    for scores in (False, True):
        predictor = CapturedPredictor(model, "float64", batch_size, scores=scores, device=device())
        kept = predictor.predict_on_backend(x)
        np.testing.assert_array_equal(kept, predictor.predict(x))
        output = np.exp(kept) / np.exp(kept).sum(axis=1, keepdims=True) if scores else kept
        np.testing.assert_allclose(output, expected, rtol=1e-12)


def test_sparse_rows_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = csr_array(np.where(ROOMY[::2, 1:-1] > 150, ROOMY[::2, 1:-1], 0.0))
    expected = trained(monkeypatch, SimulatedDevice(), matrix.toarray())
    device, model = SimulatedDevice(), Sequential(layers(), n_in=N_IN, dtype="float64", seed=0, backend="cpu")

    def choose(requested: str, network: Any, *arguments: Any, **options: Any) -> Any:
        return captured.CapturedRunner(network, *arguments, device=device, precision="float64")

    monkeypatch.setattr(fit, "choose_runner", choose)
    data, state = TrainingData(SparseRows(matrix), LABELS), fit.OptimizerState.fresh(Adam(0.01), model)
    order = model.shuffle_rng.permutation
    settings = fit.Settings("cross_entropy", 1, BATCH_SIZE, order, "auto", np.arange(N_ROWS))
    fit.Training(model, data, settings, state, CallbackList()).run()
    assert "send" in device.log
    np.testing.assert_array_equal(model.arena.values, expected.arena.values)
    inner = CapturedPredictor(model, "float64", BATCH_SIZE, scores=False, device=device)
    outputs = BlockPredictor(model, inner).predict(SparseRows(matrix))
    np.testing.assert_array_equal(outputs, inner.predict(matrix.toarray()))
