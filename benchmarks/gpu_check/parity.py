"""Section parity: the same seed on CPU and CUDA gives the same weights, orders and masks, and the same training.

With ``--device cpu`` the plain runner stands in for CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from accelnn import Dense, Dropout, Rescaling, Sequential
from accelnn.arrays import reference
from benchmarks.gpu_check.child import Task
from benchmarks.work import UNITS, load_rows, synthetic_rows

WEIGHTS_TOLERANCE, LOSS_TOLERANCE = 1e-9, 1e-4
BATCH_SIZE = 128
EPOCHS = {"float64": 1, "float32": 3}
RATES = {"sgd": 0.1, "adam": 0.001}
NETWORKS = {"relu": ("relu", 0.0), "tanh": ("tanh", 0.0), "dropout": ("relu", 0.2)}
"""Name -> activation and rate of dropout behind each hidden layer."""

QUICK_ROWS = 384


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: a backend, and the runner that is required of it."""

    backend: str
    runner: str


def sides(device: str) -> tuple[Side, Side]:
    """Return what is compared."""
    other = Side("cuda", "captured") if device == "cuda" else Side("cpu", "plain")
    return Side("cpu", "compiled"), other


def measure(task: Task) -> None:
    pair = sides(task.device)
    task.attempt("start", lambda: same_start(task, pair))
    task.attempt("dropout_masks", lambda: same_masks(task, pair[1]))
    x, y = synthetic_rows(QUICK_ROWS) if task.quick else load_rows(task.options["data"])
    task.report("rows", len(x))
    for dtype, optimizer, name in product(EPOCHS, RATES, NETWORKS):
        key = f"{name} {optimizer} {dtype}"
        task.attempt(key, lambda o=optimizer, n=name, d=dtype, k=key: same_training(task, pair, k, x, y, n, o, d))


def network(side: Side, name: str, dtype: str) -> Sequential:
    """Return 784-128-64-10 for images of bytes."""
    activation, rate = NETWORKS[name]
    layers: list[Any] = [Rescaling(1 / 255)]
    for n in UNITS[1:-1]:
        layers += [Dense(n, activation), *([Dropout(rate)] if rate else [])]
    output = Dense(UNITS[-1], "softmax")
    return Sequential([*layers, output], n_in=UNITS[0], dtype=dtype, backend=side.backend, seed=7)


def same_start(task: Task, pair: tuple[Side, Side]) -> dict[str, bool]:
    """Compare initial weights and the order of the rows, bit by bit."""
    found = {}
    for dtype in EPOCHS:
        one, two = (network(side, "relu", dtype) for side in pair)
        weights = zip(one.get_weights(), two.get_weights(), strict=True)
        found[f"weights_{dtype}"] = all(np.array_equal(a, b) for a, b in weights)
        orders = [model.shuffle_rng.permutation(60_000) for model in (one, two)]
        found[f"permutations_{dtype}"] = bool(np.array_equal(*orders))
    for name, same in found.items():
        if not same:
            task.wrong(f"{name} differ")
    return found


def same_masks(task: Task, side: Side) -> dict[str, bool]:
    """Compare the dropout masks of both array modules, and that of the CUDA kernel, with NumPy's, bit by bit."""
    from accelnn.arrays.backend import get_backend

    ones, rate, key = np.ones((131, 77), np.float32), 0.2, (12345, 67890)
    expected = reference.dropout(ones, rate, key, 3)
    backend = get_backend(side.backend)
    plain = backend.to_host(reference.dropout(backend.asarray(ones), rate, key, 3))
    found = {"formula": bool(np.array_equal(plain, expected))}
    if side.backend == "cuda":
        from benchmarks.gpu_check.kernel_bandwidth import dropped

        found["kernel"] = bool(np.array_equal(dropped(ones, rate, key) != 0, reference.dropout(ones, rate, key) != 0))
    for name, same in found.items():
        if not same:
            task.wrong(f"the dropout mask of the {name} differs")
    return found


def same_training(
    task: Task, pair: tuple[Side, Side], key: str, x: np.ndarray, y: np.ndarray, name: str, optimizer: str, dtype: str
) -> dict[str, Any]:
    """Train on both sides and compare losses, and in float64 weights."""
    models = [network(side, name, dtype) for side in pair]
    losses = []
    for model, side in zip(models, pair, strict=True):
        options = {"optimizer": optimizer, "learning_rate": RATES[optimizer], "runner": side.runner}
        history = model.fit(x, y, epochs=EPOCHS[dtype], batch_size=BATCH_SIZE, verbose=0, **options)
        losses.append([float(loss) for loss in history["loss"]])
    distances = [distance(a, b) for a, b in zip(*(model.get_weights() for model in models), strict=True)]
    apart = max(abs(a - b) for a, b in zip(*losses, strict=True))
    if dtype == "float64" and not max(distances) <= WEIGHTS_TOLERANCE:
        task.wrong(f"{key}: weights differ by {max(distances):.1e}")
    if not apart <= LOSS_TOLERANCE:
        task.wrong(f"{key}: losses differ by {apart:.1e}")
    drawn = [model.shuffle_rng.bit_generator.state == models[0].shuffle_rng.bit_generator.state for model in models]
    return {"losses": losses, "losses_apart": apart, "weights_apart": distances, "same_draws": all(drawn)}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the norm of the difference relative to that of the first."""
    scale = float(np.linalg.norm(a))
    return float(np.linalg.norm(np.asarray(a, np.float64) - b)) / (scale or 1.0)
