"""The tables that the persistent kernel reads, and how its blocks share out the work.

None of it depends on the device: the same network and batch have the same sums on every GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from accelnn_kernels.activations import KEEPS_Z
from accelnn_kernels.cuda import dense_shapes
from accelnn_kernels.cuda.shapes import Shape, power_of_two_bits, real_of, width_of

MAX_LAYERS = 8

INTEGERS = (
    *("n_in", "n_out", "weight", "bias", "own_bias", "x", "z", "a", "da", "dx"),
    *("forward_columns", "forward_rows", "backward_columns", "gradient_columns", "gradient_rows"),
)
"""What the kernel knows of a layer, int64: sizes, addresses as in ``accelnn_kernels.tables``, logarithms of lanes.

own_bias: the address of the bias if it is a parameter; 0 for a layer that has none.
"""

REALS = ("l1_weight", "l2_weight", "l1_bias", "l2_bias")
"""The penalties of a layer, in the kernel's reals."""

BLOCKS = 128
"""Blocks that the work is cut up for: about one for each SM of a large GPU."""


class Layer(NamedTuple):
    """The size of a dense layer."""

    n_in: int
    n_out: int


def threads(element: str, hidden: str) -> int:
    """Return how many threads a block has on a device, for a network with this activation in its hidden layers.

    They share the registers of an SM. Where derivatives need z beside a, 512 have too few.
    """
    most = dense_shapes.THREADS_OF_WIDTH * width_of(real_of(element))
    return min(most, 256) if hidden in KEEPS_Z else most


def launch_shape(arguments: Mapping[str, Any], element: str) -> Shape:
    """Return as many blocks and threads as the arguments say: all blocks have to be on the device at the same time."""
    return (arguments["blocks"],), (arguments["threads"],)


def row_bits(rows: int) -> int:
    """Return the logarithm of the lanes over the rows of which a block does all layers but the first.

    With as few rows as possible, so that many blocks have some.
    """
    return min(3, power_of_two_bits(-(-rows // (4 * BLOCKS))))


def lanes(layers: Sequence[Layer], rows: int, n_threads: int) -> list[dict[str, int]]:
    """Return the last five of INTEGERS of each layer, for blocks of ``n_threads`` threads, a power of two."""
    outputs = sum((layer.n_in + 1) * layer.n_out for layer in layers)
    most = power_of_two_bits(min(64, n_threads))
    of_rows = min(row_bits(rows), most)
    found = []
    for number, layer in enumerate(layers):
        share = -(-dense_shapes.MIN_TILES * (layer.n_in + 1) * layer.n_out // outputs)
        gradient = _bits((layer.n_in + 1, layer.n_out), share, most)
        first = _bits((rows, layer.n_out), dense_shapes.MIN_TILES, most)
        forward = first if number == 0 else (of_rows, _column_bits(layer.n_out, most - of_rows))
        sizes = (forward[1], forward[0], _column_bits(layer.n_in, most - of_rows), gradient[1], gradient[0])
        found.append(dict(zip(INTEGERS[-5:], sizes, strict=True)))
    return found


def useful_blocks(layers: Sequence[Layer], lanes: Sequence[Mapping[str, int]], rows: int) -> int:
    """Return how many blocks find something to do in the largest of a step's three parts."""
    first, own = layers[0], lanes[0]
    forward = _tiles(rows, own["forward_rows"]) * _tiles(first.n_out, own["forward_columns"])
    gradients = sum(
        _tiles(layer.n_in + 1, own["gradient_rows"]) * _tiles(layer.n_out, own["gradient_columns"])
        for layer, own in zip(layers, lanes, strict=True)
    )
    return max(forward, _tiles(rows, row_bits(rows)), gradients)


def _tiles(size: int, bits: int) -> int:
    return -(-size // (4 << bits))


def _column_bits(columns: int, most: int) -> int:
    """Return the logarithm of the lanes that cover the columns, 1 at least, or of as many as there may be."""
    return min(max(1, power_of_two_bits(-(-columns // 4))), most)


def _bits(shape: tuple[int, int], tiles: int, most: int) -> tuple[int, int]:
    """Return the logarithms of the lanes over rows and columns of the largest tile of which there are so many."""
    down, across = (bits.bit_length() - 1 for bits in dense_shapes.lanes_of_tile([shape], tiles))
    while down + across > most:
        down, across = (down - 1, across) if down >= across else (down, across - 1)
    return down, across
