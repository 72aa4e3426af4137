"""Data on the device of the model stay there: the whole of training and prediction with a strict stand-in for CuPy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from accelnn import SGD, Adam, BatchNorm, Dense, Dropout, Layer, Sequential
from accelnn.arrays import Backend, get_backend
from accelnn.errors import ArgumentError, ArgumentTypeError, DeviceMemoryError, DivergenceError, ShapeError
from accelnn.training import inputs
from accelnn.training.runners import choice
from tests.arrays.opaque_cupy import Device, InterfaceOnly, OpaqueArray, OpaqueCupy, Tensor
from tests.training.parity import check_same_weights

N, N_IN, N_OUT = 23, 4, 3
X = np.random.default_rng(0).normal(size=(N, N_IN))
LABELS = np.random.default_rng(1).integers(0, N_OUT, N)
WEIGHTS = np.arange(N) % 3.0


class Halved(Layer):
    """A layer without a captured form: the plain runner has to execute it."""

    def build(self, n_in: int) -> int:
        return n_in

    def forward(self, x: Any, context: Any) -> Any:
        return 0.5 * x

    def backward(self, dy: Any) -> Any:
        return 0.5 * dy


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The backend of device 1, while device 0 is the current one."""
    module = OpaqueCupy()
    monkeypatch.setitem(sys.modules, "cupy", module)
    return Backend("cuda", "cuda:1", module)


def model(backend: Backend | None = None, output: str = "softmax", units: int = N_OUT) -> Sequential:
    layers = [Halved(), BatchNorm(), Dense(6, "tanh", l2=0.01), Dropout(0.2), Dense(units, output)]
    return Sequential(layers, dtype="float64", seed=0, backend=backend or get_backend("cpu"))


def fitted(net: Sequential, x: Any, y: Any, **options: Any) -> Sequential:
    defaults = {"epochs": 2, "batch_size": 8, "optimizer": Adam(0.01), "verbose": 0, "metrics": "accuracy"}
    history = net.fit(x, y, **defaults | options)
    assert history.runner == "plain"
    return net


def on_device(values: np.ndarray, index: int = 1) -> OpaqueArray:
    with Device(index):
        return OpaqueArray(values.copy())


def as_tensor(values: np.ndarray) -> Tensor:
    return Tensor(values.copy())


def as_interface(values: np.ndarray) -> InterfaceOnly:
    return InterfaceOnly(values.copy())


@pytest.mark.parametrize("place", [on_device, as_tensor, as_interface], ids=["cupy", "dlpack", "interface"])
@pytest.mark.parametrize(
    ("output", "y", "options"),
    [
        ("softmax", LABELS, {"validation_split": 0.3, "class_weight": "balanced"}),
        ("softmax", LABELS.astype(np.float32), {}),
        ("softmax", np.eye(N_OUT)[LABELS], {"class_weight": {0: 2.0}}),
        ("identity", X[:, :N_OUT].astype(np.float32), {"metrics": "r2"}),
    ],
    ids=["labels", "float labels", "one-hot", "targets"],
)
def test_training_gives_the_numbers_of_host_arrays(
    cuda: Backend, place: Any, output: str, y: np.ndarray, options: dict[str, Any]
) -> None:
    expected = fitted(model(output=output), X, y, sample_weight=WEIGHTS, **options)
    own = fitted(model(cuda, output), place(X), place(y), sample_weight=place(WEIGHTS), **options)
    check_same_weights(expected, own, 1e-12)
    for column in set(expected.history) - {"seconds", "samples_per_s"}:
        np.testing.assert_allclose(own.history[column], expected.history[column], rtol=1e-12)
    result = own.evaluate(place(X), place(y), metrics="mse" if output == "identity" else "accuracy")
    assert result == pytest.approx(expected.evaluate(X, y, metrics="mse" if output == "identity" else "accuracy"))


