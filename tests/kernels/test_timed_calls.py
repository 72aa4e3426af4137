"""Calls that take times book them in the row that stands for a kernel, compiled and as plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels import profile
from accelnn_kernels.catalog import kernel, probe, timed_calls
from accelnn_kernels.team import new_team_memory

from accelnn.training.runners.team import yield_address

MARK, KERNEL, TICKS, CALLS = range(4)


@pytest.fixture
def numbers() -> np.ndarray:
    return np.arange(6.0)


def a_copy() -> int:
    return int(kernel("copy", "", "float64").address)


def test_a_row_is_called_as_its_kernel_and_its_time_is_booked(numbers: np.ndarray) -> None:
    rows, target = profile.new_rows([a_copy()]), np.zeros(6)
    whole = probe()(rows.ctypes.data, (numbers.ctypes.data, target.ctypes.data, 6), 1000)
    assert (target == numbers).all()
    assert rows[0, CALLS] == 1000
    assert 0 < rows[0, TICKS] <= whole
    assert (rows[0, MARK], rows[0, KERNEL]) == (profile.MARK, a_copy())


def test_an_address_that_is_no_row_is_called_and_booked_nowhere(numbers: np.ndarray) -> None:
    target = np.zeros(6)
    assert probe()(a_copy(), (numbers.ctypes.data, target.ctypes.data, 6), 3) > 0
    assert (target == numbers).all()


def test_rows_lie_apart() -> None:
    rows = profile.new_rows([7, 8])
    assert rows.strides[0] == 64
    assert rows[:, KERNEL].tolist() == [7, 8]
    assert not rows[:, TICKS:].any()


def test_timed_calls_in_python(numbers: np.ndarray) -> None:
    calls, target = timed_calls(compiled=False), np.zeros(6)
    squares = kernel("sum_of_squares", "", "float64").address
    rows = profile.new_rows([a_copy(), squares, yield_address()])
    copied, summed, waited = (rows.ctypes.data + rows.strides[0] * i for i in range(3))
    for address in (copied, a_copy()):
        calls["invoke"](address, (numbers.ctypes.data, target.ctypes.data, 6))
    for address in (summed, squares):
        assert calls["measure"](address, (numbers.ctypes.data, 6)) == 55.0
    assert calls["wait"](new_team_memory().ctypes.data, 1, waited)
    assert (target == numbers).all()
    assert rows[:, CALLS].tolist() == [1, 1, 1]
    assert (rows[:2, TICKS] > 0).all()


@pytest.mark.parametrize(
    ("machine", "known"), [("x86_64", True), ("AMD64", True), ("aarch64", True), ("arm64", True), ("riscv64", False)]
)
def test_processors_with_a_clock(machine: str, known: bool) -> None:
    assert profile.has_clock(machine) is known
