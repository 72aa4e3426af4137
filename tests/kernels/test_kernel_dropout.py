"""Dropout from a counter: the bits are those of the plain formula, and they look random."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from accelnn_kernels import catalog
from accelnn_kernels.compiler import Kernel, bind
from numba import types

from accelnn.arrays import reference

KEY = (0x9E3779B9, 0xFFFFFFFF)


def write_bits(out, rows, columns, first_row, key_0, key_1):
    """Write the bits of every element, as the dropout kernel computes them, to ``out (rows * columns,)`` of int64."""
    out_ = integers(out, rows * columns)  # noqa: F821
    first, second = word(key_0), word(key_1)  # noqa: F821
    for i in range(rows):
        start = word((first_row + i) * columns)  # noqa: F821
        for j in range(columns):
            out_[i * columns + j] = dropout_bits(word(start + word(j)), first, second)  # noqa: F821


@pytest.fixture(scope="module")
def draw():
    """Return a function that draws bits with the compiled formula."""
    signature = types.void(*[types.intp] * 6)
    kernel = Kernel(bind(write_bits, catalog._formulas("float32", compiled=True), "write_bits.test"), signature)

    def bits(rows, columns, first_row=0, key=KEY):
        out = np.empty((rows, columns), np.int64)
        kernel(out.ctypes.data, rows, columns, first_row, int(key[0]), int(key[1]))
        return out

    return bits


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 1000), (500, 1), (33, 17), (128, 784)])
@pytest.mark.parametrize("first_row", [0, 1, 977, 2**31 + 5, 2**32 - 2])
@pytest.mark.parametrize("key", [(0, 0), KEY, (1, 0x80000000)])
def test_bits_are_those_of_the_formula(draw, rows, columns, first_row, key):
    expected = reference.dropout_bits(rows, columns, first_row, key, np)
    np.testing.assert_array_equal(draw(rows, columns, first_row, key), expected)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999])
def test_dropout(case, rate):
    x, y = case.normal(), case.empty(case.shape)
    case.run("dropout", "", x, y, *case.shape, 12, *KEY, rate)
    expected = reference.dropout(np.array(x), rate, KEY, first_row=12)
    np.testing.assert_array_equal(y == 0, expected == 0)
    case.close(y, expected, 2)


def test_the_threshold_itself_is_kept(small_case):
    case = small_case
    bits = int(reference.dropout_bits(1, 1, 0, KEY, np)[0, 0])
    x, y = case.place([[3.0]]), case.empty((1, 1))
    for rate, kept in ((bits / 2**32, True), ((bits + 1) / 2**32, False)):
        case.run("dropout", "", x, y, 1, 1, 0, *KEY, rate)
        assert (y[0, 0] != 0) == kept


def test_pieces_of_a_batch_draw_the_mask_of_the_whole(compiled_case):
    case = compiled_case
    x = case.place(np.ones((64, 9)))
    whole, parts = case.empty((64, 9)), case.empty((64, 9))
    case.run("dropout", "", x, whole, 64, 9, 0, *KEY, 0.5)
    for first, last in ((0, 10), (10, 11), (11, 64)):
        case.run("dropout", "", x[first:last], parts[first:last], last - first, 9, first, *KEY, 0.5)
    np.testing.assert_array_equal(parts, whole)


def test_in_place_and_twice_the_same(compiled_case):
    case = compiled_case
    x = case.normal()
    once, again = case.empty(case.shape), case.place(x)
    case.run("dropout", "", x, once, *case.shape, 0, *KEY, 0.5)
    case.run("dropout", "", again, again, *case.shape, 0, *KEY, 0.5)
    np.testing.assert_array_equal(once, again)


def test_nan_and_infinity_are_kept_or_dropped_like_numbers(compiled_case):
    case = compiled_case
    for value in (np.nan, np.inf):
        x, y = case.place(np.full((50, 20), value)), case.empty((50, 20))
        case.run("dropout", "", x, y, 50, 20, 0, *KEY, 0.5)
        kept = reference.dropout_bits(50, 20, 0, KEY, np) >= 2**31
        np.testing.assert_array_equal(y, np.where(kept, value, 0.0))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_expected_value_is_kept(compiled_case, rate):
    case = compiled_case
    x, y = case.place(np.ones((1000, 500))), case.empty((1000, 500))
    case.run("dropout", "", x, y, 1000, 500, 0, *KEY, rate)
    deviation = np.sqrt(rate / (1 - rate) / y.size)
    assert abs(y.mean(dtype=np.float64) - 1) < 4 * deviation
    case.close(np.unique(y), [0.0, 1 / (1 - rate)], 1)


LARGE = (1000, 1000)


def uniform(bits):
    return (np.asarray(bits, np.float64) + 0.5) / 2**32


def assert_uncorrelated(a, b):
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


def keys_of_a_run():
    """Return keys as training uses them: of neighbouring steps and layers."""
    return [tuple(key) for key in reference.dropout_keys(0, np.arange(3, dtype=np.int64), 2).reshape(-1, 2)]


@pytest.mark.parametrize("key", keys_of_a_run())
def test_bits_are_uniform_and_uncorrelated(draw, key):
    values = uniform(draw(*LARGE, key=key))
    assert abs(values.mean() - 0.5) < 4 / np.sqrt(12 * values.size)
    counts = np.bincount((values * 256).astype(int).ravel(), minlength=256)
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    assert_uncorrelated(values[:, :-1], values[:, 1:])
    assert_uncorrelated(values[:-1], values[1:])


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_is_a_fair_coin(draw, bit):
    ones = (draw(300, 1000, key=keys_of_a_run()[0]) >> bit) & 1
    assert abs(ones.mean() - 0.5) < 4 * 0.5 / np.sqrt(ones.size)


def test_steps_and_layers_are_independent(draw):
    masks = [uniform(draw(300, 1000, key=key)) for key in keys_of_a_run()]
    for i, first in enumerate(masks):
        for second in masks[i + 1 :]:
            assert_uncorrelated(first, second)


def test_kept_pairs_are_as_frequent_as_chance_has_it(draw):
    """At rate 1/2 the four patterns of two neighbours are equally frequent."""
    kept = draw(*LARGE, key=keys_of_a_run()[1]) >= 2**31
    patterns = 2 * kept[:, 0::2] + kept[:, 1::2]
    assert scipy.stats.chisquare(np.bincount(patterns.ravel(), minlength=4)).pvalue > 1e-4
