"""Dense layers in one launch forward and one backward, against plain products."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from accelnn_kernels.activations import KEEPS_Z
from accelnn_kernels.cuda.catalog import cuda_kernel
from dense_layers import a_layer, check_sums, check_weight_gradients, scores
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays import reference

NAMES = tuple(reference.DERIVATIVES)

SHAPES = ((1, 1, 1), (4, 4, 4), (5, 8, 12), (10, 20, 8), (3, 7, 5), (9, 12, 10), (6, 40, 36))
"""(rows, n_in, n_out): numbers one by one and 16 bytes at a time, several tiles, and more terms than groups."""


def forward(layer: SimpleNamespace, name: str, **launch: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return (z, a) as the kernel leaves them."""
    rows, _, n_out = layer.shape
    z, a = poisoned((rows, n_out), layer.element), poisoned((rows, n_out), layer.element)
    d = layer.device
    simulate(cuda_kernel("dense_forward", name, layer.element), (d.x, d.weight, d.bias, z, a, *layer.shape), **launch)
    return host_values(z, layer.element), host_values(a, layer.element)


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward(shape: tuple[int, int, int], element: str) -> None:
    layer = a_layer(*shape, element)
    z, a = forward(layer, "identity")
    check_sums(a, *scores(layer), layer.real, element)
    assert np.isnan(z).all(), "z is not used"


@pytest.mark.parametrize("name", NAMES)
def test_forward_with_every_activation(name: str) -> None:
    layer = a_layer(5, 8, 12, "float64")
    z, a = forward(layer, name)
    expected, _ = scores(layer)
    np.testing.assert_allclose(a, reference.ACTIVATIONS[name](expected), rtol=1e-12, atol=1e-12)
    if name in KEEPS_Z:
        np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-12)
    else:
        assert np.isnan(z).all()


def backward(layer: SimpleNamespace, name: str, with_db: bool = True, **launch: Any) -> SimpleNamespace:
    """Return dx, dw and db, and what the kernel was given as z and a of the layer below."""
    rows, n_in, n_out = layer.shape
    z = host_values(device_array(np.random.default_rng(rows).normal(size=(rows, n_in)), layer.element), layer.element)
    a = reference.ACTIVATIONS[name](z)
    z_, a_ = device_array(z, layer.element), device_array(a, layer.element)
    z_below = z_ if name in KEEPS_Z else 0
    below = (0, 0) if name == "identity" else (z_below, a_)
    dx, dw, db = poisoned((rows, n_in), layer.element), poisoned((n_in, n_out), layer.real), poisoned(n_out, layer.real)
    d, kernel = layer.device, cuda_kernel("dense_backward", name, layer.element)
    simulate(kernel, (d.dz, d.x, d.weight, *below, dx, dw, db if with_db else 0, *layer.shape), **launch)
    a = host_values(a_, layer.element)
    return SimpleNamespace(dx=host_values(dx, layer.element), dw=host_values(dw), db=host_values(db), z=z, a=a)


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_backward(shape: tuple[int, int, int], element: str) -> None:
    layer = a_layer(*shape, element)
    found = backward(layer, "identity")
    sizes = np.abs(layer.dz) @ np.abs(layer.weight.T)
    check_sums(found.dx, layer.dz @ layer.weight.T, sizes, layer.real, element)
    check_weight_gradients(found.dw, found.db, layer.x, layer.dz, layer.real)


@pytest.mark.parametrize("name", NAMES)
def test_backward_through_every_activation(name: str) -> None:
    layer = a_layer(5, 8, 12, "float64")
    found = backward(layer, name)
    expected = (layer.dz @ layer.weight.T) * reference.DERIVATIVES[name](found.z, found.a)
    np.testing.assert_allclose(found.dx, expected, rtol=1e-10, atol=1e-12)
    check_weight_gradients(found.dw, found.db, layer.x, layer.dz, "float64")


