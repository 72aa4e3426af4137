"""Mini-batches: rows, conversion and scale."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn.arrays.reference import gather
from accelnn.errors import ArgumentError


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64", "float32", "float64"])
def test_rows_are_taken_converted_and_scaled(space, kind):
    x = np.arange(24).reshape(6, 4)
    indices = space.array([5, 0, 0, 3], space.xp.int64)
    found = space.call(gather, space.array(x, getattr(space.xp, kind)), indices, space.name, 0.5, -1.0)
    assert np.array_equal(space.host(found), x[[5, 0, 0, 3]] * 0.5 - 1.0)


def test_pixels_become_numbers_from_zero_to_one(space):
    x = space.array([[0, 255], [51, 1]], space.xp.uint8)
    found = gather(x, space.array([1, 0], space.xp.int32), space.name, scale=1 / 255)
    np.testing.assert_allclose(space.host(found), [[0.2, 1 / 255], [0.0, 1.0]], rtol=2 * space.eps)


def test_extremes_and_other_dimensions(space):
    tiny = 1e-40 if space.name == "float32" else 1e-310
    for x in ([1e4, -1e4, 0.0, tiny], [[[1e4], [-1e4]], [[0.0], [tiny]]]):
        array = space.array(x)
        found = gather(array, space.array([1, 0], space.xp.int64), space.name)
        assert np.array_equal(space.host(found), space.host(array)[[1, 0]])


def test_non_contiguous_rows():
    x = np.arange(60, dtype=np.uint8).reshape(6, 10)
    indices = np.array([4, 9, 1, 9, 0])[::2]
    found = gather(x.T, indices, "float32", 2.0)
    assert found.dtype == np.float32
    assert np.array_equal(found, 2.0 * x.T[indices])


def test_an_unknown_dtype_is_an_error():
    with pytest.raises(ArgumentError, match="did you mean 'float32'"):
        gather(np.zeros((2, 2)), np.array([0]), "float23")
