"""Training on a CUDA device: the numbers of the CPU, the same numbers every time, and no memory kept."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

import numpy as np
import pytest

from accelnn import (
    SGD,
    Activation,
    Adam,
    BatchNorm,
    Dense,
    Dropout,
    LayerNorm,
    Normal,
    Rescaling,
    RMSprop,
    Sequential,
)
from accelnn.arrays import cuda_probe, get_backend
from accelnn.errors import BackendError, DeviceMemoryError
from accelnn.network.layers import Layer

pytestmark = pytest.mark.gpu

N_ROWS, N_IN, BATCH_SIZE = 213, 20, 32
"""The last of the seven batches of an epoch has 21 rows."""

LAYERS = [
    [("dense", 17, name), ("dense", 3, "softmax")]
    for name in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "silu", "gelu", "hard_sigmoid")
]


@pytest.fixture(scope="module", autouse=True)
def device() -> str:
    problem = cuda_probe.find_problem()
    if problem is not None:
        pytest.skip(f"{problem.cause}; {problem.remedy}")
    return "cuda"


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all steps be graphs: a persistent kernel takes long to compile, so a few of its tests have to do."""
    from accelnn.training.runners import persistent

    monkeypatch.setattr(persistent, "MAX_ROWS", 0)


def inputs(dtype: str = "float64") -> np.ndarray:
    values = np.random.default_rng(1).normal(size=(N_ROWS, N_IN))
    return (values * 40 + 128).clip(0, 255).astype(np.uint8) if dtype == "uint8" else values.astype(dtype)


def labels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 3, N_ROWS)


def every_layer() -> list[Layer]:
    return [
        Rescaling(0.5, 0.1),
        BatchNorm(),
        Dense(16, "gelu", l1=0.01, l2=0.01, bias_initializer=Normal(0.3)),
        Dropout(0.3),
        LayerNorm(),
        Activation("tanh"),
        Dense(12, "relu", use_bias=False),
        Dense(3, "softmax"),
    ]


def plain_layers(names: list[tuple[str, int, str]]) -> list[Layer]:
    return [Dense(units, name, bias_initializer=Normal(0.3)) for _, units, name in names]


def trained(layers: Any, backend: str, dtype: str = "float64", x: Any = None, y: Any = None, **options: Any) -> Any:
    model = Sequential(layers(), dtype=dtype, seed=0, backend=backend)
    options = {"epochs": 3, "batch_size": BATCH_SIZE, "verbose": 0, "optimizer": SGD(0.05)} | options
    return model, model.fit(inputs() if x is None else x, labels() if y is None else y, **options)


def check_same(model: Sequential, other: Sequential, tolerance: float) -> None:
    for i, (a, b) in enumerate(zip(model.get_weights(), other.get_weights(), strict=True)):
        difference = np.max(np.abs(a - b)) / np.max(np.abs(a))
        assert difference <= tolerance, f"array {i} differs by {difference:.2g}"


@pytest.mark.parametrize("names", LAYERS, ids=lambda names: names[0][2])
@pytest.mark.parametrize("runner", ["captured", "plain"])
def test_activations(names: Any, runner: str, graphs: None) -> None:
    expected, history = trained(lambda: plain_layers(names), "cpu")
    model, own = trained(lambda: plain_layers(names), "cuda", runner=runner)
    assert own.runner == runner
    check_same(expected, model, 1e-9)
    np.testing.assert_allclose(own["loss"], history["loss"], rtol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": SGD(0.05, momentum=0.9)},
        {"optimizer": SGD(0.05, momentum=0.9, nesterov=True, clip_norm=0.5)},
        {"optimizer": RMSprop(0.01), "y": np.eye(3)[labels()]},
        {"optimizer": Adam(0.01, clip_value=0.1), "sample_weight": np.linspace(0, 1, N_ROWS)},
        {"optimizer": Adam(0.01), "y": np.eye(3)[labels()], "loss": "mse"},
        {"optimizer": Adam(0.01), "y": np.eye(3)[labels()], "loss": "huber", "validation_split": 0.2},
    ],
    ids=["momentum", "clip_norm", "rmsprop", "weights", "mse", "huber"],
)
def test_every_layer_and_optimizer(options: dict[str, Any]) -> None:
    expected, history = trained(every_layer, "cpu", **options)
    model, own = trained(every_layer, "cuda", **options)
    assert own.runner == "captured"
    check_same(expected, model, 1e-9)
    for column in set(history) - {"seconds", "samples_per_s"}:
        np.testing.assert_allclose(own[column], history[column], rtol=1e-9)
    np.testing.assert_allclose(model.predict_proba(inputs()), expected.predict_proba(inputs()), rtol=1e-9)


@pytest.mark.parametrize("x_dtype", ["uint8", "float32"])
def test_float32(x_dtype: str) -> None:
    layers = lambda: [Rescaling(1 / 255), Dense(32, "relu"), Dense(16, "relu"), Dense(3, "softmax")]  # noqa: E731
    expected, history = trained(layers, "cpu", "float32", inputs(x_dtype))
    model, own = trained(layers, "cuda", "float32", inputs(x_dtype))
    np.testing.assert_allclose(own["loss"], history["loss"], rtol=1e-4)
    check_same(expected, model, 1e-4)


def small_network(hidden: str, output: str = "softmax") -> Any:
    return lambda: [Rescaling(0.1), Dense(40, hidden, l2=0.01), Dense(17, hidden, use_bias=False), Dense(3, output)]