def test_host_arrays_are_fine_for_a_model_on_a_device(cuda: Backend) -> None:
    expected = fitted(model(cuda), on_device(X), on_device(LABELS))
    for x, y in ((X, LABELS), (X.tolist(), on_device(LABELS)), (on_device(X), LABELS.tolist())):
        check_same_weights(expected, fitted(model(cuda), x, y), 1e-15)


def test_rows_that_do_not_fit_stay_on_the_host(cuda: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a batch of them is on the device at a time."""
    monkeypatch.setattr(choice, "DEVICE_PREDICTION_ROWS", 8)
    expected = fitted(model(cuda), X, LABELS, validation_split=0.2)
    cuda.xp.capacity_bytes = 600
    own = fitted(model(cuda), X, LABELS, validation_split=0.2)
    check_same_weights(expected, own, 1e-15)
    assert own.history["val_loss"] == expected.history["val_loss"]
    np.testing.assert_array_equal(own.predict_proba(X), expected.predict_proba(on_device(X)))


def test_memory_that_runs_out_is_an_error_of_ours(cuda: Backend) -> None:
    cuda.xp.capacity_bytes = 600
    with pytest.raises(DeviceMemoryError, match=r"^Out of memory .* so far: 0 bytes\) on CUDA device 1: use smaller"):
        model(cuda, units=100).build(N_IN)
    with pytest.raises(MemoryError, match=r"^of the host$"), cuda.active():
        raise MemoryError("of the host")


@pytest.mark.parametrize("name", ["cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY"])
def test_the_runtime_and_the_driver_run_out_of_memory_too(cuda: Backend, name: str) -> None:
    class_of_cupy = type("CUDAError", (RuntimeError,), {"__module__": "cupy_backends.cuda.api"})
    with pytest.raises(DeviceMemoryError, match=rf"^{name}: out of memory on CUDA device 1: use"), cuda.active():
        raise class_of_cupy(f"{name}: out of memory")
    with pytest.raises(RuntimeError, match=r"^CUDA_ERROR_NO_DEVICE$"), cuda.active():
        raise class_of_cupy("CUDA_ERROR_NO_DEVICE")


def test_where_they_diverge_is_found_all_the_same(cuda: Backend) -> None:
    cuda.xp.capacity_bytes = 600
    with pytest.raises(DivergenceError, match="the first result that is not finite is"):
        fitted(model(cuda), X, LABELS, optimizer=SGD(1e300), epochs=5)


def test_partial_fit_and_validation_data(cuda: Backend) -> None:
    host, device = model(), model(cuda)
    for _ in range(2):
        pairs = ((host, X, LABELS), (device, on_device(X), on_device(LABELS)))
        losses = [net.partial_fit(x, y, batch_size=8) for net, x, y in pairs]
        assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    fitted(host, X, LABELS, validation_data=(X, LABELS))
    fitted(device, X, LABELS, validation_data=(on_device(X), on_device(LABELS)))
    assert device.history["val_loss"] == pytest.approx(host.history["val_loss"])


@pytest.mark.parametrize(
    ("output", "units", "dtype"), [("softmax", 3, "int64"), ("sigmoid", 1, "int64"), ("identity", 2, "float64")]
)
def test_predictions_stay_on_the_device_when_asked(cuda: Backend, output: str, units: int, dtype: str) -> None:
    host, device = model(output=output, units=units), model(cuda, output, units)
    for net in (host, device):
        net.build(N_IN)
    expected = host.predict(X)
    for x in (on_device(X), X):
        found = device.predict(x, to_host=False)
        assert type(found) is OpaqueArray
        assert (found.device.id, found.dtype, found.shape) == (1, dtype, expected.shape)
        np.testing.assert_allclose(found.get(), expected, rtol=1e-12)
        fetched = device.predict(x)
        assert (type(fetched), fetched.dtype) == (np.ndarray, dtype)
        np.testing.assert_allclose(fetched, expected, rtol=1e-12)


def test_probabilities_stay_on_the_device_when_asked(cuda: Backend) -> None:
    net = model(cuda)
    net.build(N_IN)
    kept = net.predict_proba(on_device(X), to_host=False)
    assert type(kept) is OpaqueArray
    np.testing.assert_array_equal(kept.get(), net.predict_proba(X))


def test_predictions_of_a_cpu_are_numpy_arrays() -> None:
    for net in (model(), Sequential([Dense(3, "softmax")], seed=0, backend="cpu")):  # plain and compiled
        net.build(N_IN)
        assert type(net.predict(X, to_host=False)) is np.ndarray
        np.testing.assert_array_equal(net.predict(X, to_host=False), net.predict(X))
        with pytest.raises(ArgumentTypeError, match="to_host is 'no'"):
            net.predict(X, to_host="no")


def test_inputs_of_the_device_are_not_copied(cuda: Backend) -> None:
    net = model(cuda)
    for dtype in inputs.COMPACT_DTYPES:
        x = on_device(X.astype(dtype))
        assert inputs.checked_x(x, net).data.ptr == x.data.ptr
    data = inputs.checked_data(x, on_device(LABELS), net, "cross_entropy", on_device(WEIGHTS))
    assert (type(data.x), type(data.y), type(data.weights)) == (OpaqueArray, OpaqueArray, np.ndarray)
    converted = inputs.checked_x(on_device(X.astype(np.float16)), net)
    assert (type(converted), converted.dtype) == (OpaqueArray, np.float64)


def spoiled(value: float) -> OpaqueArray:
    x = X.copy()
    x[7, 1] = value
    return on_device(x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda: (spoiled(np.nan), LABELS), ArgumentError, r"x\[7, 1\] is nan"),
        (lambda: (spoiled(-np.inf), LABELS), ArgumentError, r"x\[7, 1\] is -inf"),
        (lambda: (on_device(X[:, 0]), LABELS), ShapeError, r"x has shape \(23,\)"),
        (lambda: (on_device(X[:0]), LABELS), ShapeError, r"x has shape \(0, 4\)"),
        (lambda: (on_device(X * 1j), LABELS), ArgumentTypeError, "x is .*complex128"),
        (lambda: (X, on_device(LABELS + 1)), ArgumentError, r"y is 3: labels lie in 0\.\.2"),
        (lambda: (X, on_device(LABELS + 0.5)), ArgumentError, "labels are whole numbers"),
        (lambda: (X, on_device(np.where(LABELS == 2, np.nan, 0.0))), ArgumentError, r"y\[\d+\] is nan"),
        (lambda: (X, on_device(2.0 * np.eye(3)[LABELS])), ArgumentError, r"y is 2\.0: targets of cross_entropy"),
        (lambda: (X, on_device(LABELS[:5])), ShapeError, "y has 5 rows"),
        (lambda: (X, LABELS, on_device(-WEIGHTS)), ArgumentError, "sample_weight is"),
        (lambda: (on_device(X, 0), LABELS), ArgumentTypeError, "^x, of .* lies on cuda:0 and the model on cuda:1"),
        (lambda: (on_device(X), on_device(LABELS, 0)), ArgumentTypeError, "^y, of .* lies on cuda:0 and the model on"),
        (lambda: (X, LABELS, on_device(WEIGHTS, 2)), ArgumentTypeError, "^sample_weight, of .* lies on cuda:2 and"),
    ],
)
def test_checks_on_the_device(cuda: Backend, arguments: Any, error: type[Exception], message: str) -> None:
    x, y, *weights = arguments()
    with pytest.raises(error, match=message):
        model(cuda).fit(x, y, sample_weight=weights[0] if weights else None, verbose=0)


def test_arrays_of_a_device_are_refused_by_a_model_on_the_cpu() -> None:
    for x, y in ((on_device(X), LABELS), (X, on_device(LABELS)), (Tensor(X), LABELS), (InterfaceOnly(X), LABELS)):
        with pytest.raises(ArgumentTypeError, match=r"lies on cuda:1 and the model on cpu: .* backend='cuda:1'"):
            model().fit(x, y, verbose=0)
