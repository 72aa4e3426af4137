"""Layers for tests of the kernels of dense layers, and how far off their sums may be.

Errors are counted in roundings of the sum of the absolute terms: however a sum is ordered, it is not further off.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from simulation import device_array, host_values

REAL = {"float32": "float32", "float64": "float64", "bfloat16": "float32"}
EPS = {"float32": 2.0**-23, "float64": 2.0**-52, "bfloat16": 2.0**-8}


def a_layer(rows: int, n_in: int, n_out: int, element: str) -> SimpleNamespace:
    """Return the arrays of a layer, as the device has them and, rounded to that, in float64."""
    rng, real = np.random.default_rng((rows, n_in, n_out)), REAL[element]
    shapes = {"x": (rows, n_in), "dz": (rows, n_out), "weight": (n_in, n_out), "bias": (n_out,)}
    kept = {
        name: device_array(rng.normal(size=shape), real if name in ("weight", "bias") else element)
        for name, shape in shapes.items()
    }
    plain = {name: host_values(array, element if name in ("x", "dz") else None) for name, array in kept.items()}
    return SimpleNamespace(
        device=SimpleNamespace(**kept), shape=(rows, n_in, n_out), element=element, real=real, **plain
    )


def check_sums(actual: np.ndarray, expected: np.ndarray, sizes: np.ndarray, real: str, stored: str) -> None:
    """Assert that sums whose terms have the absolute sum ``sizes`` are right; ``stored``: as which they were kept."""
    assert np.isfinite(actual).all()
    roundings = 40 * EPS[real] * sizes + 2 * (EPS[stored] if stored != real else 0.0) * np.abs(expected)
    assert (np.abs(actual - expected) <= roundings + 1e-300).all()


def scores(layer: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """Return x W + b, and the same with absolute terms."""
    sizes = np.abs(layer.x) @ np.abs(layer.weight) + np.abs(layer.bias)
    return layer.x @ layer.weight + layer.bias, sizes


def check_weight_gradients(dw: np.ndarray, db: np.ndarray, x: np.ndarray, dz: np.ndarray, real: str) -> None:
    """Assert that ``dw`` and ``db`` are right."""
    check_sums(dw, x.T @ dz, np.abs(x).T @ np.abs(dz), real, real)
    check_sums(db, dz.sum(axis=0), np.abs(dz).sum(axis=0), real, real)
