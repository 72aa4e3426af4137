"""How the blocks of the persistent kernel share out the work, and whether what they keep finds room."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from accelnn_kernels.cuda import persistent_shapes
from accelnn_kernels.cuda.persistent_shapes import INTEGERS, MAX_LAYERS, MAX_ROWS, Layer
from accelnn_kernels.cuda.shapes import real_of

NETWORKS = [(784, 128, 64, 10), (784, 10), (5, 3), (1, 1), (784, 512, 64, 10), (3072, 256, 10), (9, 300, 100, 40, 1)]


def layers_of(sizes: tuple[int, ...]) -> list[Layer]:
    return [Layer(*pair) for pair in itertools.pairwise(sizes)]


def shares_of(own: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Return the logarithms of lanes and groups of each product of a layer."""
    tile = own["gradient_rows"] + own["gradient_columns"]
    return {
        "part": (own["gradient_columns"] + own["part_rows"], own["part_groups"]),
        "forward": (own["forward_lanes"], own["forward_groups"]),
        "backward": (own["backward_lanes"], own["backward_groups"]),
        "gradient": (tile, own["gradient_groups"]),
    }


@pytest.mark.parametrize("threads", [8, 128, 256, 512])
@pytest.mark.parametrize("rows", [1, 10, 128, 512])
@pytest.mark.parametrize("sizes", NETWORKS)
def test_products_fit_the_threads_and_the_partial_sums(sizes: tuple[int, ...], rows: int, threads: int) -> None:
    for own in persistent_shapes.lanes(layers_of(sizes), rows, threads):
        for name, (lanes, groups) in shares_of(own).items():
            assert lanes >= 0 <= groups <= persistent_shapes.MAX_GROUP_BITS, name
            assert 1 << (lanes + groups) <= threads, name
            places = 4 * ((1 << (lanes + groups)) + min(1 << lanes, 8))
            assert 4 * places <= 16 * (threads + 8), name


@pytest.mark.parametrize("element", ["float32", "float64"])
@pytest.mark.parametrize("hidden", ["relu", "gelu"])
def test_shared_arrays_are_what_a_block_may_have(hidden: str, element: str) -> None:
    sizes, itemsize = persistent_shapes.constants(element, hidden), np.dtype(real_of(element)).itemsize
    n_bytes = itemsize * (sum(sizes.values()) + len(persistent_shapes.REALS) * MAX_LAYERS)
    n_bytes += 8 * len(INTEGERS) * MAX_LAYERS + 4 * MAX_ROWS + 64
    assert n_bytes <= 48 << 10
    assert sizes["block_threads"] == persistent_shapes.threads(element, hidden)


@pytest.mark.parametrize(("element", "most"), [("float32", 588), ("float64", 284)])
def test_units_of_as_many_rows_as_a_block_has_find_room(element: str, most: int) -> None:
    def fits(units: int, rows: int, blocks: int) -> bool:
        return persistent_shapes.find_room([Layer(4, units - 4), Layer(units - 4, 3)], rows, blocks, element)

    assert fits(most, 128, 32)
    assert fits(most, 4, 1)
    assert not fits(most, 128, 31)
    assert fits(most // 2, 256, 32)
    assert not fits(2 * most, 4, 32)


def test_the_usual_network() -> None:
    """784-128-64-10 and 128 rows: no more tiles than a large GPU has multiprocessors."""
    layers = layers_of((784, 128, 64, 10))
    lanes = persistent_shapes.lanes(layers, 128, 512)
    assert [(own["gradient_rows"], own["gradient_columns"]) for own in lanes] == [(4, 2), (3, 3), (3, 2)]
    assert shares_of(lanes[0])["part"] == (7, 2)
    assert [shares_of(own)["forward"] for own in lanes] == [(5, 3), (4, 4), (2, 4)]
    assert persistent_shapes.useful_blocks(layers, lanes, 128) == 117
    assert persistent_shapes.slab_elements(layers, lanes, 128) == 13 * 128 * 128
    assert [own["place"] for own in lanes] == [0, 132, 200]


def test_a_small_first_layer_is_cut_into_small_tiles() -> None:
    layers = layers_of((64, 32, 10))
    lanes = persistent_shapes.lanes(layers, 32, 512)
    assert (lanes[0]["gradient_rows"], lanes[0]["gradient_columns"]) == persistent_shapes.SMALLEST_TILE
    assert persistent_shapes.useful_blocks(layers, lanes, 32) == math.ceil(65 / 16) * 4 + math.ceil(33 / 16) * 2
