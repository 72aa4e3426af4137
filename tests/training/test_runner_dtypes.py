"""Both runners read inputs of every layout and dtype alike, train in float32 too, and repeat themselves bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import SGD, Adam, BatchNorm, Dropout, LayerNorm, Normal, Rescaling
from accelnn.training import pace
from tests.training.parity import (
    N_IN,
    N_ROWS,
    check_runners_agree,
    check_same_weights,
    dense,
    inputs,
    labels,
    one_hot,
    small_net,
    targets,
    trained,
)

BYTES = np.random.default_rng(8).integers(0, 256, (2 * N_ROWS, N_IN + 3), np.uint8)
WIDE = np.random.default_rng(9).normal(size=(2 * N_ROWS, N_IN + 3))


def every_layer():
    return [
        Rescaling(1 / 255, -0.5),
        BatchNorm(),
        dense(8, "relu"),
        Dropout(0.2),
        LayerNorm(),
        dense(6, "gelu", l1=1e-3, l2=1e-2),
        dense(3, "softmax"),
    ]


INPUTS = {
    "uint8": BYTES[:N_ROWS, :N_IN].copy(),
    "uint8, part of the columns": BYTES[:N_ROWS, 2 : N_IN + 2],
    "uint8, every second row": BYTES[::2, 1 : N_IN + 1],
    "float32": WIDE[:N_ROWS, :N_IN].astype(np.float32),
    "float32, every second row": WIDE.astype(np.float32)[::2, :N_IN],
    "float64, part of the columns": WIDE[:N_ROWS, 3 : N_IN + 3],
    "float64, every second column": np.repeat(WIDE, 2, axis=1)[:N_ROWS, : 2 * N_IN : 2],
    "float64, rows backwards": WIDE[N_ROWS - 1 :: -1, :N_IN],
    "float64, Fortran order": np.asfortranarray(WIDE[:N_ROWS, :N_IN]),
    "float64, one row repeated": np.broadcast_to(WIDE[:1, :N_IN], (N_ROWS, N_IN)),
}


@pytest.mark.parametrize("x", INPUTS.values(), ids=INPUTS)
def test_every_layout_of_inputs(x, use_threads):
    layers = lambda: [Rescaling(0.01, 0.1), *small_net(dense(3, "softmax"))]  # noqa: E731
    before = x.copy()
    check_runners_agree(use_threads, layers, x, labels(), teams=(1, 2), optimizer=SGD(0.1))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_large_inputs_that_no_layer_rescales(dtype, use_threads):
    x = BYTES[:N_ROWS, :N_IN].astype(dtype)
    layers = lambda: [dense(7, "tanh", initializer=Normal(0.01)), dense(3)]  # noqa: E731
    check_runners_agree(use_threads, layers, x, optimizer=SGD(1e-4), epochs=20, teams=(1, 2))


FLOAT32 = {
    "cross_entropy": ("softmax", labels()),
    "binary_cross_entropy": ("sigmoid", one_hot()),
    "poisson": ("exponential", one_hot()),
    "mse": ("identity", targets()),
    "sse": ("identity", targets()),
    "mae": ("identity", targets()),
    "huber": ("identity", targets()),
}


@pytest.mark.parametrize("optimizer", [SGD(0.01, momentum=0.9), Adam(0.002, clip_norm=1.0)], ids=["sgd", "adam"])
@pytest.mark.parametrize(("loss", "output", "y"), [(k, *v) for k, v in FLOAT32.items()], ids=FLOAT32)
def test_float32(loss, output, y, optimizer, use_threads):
    layers = lambda: [*every_layer()[:-1], dense(3, output)]  # noqa: E731
    few = {"dtype": "float32", "epochs": 4, "tolerance": 2e-4}
    check_runners_agree(use_threads, layers, 255 * inputs(), y, loss=loss, optimizer=optimizer, **few)


@pytest.mark.parametrize(("runner", "threads"), [("plain", 1), ("compiled", 1), ("compiled", 2), ("compiled", 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_gives_the_same_bits(runner, threads, dtype, use_threads, monkeypatch):
    use_threads(threads)
    options = {"dtype": dtype, "runner": runner, "epochs": 6, "optimizer": "adam", "validation_split": 0.2}
    data = BYTES[:N_ROWS, :N_IN], labels()
    model, history = trained(every_layer, *data, **options)
    monkeypatch.setattr(pace, "CHUNK_S", 0.0)  # every step a chunk: time must not decide about any number
    other, other_history = trained(every_layer, *data, **options)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    for column in ("loss", "val_loss"):
        assert history[column] == other_history[column]


def test_another_seed_gives_other_weights(use_threads):
    use_threads(1)
    data = BYTES[:N_ROWS, :N_IN], labels()
    model, _ = trained(every_layer, *data, epochs=1, seed=1)
    other, _ = trained(every_layer, *data, epochs=1, seed=2)
    assert not any(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


def test_the_number_of_threads_changes_rounding_only(use_threads):
    models = []
    for threads in (1, 2, 5):
        use_threads(threads)
        models.append(trained(every_layer, BYTES[:N_ROWS, :N_IN], labels(), epochs=3)[0])
    for other in models[1:]:
        check_same_weights(models[0], other, 1e-11)
