"""Bias and activation on a device, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.activations import KEEPS_Z
from accelnn_kernels.cuda.catalog import cuda_kernel
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays import reference

NAMES = [name for name in reference.ACTIVATIONS if name != "softmax"]
EPS = {"float32": 2.0**-23, "float64": 2.0**-52, "bfloat16": 2.0**-8}
SHAPES = ((1, 1), (1, 8), (3, 5), (5, 16), (9, 12), (41, 24))
REAL = {"float32": "float32", "float64": "float64", "bfloat16": "float32"}


def activate(name: str, element: str, z: np.ndarray, bias: np.ndarray, **launch: tuple[int, ...]) -> np.ndarray:
    """Return a as the kernel leaves it; where it keeps z, check that this has its bias now."""
    place, shift = device_array(z, element), device_array(bias, REAL[element])
    before = host_values(place, element)
    a = poisoned(z.shape, element) if name in KEEPS_Z else place
    simulate(cuda_kernel("bias_activation", name, element), (place, shift, a, *z.shape), **launch)
    if name in KEEPS_Z:
        np.testing.assert_allclose(
            host_values(place, element), before + host_values(shift), rtol=EPS[element], atol=1e-9
        )
    return host_values(a, element)


def expected_of(name: str, element: str, z: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return g(z + bias) in float64, of the sum as the kernel rounds it."""
    z, bias = host_values(device_array(z, element), element), host_values(device_array(bias, REAL[element]))
    with np.errstate(all="ignore"):
        shifted = z.astype(REAL[element]) + bias.astype(REAL[element])
        return reference.bias_activation(shifted.astype(np.float64), None, name)[1]


@pytest.mark.parametrize("element", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_forward(name, shape, element):
    rng = np.random.default_rng(shape)
    z, bias = rng.normal(scale=4.0, size=shape), rng.normal(size=shape[1])
    expected = expected_of(name, element, z, bias)
    np.testing.assert_allclose(
        activate(name, element, z, bias), expected, rtol=24 * EPS[element], atol=24e-3 * EPS[element]
    )


@pytest.mark.parametrize("shape", [(3, 5), (5, 16)])
@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_forward_of_bfloat16(name, shape):
    rng = np.random.default_rng(shape)
    z, bias = rng.normal(scale=4.0, size=shape), rng.normal(size=shape[1])
    expected = expected_of(name, "bfloat16", z, bias)
    np.testing.assert_allclose(activate(name, "bfloat16", z, bias), expected, rtol=EPS["bfloat16"], atol=1e-4)


@pytest.mark.parametrize("block", [1, 4, 8])
@pytest.mark.parametrize("columns", [5, 7, 12, 16, 20])
@pytest.mark.parametrize("name", ["identity", "silu"])
def test_a_thread_finds_its_column_after_any_step(name, columns, block):
    """A launch does more than a row at a time, a part of one, or whole rows, where a thread keeps its column."""
    z, bias = np.zeros((11, columns)), np.arange(columns)
    a = activate(name, "float32", z, bias, grid=(2,), block=(block,))
    np.testing.assert_allclose(a, expected_of(name, "float32", z, bias), rtol=1e-6)


@pytest.mark.parametrize("columns", [39, 40])
@pytest.mark.parametrize("name", NAMES)
def test_extremes(name, columns):
    values = np.array(
        [0.0, 1e-45, 1e-38, 1e-7, 0.5, 1.0, 2.999, 3.001, 17.0, 40.0, 87.0, 88.8, 103.0, 120.0, 700.0, 1e4]
    )
    z = np.resize(np.concatenate([values, -values, [np.inf, -np.inf, np.nan]]), (1, columns))
    actual = activate(name, "float32", z, np.zeros(columns))
    with np.errstate(over="ignore"):
        expected = expected_of(name, "float32", z, np.zeros(columns)).astype(np.float32)
    np.testing.assert_allclose(actual, expected, rtol=(400 if name == "gelu" else 8) * EPS["float32"], atol=1e-34)


def test_the_launch_has_a_thread_for_each_access():
    kernel = cuda_kernel("bias_activation", "relu", "float32")
    assert kernel.launch_shape(0, 0, 0, 128, 128) == ((16,), (256,))
    assert kernel.launch_shape(0, 0, 0, 128, 10) == ((5,), (256,))
    assert kernel.launch_shape(0, 0, 0, 16384, 2048) == ((1024,), (256,))
    assert kernel.launch_shape(0, 0, 0, 1, 1) == ((1,), (256,))
