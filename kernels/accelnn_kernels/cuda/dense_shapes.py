"""How the kernels of dense layers share out their work: lanes over a tile, groups over the terms of a sum, blocks.

The sizes below follow from these numbers of an H100 (132 SMs, 1.7 GHz) and the first layer of 784-128-64-10 with 128
rows of pixels; none of them was measured yet.

- A tile of 16 x 8 outputs makes 128 blocks. Each reads 784 x (16 x 1 + 8 x 4) bytes = 37 KB, which at about 24 bytes
  per cycle and SM (what all SMs together get out of the L2 cache) takes 1600 cycles; one of 8 x 4 would read half as
  much in each of four times as many blocks.
- Its 100352 products take 784 cycles at 128 per cycle, converting and scaling the pixels another 400.
- 512 threads of 4 x 4 outputs make 64 groups, so the 196 fours of each sum are done in 3 to 4 steps. In a step, a
  thread has 4 x 4 bytes of pixels and 4 x 16 bytes of weights under way, an SM 40 KB: more than the 18 KB that 24 bytes
  per cycle need at a latency of 750 cycles.
- Adding up the groups moves 512 x 16 sums to shared memory and back, 2 x 256 cycles. For sums of few terms there are
  fewer groups, and this takes as much less.
- Its weight gradient has 785 x 128 outputs of 128 terms: 100 tiles of 32 x 32, which read 20 KB each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelnn_kernels.cuda.shapes import Shape, power_of_two, real_of, width_of

THREADS_OF_WIDTH = 128
"""Threads of a block per element of a wide access: 512 for float32; of float64, half as many fill the shared memory."""

MAX_THREADS = 512
"""Threads of a block in any of the dtypes."""

MAX_LANES = 8
"""Threads side by side over a tile, in each direction; a thread has four rows and four columns."""

MAX_GROUPS = 64
"""Groups of threads over the terms of a sum: they are the third direction of a block, which CUDA allows so many."""

MIN_COLUMN_LANES = 2
"""So that a row of a tile has the 32 bytes that memory moves at a time."""

MIN_TILES = 96
"""Tiles are halved until there are so many in each of a launch's products: one for most of the SMs of a large GPU."""

MAX_BLOCKS = 1 << 16


def constants(real: str) -> dict[str, int]:
    """Return the sizes of a block's shared arrays, by their names in the templates.

    dense_outputs: the outputs of the largest tile. dense_partials: 16 sums of each thread, and unused places.
    """
    threads = THREADS_OF_WIDTH * width_of(real)
    return {"dense_outputs": 16 * MAX_LANES**2, "dense_partials": 16 * (threads + MAX_LANES)}


def forward(arguments: Mapping[str, Any], element: str) -> Shape:
    """Return the shape for x W."""
    rows, n_in, n_out = (arguments[name] for name in ("rows", "n_in", "n_out"))
    return _shape([(rows, n_out, n_in)], _terms_of_a_step(n_in, n_out), element)


def backward(arguments: Mapping[str, Any], element: str) -> Shape:
    """Return the shape for dz W^T and x^T dz side by side."""
    rows, n_in, n_out = (arguments[name] for name in ("rows", "n_in", "n_out"))
    return _shape([(rows, n_in, n_out), (n_in + 1, n_out, rows)], _terms_of_a_step(n_in, n_out), element)


def weight_gradient(arguments: Mapping[str, Any], element: str) -> Shape:
    """Return the shape for x^T dz."""
    rows, n_in, n_out = (arguments[name] for name in ("rows", "n_in", "n_out"))
    return _shape([(n_in + 1, n_out, rows)], _terms_of_a_step(n_in, n_out), element)


def _terms_of_a_step(n_in: int, n_out: int) -> int:
    """Return how many terms of its sums a thread reads at a time."""
    return 4 if n_in % 4 == n_out % 4 == 0 else 1


def _shape(products: list[tuple[int, int, int]], of_a_step: int, element: str) -> Shape:
    """Return the shape for products of (rows, columns, terms): as many groups as the longest sum has steps, or fit."""
    outputs = [product[:2] for product in products]
    lanes = lanes_of_tile(outputs, MIN_TILES * len(products))
    terms = max(product[2] for product in products)
    room = THREADS_OF_WIDTH * width_of(real_of(element)) // (lanes[0] * lanes[1])
    groups = min(room, MAX_GROUPS, power_of_two(-(-terms // of_a_step)))
    return (max(1, min(_tiles(outputs, lanes), MAX_BLOCKS)),), (
        lanes[1],
        lanes[0],
        groups,
    )


def lanes_of_tile(shapes: Sequence[tuple[int, int]], least: int) -> tuple[int, int]:
    """Return (over rows, over columns) the lanes of the largest tile of which ``shapes`` have ``least`` together."""
    rows, columns = (max(shape[axis] for shape in shapes) for axis in (0, 1))
    down = min(MAX_LANES, power_of_two(-(-rows // 4)))
    across = min(MAX_LANES, max(MIN_COLUMN_LANES, power_of_two(-(-columns // 4))))
    while _tiles(shapes, (down, across)) < least and (down, across) != (1, MIN_COLUMN_LANES):
        if across >= down and across > MIN_COLUMN_LANES:
            across //= 2
        else:
            down //= 2
    return down, across


def _tiles(shapes: Sequence[tuple[int, int]], lanes: tuple[int, int]) -> int:
    """Return how many tiles cover all outputs of these shapes."""
    down, across = lanes
    return sum(-(-rows // (4 * down)) * -(-columns // (4 * across)) for rows, columns in shapes)
