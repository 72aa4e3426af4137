"""Every launch has a shape that CUDA accepts, whatever the sizes: a simulator accepts any."""

from __future__ import annotations

import itertools
import math

import pytest
from accelnn_kernels.cuda import kinds, shapes

LIMITS = (2**31 - 1, 65535, 65535), (1024, 1024, 64)
"""Blocks of a launch and threads of a block, in the three directions (CUDA Programming Guide, compute capabilities)."""

SIZES = (1, 2, 3, 7, 10, 16, 33, 64, 100, 128, 784, 1000, 4096, 16384)
LARGE = (1 << 20, 1 << 26)


def objection(grid: tuple[int, ...], block: tuple[int, ...]) -> str:
    """Return what CUDA would not accept, "" if nothing."""
    for what, shape, limits in (("grid", grid, LIMITS[0]), ("block", block, LIMITS[1])):
        if not all(1 <= n <= limit for n, limit in zip(shape, limits, strict=False)):
            return f"{what} {shape}"
    return f"{math.prod(block)} threads" if math.prod(block) > 1024 else ""


def rules(kind: str) -> list[shapes.Rule]:
    return [kinds.KINDS[kind].shape, *kinds.KINDS[kind].other_shapes.values()]


@pytest.mark.parametrize("kind", kinds.KINDS)
@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
def test_launches_are_legal(kind: str, element: str) -> None:
    for rule in rules(kind):
        for rows, n_in, n_out in itertools.product(SIZES, repeat=3):
            sizes = {"rows": rows, "columns": n_out, "n_in": n_in, "n_out": n_out, "size": rows * n_out}
            assert not objection(*rule(sizes, element)), sizes


@pytest.mark.parametrize("kind", [kind for kind in kinds.KINDS if not kind.startswith("dense")])
def test_large_launches_are_legal(kind: str) -> None:
    for rule in rules(kind):
        for rows, columns in ((LARGE[0], 100), (100, LARGE[0]), (LARGE[1], 1), (1, LARGE[1])):
            sizes = {"rows": rows, "columns": columns, "size": rows * columns}
            assert not objection(*rule(sizes, "float32")), sizes


@pytest.mark.parametrize(
    ("grid", "block"), [((1,), (2, 1, 128)), ((0,), (1,)), ((1, 1 << 16), (32,)), ((1,), (32, 64)), ((1,), (2048,))]
)
def test_what_cuda_refuses(grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    assert objection(grid, block)
