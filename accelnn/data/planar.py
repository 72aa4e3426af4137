"""Small sets of points in the plane, for demonstrations: two features, a class per point."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelnn.data.dataset import Dataset, Rows, parted_dataset, split_dataset
from accelnn.errors import ArgumentError, unknown_name

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


PLANAR_SETS: dict[str, dict[str, Any]] = {
    "circles": {"factor": 0.5, "noise": 0.1},
    "moons": {"noise": 0.2},
    "blobs": {"centers": 4},
    "gaussian_quantiles": {"cov": 0.5, "n_classes": 2},
}
"""The generators of scikit-learn, ``make_<name>``, and what their options are unless others are given."""

_TWO_FEATURES = {"blobs": {"n_features": 2}, "gaussian_quantiles": {"n_features": 2}}


def planar_points(name: str, n_points: int = N_POINTS, *, seed: int = 0, **options: Any) -> Points:
    """Return points drawn by scikit-learn: ``x (n_points, 2)`` float64 and ``y (n_points,)`` int64.

    ``name`` is "circles", "moons", "blobs" or "gaussian_quantiles". ``seed`` (0 to 4294967295) gives, number for
    number, the points that ``sklearn.datasets.make_<name>`` draws right after ``numpy.random.seed(seed)``, or with
    ``random_state=seed``. ``options`` are further arguments of that function, such as ``noise`` or ``centers``; those
    not given are the ones in ``PLANAR_SETS``.

    Raises ``ArgumentError`` for an unknown name, and if scikit-learn refuses an argument.
    """
    if name not in PLANAR_SETS:
        raise unknown_name("name", name, PLANAR_SETS)
    from sklearn import datasets

    make = getattr(datasets, f"make_{name}")
    try:
        fixed = _TWO_FEATURES.get(name, {})
        x, y = make(n_samples=n_points, random_state=seed, **fixed, **(PLANAR_SETS[name] | options))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"scikit-learn cannot draw these points: {error}") from error
    return np.asarray(x, np.float64), np.asarray(y, np.int64)


def load_planar(name: str, *, seed: int, test_fraction: float) -> Dataset:
    """Return the 400 points of ``planar_points(name, seed=seed)``, split at random.

    ``name`` is a key of ``PLANAR_SETS``; blobs has four classes, the others two. ``seed`` fixes both
    the points and the split; ``test_fraction`` of them is the test part.
    """
    source = f"scikit-learn make_{name} (seed {seed})"
    return split_dataset(
        name, Rows(*planar_points(name, seed=seed)), test_fraction=test_fraction, seed=seed, source=source
    )