PERSISTENT = [
    ("relu", {"optimizer": Adam(0.01, clip_value=0.1), "sample_weight": np.linspace(0, 1, N_ROWS)}),
    ("gelu", {"optimizer": SGD(0.05, momentum=0.9), "y": np.eye(3)[labels()], "loss": "mse"}),
]


@pytest.mark.parametrize(("hidden", "options"), PERSISTENT, ids=["relu", "gelu"])
def test_the_persistent_kernel(hidden: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    layers = small_network(hidden, "sigmoid" if "loss" in options else "softmax")
    expected, history = trained(layers, "cpu", **options)
    with caplog.at_level(logging.DEBUG, "accelnn"):
        model, own = trained(layers, "cuda", **options)
    assert "graphs" not in caplog.text
    check_same(expected, model, 1e-9)
    np.testing.assert_allclose(own["loss"], history["loss"], rtol=1e-9)


def test_blocks_that_wait_for_each_other_never_miss_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of barriers, with as many blocks as there are, with few, and with one: not a bit differs.

    On an emulated GPU, where a barrier takes a millisecond, some tens of them.
    """
    from accelnn_kernels.cuda import persistent_shapes

    epochs = 1 if "emulated_gpu.start" in sys.modules else 200
    options = {"epochs": epochs, "batch_size": 8, "optimizer": Adam(0.01)}
    models = []
    for blocks in (1 << 30, 1 << 30, 7, 1):
        monkeypatch.setattr(persistent_shapes, "useful_blocks", lambda *sizes, n=blocks: n)
        models.append(trained(small_network("relu"), "cuda", "float32", **options)[0])
    for other in models[1:]:
        check_same(models[0], other, 0.0)


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 1e-2), ("bf16", 1e-1)])
def test_fast_products(precision: str, tolerance: float) -> None:
    layers = lambda: [Dense(64, "relu"), Dense(3, "softmax")]  # noqa: E731
    expected, history = trained(layers, "cuda", "float32", inputs("float32"))
    model, own = trained(layers, "cuda", "float32", inputs("float32"), precision=precision)
    np.testing.assert_allclose(own["loss"], history["loss"], rtol=tolerance)
    check_same(expected, model, tolerance)
    assert model.get_weights()[0].dtype == np.float32


def test_two_runs_are_bitwise_the_same() -> None:
    first, _ = trained(every_layer, "cuda", "float32")
    second, _ = trained(every_layer, "cuda", "float32")
    check_same(first, second, 0.0)


def test_streamed_data_give_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelnn.training.runners import captured

    resident, _ = trained(every_layer, "cuda")
    monkeypatch.setattr(captured, "RESIDENT_SHARE", 0.0)
    streamed, history = trained(every_layer, "cuda")
    assert history.runner == "captured"
    check_same(resident, streamed, 0.0)


def test_rows_that_the_plain_runner_leaves_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelnn.training.runners import plain

    resident, _ = trained(every_layer, "cuda", runner="plain")
    monkeypatch.setattr(plain, "RESIDENT_SHARE", 0.0)
    copied, _ = trained(every_layer, "cuda", runner="plain")
    check_same(resident, copied, 0.0)


def test_memory_that_runs_out_is_an_error_of_ours() -> None:
    import cupy

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before, limit = pool.get_limit(), pool.total_bytes() + (1 << 20)
    units = limit // (8 * N_IN) + 1  # their weights alone are too many
    try:
        get_backend("cuda", memory_limit_bytes=limit)
        with pytest.raises(DeviceMemoryError, match=r"^Out of memory allocating .* on CUDA device 0: use smaller"):
            trained(lambda: [Dense(units), Dense(3, "softmax")], "cuda")
    finally:
        get_backend("cuda", memory_limit_bytes=before)
    trained(every_layer, "cuda")


def test_memory_is_given_back() -> None:
    import gc

    import cupy

    pool = cupy.get_default_memory_pool()
    used = []
    for _ in range(3):
        model, _ = trained(every_layer, "cuda", "float32")
        del model, _
        gc.collect()
        used.append(pool.used_bytes())
    assert used[0] == used[1] == used[2]


def test_a_step_that_cannot_be_recorded_runs_plainly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from accelnn.arrays.cuda.device import CudaDevice

    def refuse(self: CudaDevice, launches: Any) -> None:
        raise BackendError("the driver said no")

    monkeypatch.setattr(CudaDevice, "record", refuse)
    with caplog.at_level(logging.INFO, "accelnn"):
        _, history = trained(every_layer, "cuda")
    assert history.runner == "plain"
    assert [record.message for record in caplog.records] == ["using the plain runner: the driver said no"]


def test_two_fits_in_two_threads() -> None:
    expected, _ = trained(every_layer, "cuda")
    models: list[Any] = []
    threads = [threading.Thread(target=lambda: models.append(trained(every_layer, "cuda")[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model in models:
        check_same(expected, model, 0.0)


def test_partial_fit_goes_on_where_it_was() -> None:
    models = [Sequential(every_layer(), dtype="float64", seed=0, backend=backend) for backend in ("cpu", "cuda")]
    for _ in range(3):
        losses = [model.partial_fit(inputs(), labels(), batch_size=BATCH_SIZE) for model in models]
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    check_same(*models, 1e-9)
