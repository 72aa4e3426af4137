"""Memory accesses of kernels: the code that is generated for devices, run on the CPU, and the simulator's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from accelnn_kernels.cuda.accesses import compiled_accesses, compiled_add
from accelnn_kernels.cuda.shapes import real_of, width_of
from accelnn_kernels.cuda.simulated_accesses import (
    from_bfloat16,
    simulated_accesses,
    simulated_add,
    simulated_byte,
    to_bfloat16,
)
from numba import njit
from numba.extending import intrinsic

NUMBERS = np.array([0.0, -0.0, 1.0, -1.5, 3.14159, 1e-40, -65504.0, 3.4e38, np.inf, -np.inf, np.nan, 1.00390625])
"""Among them a tie (1 + 2^-8), a denormal, and one that rounds to infinity as a bfloat16."""


def on_the_cpu(element):
    """Return the five accesses as functions that Python can call, compiled with the CPU's decorator."""
    compiled = compiled_accesses(element, intrinsic)
    load, store = compiled["load"], compiled["store"]
    load_wide, store_wide, load_four = compiled["load_wide"], compiled["store_wide"], compiled["load_four"]
    return {
        "load": njit(lambda address, index: load(address, index)),
        "store": njit(lambda address, index, value: store(address, index, value)),
        "load_wide": njit(lambda address, index, values: load_wide(address, index, values)),
        "store_wide": njit(lambda address, index, values: store_wide(address, index, values)),
        "load_four": njit(lambda address, index, values: load_four(address, index, values)),
    }


@pytest.fixture(params=[on_the_cpu, simulated_accesses], ids=["compiled", "simulated"])
def make(request):
    return request.param


def memory(values, element):
    """Return the elements, beginning at a multiple of 16 bytes, with one 16 bytes before and behind them."""
    stored = to_bfloat16(values.astype(np.float32)) if element == "bfloat16" else values.astype(element)
    whole = np.zeros(stored.size + 4 * width_of(element), stored.dtype)
    start = -whole.ctypes.data % 16 // whole.itemsize + width_of(element)
    whole[start : start + stored.size] = stored
    return whole[start : start + stored.size]


def numbers(array, element):
    return from_bfloat16(array) if element == "bfloat16" else array


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16", "int64", "uint8"])
def test_elements_are_read_and_written_one_by_one(make, element):
    access = make(element)
    source = memory(np.arange(5), element)
    target = memory(np.zeros(5), element)
    for i in range(5):
        value = access["load"](source.ctypes.data, i)
        assert value == i
        access["store"](target.ctypes.data, 4 - i, np.dtype(real_of(element)).type(value))
    np.testing.assert_array_equal(target, source[::-1])


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16", "int32", "int64", "uint8"])
def test_wide_accesses_move_the_same_elements(make, element):
    access, width = make(element), width_of(element)
    source = memory(np.arange(3 * width) + 1, element)
    target = memory(np.zeros(3 * width), element)
    values = np.zeros(width, real_of(element))
    access["load_wide"](source.ctypes.data, width, values)
    np.testing.assert_array_equal(values, np.arange(width, 2 * width) + 1)
    access["store_wide"](target.ctypes.data, 2 * width, values)
    np.testing.assert_array_equal(target[: 2 * width], 0)
    np.testing.assert_array_equal(target[2 * width :], source[width : 2 * width])


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16", "int64", "uint8"])
def test_four_elements_are_read_at_once(make, element):
    source = memory(np.arange(16) + 1, element)
    for first in (0, 4, 12):
        values = np.zeros(4, real_of(element))
        make(element)["load_four"](source.ctypes.data, first, values)
        np.testing.assert_array_equal(values, np.arange(first, first + 4) + 1)


def test_bytes_of_words_in_the_simulator():
    word = np.array([1, 2, 253, 254], np.uint8).view("<i4")[0]
    assert [simulated_byte(word, place) for place in range(4)] == [1, 2, 253, 254]


def nearest_bfloat16(value):
    """Return the bfloat16 next to a float32: the one of the two neighbours that is nearer, or even."""
    if not np.isfinite(value):
        return value
    bits = int(value.view(np.uint32)) & 0xFFFF0000
    below, above = np.array([bits, bits + 0x10000], np.uint32).view(np.float32)
    # Behind the largest bfloat16 is infinity, to which numbers go from where the next one would have been nearer.
    reach = float(above) if np.isfinite(above) else math.copysign(2.0**128, value)
    distances = abs(float(value) - float(below)), abs(reach - float(value))
    if distances[0] == distances[1]:
        return below if (bits >> 16) % 2 == 0 else above
    return below if distances[0] < distances[1] else above


@pytest.mark.parametrize("form", ["one by one", "wide"])
def test_bfloat16_is_the_nearest_one_and_nan_stays_nan(make, form):
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore", under="ignore"):
        drawn = rng.integers(0, 1 << 32, 496, dtype=np.uint32).view(np.float32)
        values = np.concatenate([NUMBERS.astype(np.float32), drawn])
    values = np.concatenate([values, np.array([0x7F800001, 0xFFFFFFFF, 0x7FFFFFFF, 0x3F818000], np.uint32).view("f4")])
    access, target = make("bfloat16"), memory(np.zeros(512), "bfloat16")
    if form == "wide":
        for first in range(0, len(values), 8):
            access["store_wide"](target.ctypes.data, first, values[first : first + 8].copy())
    else:
        for i, value in enumerate(values):
            access["store"](target.ctypes.data, i, value)
    np.testing.assert_array_equal(from_bfloat16(target), np.array([nearest_bfloat16(value) for value in values]))


def test_every_bfloat16_survives_a_round(make):
    access, bits = make("bfloat16"), np.arange(1 << 16, dtype=np.uint16)
    source, target = memory(np.zeros(1 << 16), "bfloat16"), memory(np.zeros(1 << 16), "bfloat16")
    source[:] = bits
    values = np.empty(8, np.float32)
    for first in range(0, 1 << 16, 8):
        access["load_wide"](source.ctypes.data, first, values)
        access["store_wide"](target.ctypes.data, first, values)
    numeric = ~np.isnan(from_bfloat16(bits))
    np.testing.assert_array_equal(target[numeric], bits[numeric])
    assert np.isnan(from_bfloat16(target[~numeric])).all()


def test_a_counter_returns_what_was_there_before():
    add = compiled_add(intrinsic)
    counter = np.array([3])
    assert njit(lambda address, amount: add(address, amount))(counter.ctypes.data, 2) == 3
    assert simulated_add(counter.ctypes.data, 1) == 5
    assert counter[0] == 6


@pytest.mark.parametrize("offset", [1, 2, 4, 8])
def test_the_simulator_refuses_addresses_that_a_device_would_refuse(offset):
    whole = memory(np.zeros(16), "float32")
    access = simulated_accesses("float32")
    with pytest.raises(ValueError, match="no multiple of 16"):
        access["load_wide"](whole.ctypes.data + offset, 0, np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="no multiple of 16"):
        access["load_four"](whole.ctypes.data + offset, 0, np.zeros(4, np.float32))
    if offset < 4:
        with pytest.raises(ValueError, match="no multiple of 4"):
            access["store"](whole.ctypes.data + offset, 0, np.float32(0))
