"""Small sets of points in the plane, for demonstrations: two features, a class per point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from accelnn.data.dataset import Dataset, Rows, parted_dataset, split_dataset

N_POINTS = 400
Points = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def flower_points(seed: int = 1) -> Points:
    """Return the 400 points of the two-class flower: ``x (400, 2)`` float64, ``y (400,)`` int64.

    Class j has 200 points at the angle t, evenly spaced over [3.12 j, 3.12 (j + 1)] plus 0.2 times a
    normal draw, and the radius 4 sin(4 t) plus 0.2 times a normal draw; x is (r sin t, r cos t). With
    ``seed`` 1 these are, number for number, the points of the planar classification exercise in
    Andrew Ng's course "Neural Networks and Deep Learning" (2017).
    """
    # The legacy generator and this order of draws are what makes the points the well-known ones.
    draw = np.random.RandomState(seed).randn
    n = N_POINTS // 2
    petals = []
    for j in range(2):
        t = np.linspace(3.12 * j, 3.12 * (j + 1), n) + draw(n) * 0.2
        r = 4 * np.sin(4 * t) + draw(n) * 0.2
        petals.append(np.column_stack([r * np.sin(t), r * np.cos(t)]))
    return np.concatenate(petals), np.repeat(np.arange(2, dtype=np.int64), n)


def load_flower() -> Dataset:
    """Return the flower as a data set; as in the course, all 400 points serve to train and to test."""
    rows = Rows(*flower_points())
    return parted_dataset("flower", rows, rows, source="computed (seed 1)")


def _circles(generators: Any, seed: int) -> Any:
    return generators.make_circles(N_POINTS, factor=0.5, noise=0.1, random_state=seed)


def _moons(generators: Any, seed: int) -> Any:
    return generators.make_moons(N_POINTS, noise=0.2, random_state=seed)


def _blobs(generators: Any, seed: int) -> Any:
    return generators.make_blobs(N_POINTS, n_features=2, centers=4, random_state=seed)


def _gaussian_quantiles(generators: Any, seed: int) -> Any:
    return generators.make_gaussian_quantiles(n_samples=N_POINTS, n_features=2, n_classes=2, cov=0.5, random_state=seed)


PLANAR_SETS: dict[str, Callable[[Any, int], Any]] = {
    "circles": _circles,
    "moons": _moons,
    "blobs": _blobs,
    "gaussian_quantiles": _gaussian_quantiles,
}


def load_planar(name: str, *, seed: int, test_fraction: float) -> Dataset:
    """Return 400 points drawn by scikit-learn's generator ``make_<name>``, split at random.

    ``name`` is a key of ``PLANAR_SETS``; blobs has four classes, the others two. ``seed`` fixes both
    the points and the split; ``test_fraction`` of them is the test part.
    """
    from sklearn import datasets

    x, y = PLANAR_SETS[name](datasets, seed)
    source = f"scikit-learn make_{name} (seed {seed})"
    return split_dataset(name, Rows(x, y), test_fraction=test_fraction, seed=seed, source=source)
