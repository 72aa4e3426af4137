"""Softmax and its gradient on a device, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.cuda.catalog import cuda_kernel
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays import reference

EPS = {"float32": 2.0**-23, "float64": 2.0**-52, "bfloat16": 2.0**-8}
REAL = {"float32": "float32", "float64": "float64", "bfloat16": "float32"}
SHAPES = ((1, 1), (1, 8), (3, 5), (9, 10), (5, 33), (2, 130))
LAUNCHES = ({}, {"grid": (2,), "block": (1, 4)}, {"grid": (1,), "block": (4, 2)}, {"grid": (3,), "block": (32, 1)})


def softmax(element, z, bias, **launch):
    a = device_array(z, element)
    simulate(
        cuda_kernel("bias_activation", "softmax", element),
        (0, device_array(bias, REAL[element]), a, *z.shape),
        **launch,
    )
    return host_values(a, element)


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward(shape, element, launch):
    rng = np.random.default_rng(shape)
    z, bias = rng.normal(scale=4.0, size=shape), rng.normal(size=shape[1])
    stored = host_values(device_array(z, element), element) + host_values(device_array(bias, REAL[element]))
    expected = reference.ACTIVATIONS["softmax"](stored)
    np.testing.assert_allclose(
        softmax(element, z, bias, **launch), expected, rtol=40 * min(EPS[element], 1e-4), atol=EPS[element]
    )


@pytest.mark.parametrize("launch", LAUNCHES)
def test_extremes(launch):
    z = np.array([[1e4, 1e4, -1e4, 1e4], [-1e4, 0.0, 1e4, 3e38], [0.0, np.nan, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    a = softmax("float32", z, np.zeros(4), **launch)
    np.testing.assert_allclose(a, [[1 / 3, 1 / 3, 0, 1 / 3], [0, 0, 0, 1], 4 * [np.nan], 4 * [0.25]], rtol=1e-6)


def gradient(element, d, a, **launch):
    rows, columns = d.shape
    d_, a_ = device_array(d, element), device_array(a, element)
    db, parts, counter = (
        poisoned(columns, REAL[element]),
        poisoned((64, columns), REAL[element]),
        device_array([0] * 256),
    )
    kernel = cuda_kernel("activation_gradient", "softmax", element)
    simulate(kernel, (d_, a_, a_, db, rows, columns, parts, counter), **launch)
    assert (counter == 0).all()
    return host_values(d_, element), host_values(db)


@pytest.mark.parametrize("launch", [{}, *({**launch, "grid": (1, *launch["grid"])} for launch in LAUNCHES[1:])])
@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", [*SHAPES, (7, 16)])
def test_gradient(shape, element, launch):
    rng = np.random.default_rng(shape)
    d, a = rng.normal(size=shape), reference.ACTIVATIONS["softmax"](rng.normal(size=shape))
    dz, db = gradient(element, d, a, **launch)
    d, a = (host_values(device_array(array, element), element) for array in (d, a))
    expected, sums = reference.activation_gradient(d, a, a, "softmax")
    np.testing.assert_allclose(dz, expected, rtol=EPS[element], atol=40 * min(EPS[element], 1e-4))
    np.testing.assert_allclose(db, sums, atol=4 * EPS[element] * shape[0])


def test_launches_share_long_rows_and_small_batches_out():
    forward, backward = (cuda_kernel(kind, "softmax", "float32") for kind in ("bias_activation", "activation_gradient"))
    assert forward.launch_shape(0, 0, 0, 128, 10) == ((8,), (16, 16))
    assert forward.launch_shape(0, 0, 0, 16384, 10) == ((256,), (4, 64))
    assert forward.launch_shape(0, 0, 0, 16384, 1000) == ((1024,), (256, 1))
    assert backward.launch_shape(0, 0, 0, 0, 16384, 10, 0, 0) == ((1, 64), (4, 64))
    assert backward.launch_shape(0, 0, 0, 0, 10, 5000, 0, 0) == ((1, 1), (256, 1))
