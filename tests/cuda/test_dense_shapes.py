"""How many blocks and threads the kernels of dense layers have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from accelnn_kernels.cuda import dense_shapes
from accelnn_kernels.cuda.shapes import real_of

SIZES = [(1, 1, 1), (10, 784, 128), (128, 784, 128), (128, 128, 64), (128, 64, 10), (512, 1024, 1024), (7, 13, 5)]


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("rule", [dense_shapes.forward, dense_shapes.backward, dense_shapes.weight_gradient])
def test_launches_fit_the_device_and_the_shared_arrays(rule: Any, shape: tuple[int, int, int], element: str) -> None:
    grid, block = rule(dict(zip(("rows", "n_in", "n_out"), shape, strict=True)), element)
    lanes, threads, sizes = block[0] * block[1], int(np.prod(block)), dense_shapes.constants(real_of(element))
    assert all(size & (size - 1) == 0 for size in block), "tiles are found by shifts"
    assert block[0] <= dense_shapes.MAX_LANES >= block[1]
    assert threads <= dense_shapes.MAX_THREADS
    assert 16 * (threads + block[0]) <= sizes["dense_partials"]
    assert max(16 * lanes, threads) <= sizes["dense_outputs"]
    assert block[2] // 16 <= 16, "slices"
    assert sum(sizes.values()) * np.dtype(real_of(element)).itemsize <= 48 << 10
    assert 1 <= grid[0] <= dense_shapes.MAX_BLOCKS


def test_launches_of_the_usual_small_network() -> None:
    """784-128-64-10 and 128 rows: a block for most of the SMs of a large GPU, wherever there is so much to do."""
    layers = [{"rows": 128, "n_in": n_in, "n_out": n_out} for n_in, n_out in ((784, 128), (128, 64), (64, 10))]
    assert [dense_shapes.forward(layer, "float32") for layer in layers] == [
        ((128,), (2, 4, 64)),
        ((128,), (2, 2, 32)),
        ((64,), (2, 1, 64)),
    ]
    assert dense_shapes.weight_gradient(layers[0], "float32") == ((100,), (8, 8, 8))
    assert [dense_shapes.backward(layer, "float32") for layer in layers[1:]] == [
        ((200,), (2, 4, 32)),
        ((290,), (2, 1, 64)),
    ]
