"""The tables that the persistent kernel reads, and how its blocks share out the work.

Nothing but :func:`find_room` depends on the device: where a network finds room, it has the same sums on every GPU.

The sizes below follow from these numbers of an H100 (132 SMs, 1.7 GHz) and 784-128-64-10 with 128 rows of pixels; none
of them was measured yet.

- Tiles of 64 x 16 weights of the first layer: 104 blocks have one. With 128 rows such a block does 4096 products of a
  warp forward and as many for the gradient, 1024 cycles each. The 13 slabs of inputs leave 0.9 MB of sums, of which the
  32 blocks that have rows read 27 KB each.
- The 13 tiles of the other layers' weights find a block without one of the first layer's.
- A block takes four rows: 33 KB of inner weights are read for them, about 600 cycles at what an SM gets out of the L2
  cache. With fewer rows all SMs together would read more than the cache gives.
- Counted in the compiled code (tests/cuda/ptx/effort.py): the warps of the busiest SM execute 14, 22 and 18 thousand
  instructions in the three parts of a step, of which an SM begins four in a cycle at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from accelnn_kernels.activations import KEEPS_Z
from accelnn_kernels.cuda import dense_shapes
from accelnn_kernels.cuda.shapes import ITEMSIZE, Shape, power_of_two_bits, real_of, width_of

MAX_LAYERS = 8

MAX_ROWS = 512
"""Rows of a batch whose numbers have a place in shared memory."""

INTEGERS = (
    *("n_in", "n_out", "weight", "is_wide", "bias", "own_bias", "a", "d", "place"),
    *("part_rows", "part_groups", "forward_lanes", "forward_groups", "backward_lanes", "backward_groups"),
    *("gradient_columns", "gradient_rows", "gradient_groups"),
)
"""What the kernel knows of a layer, int64: sizes, addresses, and logarithms of lanes and groups.

is_wide: whether the weight can be read 16 bytes at a time, in whole blocks of 4 x 4. own_bias: the address of the bias
if it is a parameter; 0 for a layer that has none. a, d: the addresses of its outputs and of its dz, in fours. place:
the number of its first four among those of all layers. part: of the products with the first layer's own tiles, 0
elsewhere.
"""

REALS = ("l1_weight", "l2_weight", "l1_bias", "l2_bias")
"""The penalties of a layer, in the kernel's reals."""

FIRST_TILE = (4, 2)
"""Logarithms of the quads of inputs and of outputs of the largest tile of the first layer's weight."""

SMALLEST_TILE = (2, 1)

MAX_GROUP_BITS = 4
"""So that there are 16 addends at most."""

BUSY_BITS = 8
"""Logarithm of the threads that do products of a block's own rows, where these have enough lanes.

With more threads each would have so little to do that most of its time would go into finding out what.
"""

UNIT_BYTES = 9600
"""Shared memory for what the layers hand on: a fifth of what a block has, most of the rest is for partial sums."""


class Layer(NamedTuple):
    """The size of a dense layer."""

    n_in: int
    n_out: int


def threads(element: str, hidden: str) -> int:
    """Return how many threads a block has on a device, for a network with this activation in its hidden layers.

    They share the registers of an SM. Where derivatives need z beside a, 512 have too few, and too little memory.
    """
    most = dense_shapes.THREADS_OF_WIDTH * width_of(real_of(element))
    return most // 2 if hidden in KEEPS_Z else most


def constants(element: str, hidden: str) -> dict[str, int]:
    """Return the sizes of a block's shared arrays, by their names in the templates.

    partials: four fours of each thread and some places between them; outputs and gradients of a quad of rows go there
    as well.
    """
    n_threads, units = threads(element, hidden), _unit_elements(element)
    return {
        "block_threads": n_threads,
        "persistent_units": units,
        "persistent_zs": units if hidden in KEEPS_Z else 1,
        "persistent_partials": max(16 * (n_threads + 8), 2 * units),
    }


def launch_shape(arguments: Mapping[str, Any], element: str) -> Shape:
    """Return as many blocks and threads as the arguments say: all blocks have to be on the device at the same time."""
    return (arguments["blocks"],), (arguments["threads"],)


