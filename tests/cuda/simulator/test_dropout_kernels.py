"""Dropout: the mask is that of the CPU, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.catalog import python_kernel
from accelnn_kernels.cuda.catalog import cuda_kernel
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays import reference

KEY = (0x9E3779B9, 0xFFFFFFFF)
SHAPES = ((1, 1), (3, 5), (9, 16), (2, 33))


def of_rate(rate):
    """Return the last arguments of a launch, as the host computes them."""
    return int(np.uint32(rate * 4294967296.0)), 1.0 / (1.0 - rate)


def dropped(x, y, element, rate, first_row=0, key=KEY, keys=0, cursor=0, ahead=0):
    shape = x.shape
    places = (x, y, *shape, first_row, *key, rate, keys, cursor, ahead, *of_rate(rate))
    simulate(cuda_kernel("dropout", "", element), places)
    return y


@pytest.mark.parametrize("element", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999])
def test_results_are_those_of_the_cpu(element, shape, rate):
    x, y, expected = (device_array(np.random.default_rng(1).normal(size=shape), element) for _ in range(3))
    python_kernel("dropout", "", element)(x.ctypes.data, expected.ctypes.data, *shape, 12, *KEY, rate)
    np.testing.assert_array_equal(dropped(x, y, element, rate, first_row=12), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16(shape):
    x, y = device_array(np.full(shape, 1.5), "bfloat16"), poisoned(shape, "bfloat16")
    dropped(x, y, "bfloat16", 0.5)
    bits = reference.dropout_bits(*shape, 0, KEY, np)
    np.testing.assert_array_equal(host_values(y, "bfloat16"), np.where(bits >= 2**31, 3.0, 0.0))


@pytest.mark.parametrize("first_row", [2**31 + 5, 2**32 - 2])
@pytest.mark.parametrize("columns", [7, 16])
def test_element_numbers_wrap_around(first_row, columns):
    x, y = device_array(np.ones((5, columns)), "float32"), poisoned((5, columns), "float32")
    dropped(x, y, "float32", 0.5, first_row=first_row, key=(1, 0x80000000))
    bits = reference.dropout_bits(5, columns, first_row, (1, 0x80000000), np)
    np.testing.assert_array_equal(y != 0, bits >= 2**31)


@pytest.mark.parametrize("layer", [0, 1])
def test_keys_of_a_step_come_from_the_table(layer):
    """``keys`` points at the layer's key of the first step, and ``key_0`` is the distance from step to step."""
    table = reference.dropout_keys(7, np.arange(6, dtype=np.int64), 2)
    on_device, cursor = device_array(table.astype(np.int64)), device_array([3, 1000])
    x, y = device_array(np.ones((4, 9)), "float32"), poisoned((4, 9), "float32")
    dropped(x, y, "float32", 0.3, key=(4, 0), keys=on_device[0, layer:], cursor=cursor, ahead=2)
    np.testing.assert_array_equal(y != 0, reference.dropout(np.ones((4, 9)), 0.3, table[5, layer]) != 0)


def test_in_place():
    x = device_array(np.random.default_rng(2).normal(size=(6, 11)), "float32")
    expected = dropped(x, poisoned((6, 11), "float32"), "float32", 0.4)
    np.testing.assert_array_equal(dropped(x, x, "float32", 0.4), expected)


def test_the_threshold_itself_is_kept():
    bits = int(reference.dropout_bits(1, 1, 0, KEY, np)[0, 0])
    x, y = device_array([[3.0]], "float32"), poisoned((1, 1), "float32")
    for rate, kept in ((bits / 2**32, True), ((bits + 1) / 2**32, False)):
        assert (dropped(x, y, "float32", rate)[0, 0] != 0) == kept
