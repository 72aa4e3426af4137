"""Optimizer steps, penalties, norms and the cursor, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.cuda.catalog import cuda_kernel
from accelnn_kernels.cuda.shapes import real_of
from accelnn_kernels.optimizers import N_HYPER, N_MOMENTS
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays import reference

NAMES = tuple(N_MOMENTS)
HYPER = {
    "sgd": [0.1],
    "momentum": [0.1, 0.9],
    "nesterov": [0.05, 0.9],
    "rmsprop": [0.01, 0.9, 1e-7],
    "adam": [0.02, 0.9, 0.999, 1e-7, 3.0, 0.01],
    "accumulate": [0.25],
}
SQUARES = {"rmsprop": (0,), "adam": (1,)}
"""Which moments are means of squares, never negative."""

STEP = 2
"""The step of the table that the cursor and ``ahead`` say together."""


class Arena:
    """Parameters, gradients and moments on a device, and the table of hyperparameters."""

    def __init__(self, name, size, element):
        rng = np.random.default_rng(size)
        real = real_of(element)
        self.name, self.size, self.element = name, size, element
        self.p = device_array(rng.normal(size=size), real)
        self.g = device_array(rng.normal(size=size), real)
        self.moments = [device_array(rng.normal(size=size) * 0.1, real) for _ in range(N_MOMENTS[name])]
        for index in SQUARES.get(name, ()):
            self.moments[index][...] = np.abs(self.moments[index])
        self.hyper = poisoned((STEP + 1, N_HYPER), real)
        self.hyper[STEP] = 0
        self.hyper[STEP, : len(HYPER[name])] = HYPER[name]
        self.cursor = device_array([STEP - 1, 77])

    def step(self, squares=0, clip_norm=0.0, copy=0, **shape):
        places = [*self.moments, 0, 0][:2]
        simulate(
            cuda_kernel("update", self.name, self.element),
            (self.p, self.g, *places, self.hyper, self.size, self.cursor, 1, squares, clip_norm, copy),
            **shape,
        )

    def expected(self, factor=1.0):
        p, g, *moments = (host_values(array) for array in (self.p, self.g, *self.moments))
        return reference.UPDATES[self.name].update(p, factor * g, tuple(moments), HYPER[self.name])


def close(actual, expected, ulps=20.0):
    scale = ulps * np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=scale, atol=scale)


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 8, 61])
def test_a_step(name, size, element):
    arena = Arena(name, size, element)
    gradients = arena.g.copy()
    p, moments = arena.expected()
    arena.step()
    close(arena.p, p)
    np.testing.assert_array_equal(arena.g, gradients)
    for moment, plain in zip(arena.moments, moments, strict=True):
        close(moment, plain)
    np.testing.assert_array_equal(arena.cursor, [STEP - 1, 77])


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_thread_does_several_elements(name):
    arena = Arena(name, 131, "float32")
    p, _ = arena.expected()
    arena.step(grid=(2,), block=(4,))
    close(arena.p, p)


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
def test_the_copy_holds_the_new_parameters(element):
    arena, copy = Arena("adam", 27, element), poisoned(27, element)
    arena.step(copy=copy)
    expected = device_array(arena.p, "bfloat16") if element == "bfloat16" else arena.p
    np.testing.assert_array_equal(copy, expected)


@pytest.mark.parametrize(("norm", "factor"), [(4.0, 0.125), (0.5, 1.0), (0.25, 1.0), (np.inf, 0.0), (np.nan, 1.0)])
def test_gradients_are_scaled_down_to_a_norm(norm, factor):
    arena, squares = Arena("momentum", 13, "float32"), device_array([norm * norm], "float32")
    p, moments = arena.expected(factor)
    arena.step(squares=squares, clip_norm=0.5)
    close(arena.p, p)
    close(arena.moments[0], moments[0])


def test_a_gradient_that_is_not_a_number_shows_in_its_parameter_alone():
    arena = Arena("adam", 11, "float32")
    arena.g[4] = np.nan
    arena.step()
    np.testing.assert_array_equal(np.isnan(arena.p), np.arange(11) == 4)


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize(("l1", "l2", "limit"), [(0, 0, np.inf), (0.1, 0, np.inf), (0, 0.2, np.inf), (0.3, 0.1, 0.5)])
def test_penalize(element, offset, l1, l2, limit):
    rng, size, real = np.random.default_rng(5), 45, real_of(element)
    p, g = device_array(rng.normal(size=offset + size), real), device_array(rng.normal(size=offset + size), real)
    p[::3] = 0.0
    parts, counter, result = poisoned(4, real), device_array([0]), device_array([1.0, 2.0, 3.0], real)
    plain_p, plain_g = host_values(p)[offset:], host_values(g)[offset:]
    penalty = reference.penalty(plain_p, l1, l2)
    expected = reference.clip_by_value(reference.penalized_gradient(plain_g, plain_p, l1, l2), limit)
    places = (g[offset:], p[offset:], size, l1, l2, limit, parts, counter, result, device_array([1, 0]), 1)
    before = p.copy()
    simulate(cuda_kernel("penalize", "", element), places, grid=(3,), block=(8,))
    close(g[offset:], expected)
    close(result, [1.0, 2.0, 3.0 + penalty], 200)
    np.testing.assert_array_equal(p, before)
    assert counter[0] == 0


def test_clipping_keeps_nan_and_large_parameters_have_no_penalty_of_their_own():
    g, p = device_array([np.nan, np.inf, -np.inf, 3.0], "float32"), device_array([1e30] * 4, "float32")
    result = device_array([0.5], "float32")
    places = (g, p, 4, 0.0, 0.0, 2.0, poisoned(1, "float32"), device_array([0]), result, device_array([0, 0]), 0)
    simulate(cuda_kernel("penalize", "", "float32"), places)
    np.testing.assert_array_equal(g, [np.nan, 2.0, -2.0, 2.0])
    assert result[0] == 0.5


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize(("size", "blocks"), [(1, 1), (37, 1), (300, 3)])
def test_sum_of_squares(element, size, blocks):
    real = real_of(element)
    values = device_array(np.random.default_rng(size).normal(size=size), real)
    parts, counter, result = poisoned(blocks, real), device_array([0]), poisoned(2, real)
    for _ in range(2):
        places = (values, size, parts, counter, result)
        simulate(cuda_kernel("sum_of_squares", "", element), places, grid=(blocks,), block=(16,))
        close(result[0], (host_values(values) ** 2).sum(), 16)
    assert np.isnan(result[1])
    assert counter[0] == 0


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("offset", [0, 1])
def test_scale(element, offset):
    values = device_array(np.random.default_rng(3).normal(size=offset + 21), real_of(element))
    expected = host_values(values) * 0.37
    expected[:offset] /= 0.37
    simulate(cuda_kernel("scale", "", element), (values[offset:], 21, 0.37))
    close(values, expected, 2)


@pytest.mark.parametrize("n_parts", [1, 2, 5])
def test_add_parts_in_their_order(n_parts):
    parts = device_array(np.random.default_rng(n_parts).normal(size=(n_parts, 9)) * 1e4, "float32")
    total = poisoned(7, "float32")
    simulate(cuda_kernel("add_parts", "", "float32"), (parts, 9, n_parts, 7, total))
    expected = parts[0, :7]
    for part in parts[1:, :7]:
        expected = expected + part
    np.testing.assert_array_equal(total, expected)


def test_the_cursor_advances():
    cursor = device_array([3, 90])
    simulate(cuda_kernel("advance", "", "bfloat16"), (cursor, 16, 160))
    np.testing.assert_array_equal(cursor, [19, 250])