def lanes(layers: Sequence[Layer], rows: int, n_threads: int) -> list[dict[str, int]]:
    """Return the fields behind the addresses of each layer, for blocks of ``n_threads`` threads, a power of two."""
    most, found, place = power_of_two_bits(n_threads), [], 0
    for number, (layer, tile) in enumerate(zip(layers, _tiles(layers, most), strict=True)):
        is_first = number == 0
        terms = _count(layer.n_in, tile[0]) if is_first else quads(layer.n_in)
        part_rows = _bits(quads(rows), most - tile[1] - 2) if is_first else 0
        forward, backward = _bits(quads(layer.n_out), most - 2), _bits(quads(layer.n_in), most - 2)
        found.append(
            {
                "place": place,
                "part_rows": part_rows,
                "part_groups": _group_bits(1 << tile[0], most - tile[1] - part_rows) if is_first else 0,
                "forward_lanes": forward,
                "forward_groups": _group_bits(terms, min(most, max(BUSY_BITS, forward + 2)) - forward),
                "backward_lanes": backward,
                "backward_groups": _group_bits(quads(layer.n_out), min(most, max(BUSY_BITS, backward + 2)) - backward),
                "gradient_columns": tile[1],
                "gradient_rows": tile[0],
                "gradient_groups": _group_bits(quads(rows), most - tile[0] - tile[1]),
            }
        )
        place += fours(layer.n_out)
    return found


def quads(size: int) -> int:
    """Return how many fours of units, or of rows, there are, the last one perhaps with fewer."""
    return -(-size // 4)


def fours(n_out: int) -> int:
    """Return how many fours the units of a layer take, of a quad of rows: behind the last unit there is a 1."""
    return 4 * (n_out // 4 + 1)


def slab_elements(layers: Sequence[Layer], lanes: Sequence[Mapping[str, int]], rows: int) -> int:
    """Return how many reals the sums take that the tiles of the first layer's weight leave."""
    slabs = _count(layers[0].n_in, lanes[0]["gradient_rows"])
    return 16 * slabs * quads(rows) * quads(layers[0].n_out)


def find_room(layers: Sequence[Layer], rows: int, blocks: int, element: str) -> bool:
    """Return whether the units of all rows that a block has to do find room in its shared memory."""
    held = -(-quads(rows) // blocks)
    return 4 * held * sum(fours(layer.n_out) for layer in layers) <= _unit_elements(element)


def useful_blocks(layers: Sequence[Layer], lanes: Sequence[Mapping[str, int]], rows: int) -> int:
    """Return how many blocks find something to do in the largest of a step's parts."""
    tiles = sum(
        _count(layer.n_in + 1, own["gradient_rows"]) * _count(layer.n_out, own["gradient_columns"])
        for layer, own in zip(layers, lanes, strict=True)
    )
    return max(quads(rows), tiles)


def _unit_elements(element: str) -> int:
    return UNIT_BYTES // ITEMSIZE[real_of(element)]


def _count(size: int, bits: int) -> int:
    """Return how many tiles with 2^bits quads cover so many rows or columns."""
    return -(-size // (4 << bits))


def _bits(size: int, most: int) -> int:
    return min(power_of_two_bits(size), max(0, most))


def _group_bits(terms: int, most: int) -> int:
    return min(power_of_two_bits(terms), most, MAX_GROUP_BITS)


def _tiles(layers: Sequence[Layer], most: int) -> list[tuple[int, int]]:
    """Return the logarithms of the quads of inputs and outputs in a tile of each layer's weight."""
    weights = sum((layer.n_in + 1) * layer.n_out for layer in layers)
    found = []
    for number, layer in enumerate(layers):
        share = -(-dense_shapes.MIN_TILES * (layer.n_in + 1) * layer.n_out // weights)
        found.append(_tile(layer, share, FIRST_TILE if number == 0 else (3, 3), most))
    return found


def _tile(layer: Layer, least: int, largest: tuple[int, int], most: int) -> tuple[int, int]:
    """Return the largest tile of which a layer has ``least``, for at most 2^``most`` threads."""
    down = min(largest[0], power_of_two_bits(quads(layer.n_in + 1)))
    across = min(largest[1], power_of_two_bits(quads(layer.n_out)))
    while _count(layer.n_in + 1, down) * _count(layer.n_out, across) < least:
        more_down, more_across = down - SMALLEST_TILE[0], across - SMALLEST_TILE[1]
        if max(more_down, more_across) <= 0:
            break
        down, across = (down - 1, across) if more_down >= more_across else (down, across - 1)
    while down + across > most:
        down, across = (down - 1, across) if down >= across else (down, across - 1)
    return down, across