@pytest.mark.parametrize("shape", [(5, 32, 12), (4, 8, 8), (3, 7, 5)])
def test_gradients_of_the_bias_may_not_be_wanted(shape: tuple[int, int, int]) -> None:
    layer = a_layer(*shape, "float32")
    found = backward(layer, "identity", with_db=False)
    check_sums(found.dw, layer.x.T @ layer.dz, np.abs(layer.x).T @ np.abs(layer.dz), "float32", "float32")
    assert np.isnan(found.db).all()


BLOCKS = ((1, 1, 1), (1, 2, 4), (2, 1, 2), (4, 2, 1), (2, 2, 8), (1, 1, 32))
"""Lanes over columns, lanes over rows, groups."""


@pytest.mark.parametrize("grid", [1, 3])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("shape", [(9, 20, 12), (6, 13, 10)])
def test_every_launch_does_all_tiles(shape: tuple[int, int, int], block: tuple[int, ...], grid: int) -> None:
    layer = a_layer(*shape, "float32")
    _, a = forward(layer, "identity", grid=(grid,), block=block)
    check_sums(a, *scores(layer), "float32", "float32")
    found = backward(layer, "relu", grid=(grid,), block=block)
    sizes = np.abs(layer.dz) @ np.abs(layer.weight.T)
    check_sums(found.dx, (layer.dz @ layer.weight.T) * (found.a > 0), sizes, "float32", "float32")
    check_weight_gradients(found.dw, found.db, layer.x, layer.dz, "float32")


def test_the_number_of_blocks_changes_no_bit() -> None:
    layer = a_layer(9, 20, 12, "float32")
    found = [backward(layer, "tanh", grid=(grid,), block=(1, 2, 4)) for grid in (1, 2, 5)]
    for other in found[1:]:
        for name in ("dx", "dw", "db"):
            np.testing.assert_array_equal(getattr(found[0], name), getattr(other, name))


LARGE = [((20, 44, 36), (8, 8, 8)), ((18, 45, 33), (8, 8, 8)), ((3, 44, 8), (2, 1, 256)), ((3, 45, 7), (2, 1, 256))]


@pytest.mark.parametrize(("shape", "block"), LARGE)
def test_blocks_as_large_as_on_a_device(shape: tuple[int, int, int], block: tuple[int, ...]) -> None:
    """All 512 threads: the largest tile, then the most groups, with the most shared memory."""
    layer = a_layer(*shape, "float32")
    _, a = forward(layer, "identity", grid=(1,), block=block)
    check_sums(a, *scores(layer), "float32", "float32")


def test_weights_that_begin_anywhere() -> None:
    """They are parts of an arena: aligned to elements, no more."""
    layer = a_layer(5, 8, 12, "float32")
    whole = poisoned(8 * 12 + 1, "float32")
    whole[1:] = layer.weight.ravel()
    layer.device.weight = whole[1:]
    check_sums(forward(layer, "identity")[1], *scores(layer), "float32", "float32")
    found = backward(layer, "identity")
    sizes = np.abs(layer.dz) @ np.abs(layer.weight.T)
    check_sums(found.dx, layer.dz @ layer.weight.T, sizes, "float32", "float32")


@pytest.mark.parametrize("n_out", [8, 7])
def test_nan_and_infinity_reach_what_depends_on_them_only(n_out: int) -> None:
    layer = a_layer(6, 8, n_out, "float32")
    layer.device.x[4, 3], layer.device.dz[2, 1] = np.inf, np.nan
    _, a = forward(layer, "identity")
    assert (np.isfinite(a).all(axis=1) == (np.arange(6) != 4)).all()
    found = backward(layer, "identity")
    assert (np.isfinite(found.dx).all(axis=1) == (np.arange(6) != 2)).all()
    hit = (np.arange(8)[:, None] == 3) | (np.arange(n_out)[None, :] == 1)
    np.testing.assert_array_equal(np.isfinite(found.dw), ~hit)
    np.testing.assert_array_equal(np.isfinite(found.db), np.arange(n_out) != 1)
