from __future__ import annotations

import numpy as np
import pytest
from sklearn import datasets

from accelnn.data import flower_points, load_dataset, planar_points
from accelnn.errors import ArgumentError


def test_flower_is_the_well_known_one() -> None:
    x, y = flower_points()
    # The same construction, spelled with the global generator's twin and one point at a time.
    generator = np.random.RandomState(1)
    for j in range(2):
        noise_t, noise_r = generator.randn(200), generator.randn(200)
        for i in (0, 57, 199):
            t = 3.12 * (j + i / 199) + 0.2 * noise_t[i]
            r = 4 * np.sin(4 * t) + 0.2 * noise_r[i]
            np.testing.assert_allclose(x[200 * j + i], [r * np.sin(t), r * np.cos(t)], rtol=1e-12)
    assert x.shape == (400, 2)
    assert x.dtype == np.float64
    assert y.dtype == np.int64
    assert y.tolist() == [0] * 200 + [1] * 200


def test_flower_ignores_seed_and_serves_twice() -> None:
    first, second = load_dataset("flower"), load_dataset("flower", seed=5)
    np.testing.assert_array_equal(first.x_train, second.x_train)
    np.testing.assert_array_equal(first.x_train, first.x_test)
    np.testing.assert_array_equal(first.y_train, first.y_test)
    assert first.n_classes == 2


def test_flower_leaves_the_global_generator_alone() -> None:
    before = np.random.get_state(legacy=False)
    flower_points()
    after = np.random.get_state(legacy=False)
    np.testing.assert_equal(after, before)


@pytest.mark.parametrize(("name", "n_classes"), [("circles", 2), ("moons", 2), ("blobs", 4), ("gaussian_quantiles", 2)])
def test_generated_sets(name: str, n_classes: int) -> None:
    data, again, other = load_dataset(name), load_dataset(name), load_dataset(name, seed=1)
    assert data.x_train.shape == (320, 2)
    assert data.x_test.shape == (80, 2)
    assert data.x_train.dtype == np.float64
    assert data.y_train.dtype == np.int64
    assert (data.n_classes, data.scale) == (n_classes, 1.0)
    np.testing.assert_array_equal(data.x_train, again.x_train)
    assert not np.array_equal(data.x_train, other.x_train)


@pytest.mark.parametrize(
    ("name", "n_points", "seed", "options"),
    [
        ("circles", 1000, 3, {"factor": 0.8, "noise": 0.05}),
        ("moons", 200, 3, {"noise": 0.2}),
        ("blobs", 200, 5, {"centers": 6}),
        ("gaussian_quantiles", 200, 3, {"cov": 0.5}),
    ],
)
def test_points_are_those_after_the_global_seed(name: str, n_points: int, seed: int, options: dict[str, float]) -> None:
    """As tutorials draw them. Those that seed nothing on purpose cannot be had again by anyone."""
    x, y = planar_points(name, n_points, seed=seed, **options)
    before = np.random.get_state(legacy=False)
    np.random.seed(seed)
    more = {} if name in ("circles", "moons") else {"n_features": 2}
    more |= {"n_classes": 2} if name == "gaussian_quantiles" else {}
    expected_x, expected_y = getattr(datasets, f"make_{name}")(n_samples=n_points, **more, **options)
    np.random.set_state(before)
    np.testing.assert_array_equal(x, expected_x)
    np.testing.assert_array_equal(y, expected_y)
    assert (x.dtype, y.dtype, x.shape) == (np.float64, np.int64, (n_points, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "moon"}, "name is 'moon': did you mean 'moons'"),
        ({"name": "moons", "nois": 0.1}, "unexpected keyword argument 'nois'"),
        ({"name": "moons", "noise": -1.0}, "noise"),
        ({"name": "blobs", "n_features": 3}, "multiple values for keyword argument 'n_features'"),
        ({"name": "circles", "n_points": "many"}, "many"),
        ({"name": "circles", "seed": -1}, "random_state"),
    ],
)
def test_points_that_cannot_be_drawn(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        planar_points(**arguments)  # type: ignore[arg-type]


def test_digits_are_bytes_up_to_sixteen() -> None:
    data = load_dataset("digits", test_fraction=0.25)
    assert data.x_train.dtype == np.uint8
    assert len(data.x_train) + len(data.x_test) == 1797
    assert data.n_features == 64
    assert data.x_train.max() * data.scale == 1.0
    assert (data.n_classes, data.class_names) == (10, tuple("0123456789"))
