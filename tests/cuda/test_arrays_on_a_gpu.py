"""Arrays that lie on a GPU: shared with CuPy, PyTorch and JAX, checked there, and never moved in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelnn import Dense, Layer, Sequential, get_backend
from accelnn.arrays import cuda_probe
from accelnn.arrays.foreign import as_array, device_of
from accelnn.errors import ArgumentError, ArgumentTypeError
from accelnn.training import inputs

pytestmark = pytest.mark.gpu

N, N_IN, N_OUT = 203, 8, 4
X = np.random.default_rng(0).normal(size=(N, N_IN)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, N_OUT, N).astype(np.int32)


@pytest.fixture(scope="module", autouse=True)
def cupy() -> Any:
    problem = cuda_probe.find_problem()
    if problem is not None:
        pytest.skip(f"{problem.cause}; {problem.remedy}")
    return cuda_probe.cupy_module()


class Halved(Layer):
    """A layer that only the plain runner can execute."""

    def build(self, n_in: int) -> int:
        return n_in

    def forward(self, x: Any, context: Any) -> Any:
        return 0.5 * x

    def backward(self, dy: Any) -> Any:
        return 0.5 * dy


class SpeaksDlpack:
    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.array.__dlpack_device__()
        return device


class HasInterface:
    def __init__(self, array: Any) -> None:
        self.array, self.__cuda_array_interface__ = array, array.__cuda_array_interface__


@pytest.fixture(params=["cupy", "dlpack", "interface", "torch", "jax"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, cupy: Any) -> Any:
    """Return a function that makes an array of a library on device 0 from host values."""
    if request.param == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        if not torch.cuda.is_available():
            pytest.skip("this PyTorch has no CUDA")
        return lambda values: torch.from_numpy(values.copy()).cuda()
    if request.param == "jax":
        monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # it would take most of the memory
        jax = pytest.importorskip("jax", reason="JAX is not installed")
        if jax.default_backend() != "gpu":
            pytest.skip("this JAX has no CUDA")
        return jax.device_put
    wall = {"cupy": lambda array: array, "dlpack": SpeaksDlpack, "interface": HasInterface}[request.param]
    return lambda values: wall(cupy.asarray(values))


def trained(x: Any, y: Any, layers: tuple[Layer, ...] = (), **options: Any) -> Sequential:
    model = Sequential([*layers, Dense(16, "relu"), Dense(N_OUT, "softmax")], seed=0, backend="cuda")
    model.fit(x, y, **{"epochs": 2, "batch_size": 32, "verbose": 0} | options)
    return model


@pytest.mark.parametrize("layers", [(), (Halved,)], ids=["captured", "plain"])
def test_training_and_prediction(place: Any, layers: Any, cupy: Any) -> None:
    options = {"validation_split": 0.2, "metrics": "accuracy", "class_weight": "balanced"}
    expected = trained(X, LABELS, tuple(layer() for layer in layers), **options)
    model = trained(place(X), place(LABELS), tuple(layer() for layer in layers), **options)
    assert model.history.runner == ("plain" if layers else "captured")
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert model.evaluate(place(X), place(LABELS)) == pytest.approx(model.evaluate(X, LABELS))
    kept = model.predict_proba(place(X), to_host=False)
    assert isinstance(kept, cupy.ndarray)
    np.testing.assert_allclose(kept.get(), model.predict_proba(X), rtol=1e-5, atol=1e-6)
    labels = model.predict(place(X), to_host=False)
    assert (type(labels), labels.dtype) == (cupy.ndarray, np.int64)
    np.testing.assert_array_equal(labels.get(), model.predict(place(X)))


def test_memory_is_shared(place: Any) -> None:
    array = place(X)
    assert device_of(array) == "cuda:0"
    first = as_array("x", array, get_backend("cuda"))
    assert first.data.ptr == as_array("x", array, get_backend("cuda")).data.ptr
    np.testing.assert_array_equal(first.get(), X)
    assert inputs.checked_x(array, Sequential([Dense(2)], backend="cuda")).data.ptr == first.data.ptr


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("view", [np.s_[:, :], np.s_[:, 1:], np.s_[::2], np.s_[::-1], np.s_[:, ::2]])
def test_every_layout(dtype: str, view: Any, cupy: Any) -> None:
    x = (X * 10 + 100).astype(dtype)
    expected = trained(x[view], LABELS[: len(x[view])])
    model = trained(cupy.asarray(x)[view], cupy.asarray(LABELS)[: len(x[view])])
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_targets_that_begin_anywhere(cupy: Any) -> None:
    rows = np.eye(N_OUT, dtype=np.float32)[LABELS]
    room = cupy.zeros(rows.size + 1, np.float32)
    room[1:] = cupy.asarray(rows.reshape(-1))
    expected, model = trained(X, rows), trained(X, room[1:].reshape(N, N_OUT))
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_found(place: Any, value: float) -> None:
    x = X.copy()
    x[150, 3] = value
    with pytest.raises(ArgumentError, match=rf"x\[150, 3\] is {value}"):
        trained(place(x), LABELS)


def test_wrong_labels_are_found(place: Any) -> None:
    with pytest.raises(ArgumentError, match=r"y is 4: labels lie in 0\.\.3"):
        trained(X, place(LABELS + 1))


def test_a_model_on_the_cpu_refuses_them(place: Any) -> None:
    model = Sequential([Dense(N_OUT, "softmax")], backend="cpu", n_in=N_IN)
    with pytest.raises(ArgumentTypeError, match=r"^x, of type .*, lies on cuda:0 and the model on cpu: "):
        model.predict(place(X))


def test_devices_are_not_mixed(cupy: Any) -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    with cupy.cuda.Device(1):
        y = cupy.asarray(LABELS)
    with pytest.raises(ArgumentTypeError, match=r"^y, of type ndarray, lies on cuda:1 and the model on cuda:0: "):
        trained(cupy.asarray(X), y)


def test_the_memory_limit_holds(cupy: Any) -> None:
    pool = cupy.get_default_memory_pool()
    before = pool.get_limit()
    try:
        backend = get_backend("cuda", memory_limit_bytes=pool.total_bytes() + (1 << 20))
        too_much = pool.free_bytes() + (64 << 20)  # what the pool keeps does not suffice either
        with pytest.raises(MemoryError):
            backend.asarray(np.zeros(too_much, np.uint8))
    finally:
        get_backend("cuda", memory_limit_bytes=before)
    assert pool.get_limit() == before
