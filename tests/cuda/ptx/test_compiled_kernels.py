"""Compiled kernels with a mistake in them: what neither the simulator nor the assembler would see."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from accelnn_kernels.compiler import bind
from accelnn_kernels.cuda.catalog import CudaKernel, cuda_kernel

from ptx import compiled
from ptx.faults import MemoryFault, Race
from ptx.machine import Launch
from ptx.memory import Memory
from ptx.snippets import device_array
from ptx.translation import translate


def launch(ptx: str, arrays: tuple[Any, ...], grid: int, block: int, seed: int = 0) -> None:
    memory = Memory()
    for array in arrays:
        if isinstance(array, np.ndarray):
            memory.add_array(array)
    arguments = tuple(np.int64(a.ctypes.data if isinstance(a, np.ndarray) else a) for a in arrays)
    Launch(translate(ptx), "kernel", arguments, (grid,), (block,), memory, seed=seed).run()


def without(instruction: str, number: int, ptx: str) -> str:
    """Return PTX without one of the places where an instruction stands."""
    places = list(re.finditer(instruction + r"\s*0?;", ptx))
    return ptx[: places[number].start()] + ptx[places[number].end() :]


def squares(ptx: str, blocks: int = 3, seed: int = 0) -> float:
    """Return the sum of 300 squares over several blocks, of which the last one to come adds up the others' parts."""
    values, result = device_array(np.arange(300, dtype=np.float32)), device_array(np.zeros(1, np.float32))
    scratch = device_array(np.zeros(blocks, np.float32)), device_array(np.zeros(1, np.int64))
    launch(ptx, (values, 300, *scratch, result), blocks, 32, seed)
    return float(result[0])


@pytest.fixture(scope="module")
def sum_of_squares() -> str:
    return compiled.ptx_of(cuda_kernel("sum_of_squares", "", "float32"))


def test_the_last_block_adds_up(sum_of_squares: str) -> None:
    for seed in range(5):
        assert squares(sum_of_squares, seed=seed) == pytest.approx((np.arange(300.0) ** 2).sum(), rel=1e-6)


@pytest.mark.parametrize("number", [0, 1])
def test_the_last_block_needs_both_fences(sum_of_squares: str, number: int) -> None:
    with pytest.raises(Race, match=r"(?s)12 bytes.*st\.global.*ld\.global"):
        squares(without(r"membar\.gl", number, sum_of_squares))


def test_a_single_block_needs_none(sum_of_squares: str) -> None:
    squares(sum_of_squares.replace("membar.gl;", ""), blocks=1)


def test_the_first_barrier_of_a_sum(sum_of_squares: str) -> None:
    with pytest.raises(Race, match=r"shared _cudapy_smem"):
        squares(without(r"bar\.sync", 0, sum_of_squares))


def planted(template: Callable[..., None], name: str) -> str:
    """Return the PTX of a float32 kernel that is not in the catalog; all of its arguments are int64."""
    scope = cuda_kernel("update", "adam", "float32").python.__globals__
    return CudaKernel(bind(template, scope, name), "update", "float32").ptx(compiled.COMPUTE_CAPABILITY)


def fill_rows(values, rows, columns):
    """The place of a row as an int32: right as long as all of them are below 2^31."""
    row = int32(first_element())  # noqa: F821
    if row < rows:
        store(values, int32(row * int32(columns)), real(1))  # noqa: F821


def test_a_product_of_int32_that_overflows() -> None:
    ptx, values = planted(fill_rows, "fill_rows"), device_array(np.zeros(8, np.float32))
    launch(ptx, (values, 8, 1), 2, 4)
    np.testing.assert_array_equal(values, 1)
    with pytest.raises(MemoryFault, match=r"thread \(1, 0, 0\): global .* behind it"):
        launch(ptx, (values, 2, 1 << 31), 1, 2)


def double_words(values, size):
    """Elements of 4 bytes, taken for such of 8."""
    i = first_element()  # noqa: F821
    if i < size:
        store_int(values, i, 2 * load_int(values, i))  # noqa: F821


def test_elements_that_are_taken_for_wider_ones() -> None:
    with pytest.raises(MemoryFault, match=r"thread \(16, 0, 0\): global .* outside"):
        launch(planted(double_words, "double_words"), (device_array(np.ones(32, np.int32)), 32), 1, 32)
