from __future__ import annotations

import numpy as np
import pytest

from accelnn.data import flower_points, load_dataset


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


def test_digits_are_bytes_up_to_sixteen() -> None:
    data = load_dataset("digits", test_fraction=0.25)
    assert data.x_train.dtype == np.uint8
    assert len(data.x_train) + len(data.x_test) == 1797
    assert data.n_features == 64
    assert data.x_train.max() * data.scale == 1.0
    assert (data.n_classes, data.class_names) == (10, tuple("0123456789"))
