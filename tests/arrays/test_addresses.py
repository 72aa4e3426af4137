"""Addresses for machine code are taken in one place, and only those of memory that it may read or write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import accelnn
from accelnn.arrays.addresses import address_to_read, address_to_write
from accelnn.errors import ArgumentError

READ_ONLY = np.zeros(6)
READ_ONLY.flags.writeable = False
UNALIGNED = np.zeros(49, np.uint8)[1:].view(np.float64)


@pytest.mark.parametrize(
    "array",
    [
        READ_ONLY,
        UNALIGNED,
        np.zeros(6, np.float32),
        np.zeros(6, ">f8"),
        np.zeros(5),
        np.zeros(12)[::2],
        np.zeros((3, 2)).T,
        np.frombuffer(bytearray(48)),
    ],
    ids=["read-only", "unaligned", "dtype", "byte order", "size", "strides", "order", "foreign memory"],
)
def test_what_is_not_ours_to_write_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="moments_1 cannot be written to"):
        address_to_write("moments_1", array, np.float64, 6)


@pytest.mark.parametrize("mode", ["r", "r+", "c", "w+"])
def test_files_are_refused(mode: str, tmp_path: Path) -> None:
    np.zeros(6).tofile(tmp_path / "a")
    mapped = np.memmap(tmp_path / "a", np.float64, mode, shape=6)
    assert address_to_read(mapped) == mapped.ctypes.data
    for array in (mapped, mapped[:], np.asarray(mapped)):
        with pytest.raises(ArgumentError, match="memory of its own"):
            address_to_write("moments_1", array, np.float64, 6)


def test_arrays_of_ours_and_views_of_them_are_written_to() -> None:
    flat = np.zeros(12)
    assert address_to_write("flat", flat, np.float64) == flat.ctypes.data
    assert address_to_write("part", flat[6:].reshape(2, 3), np.float64, 6) == flat.ctypes.data + 48


def test_rows_may_lie_apart_to_be_read_and_their_elements_may_not() -> None:
    rows = np.zeros((4, 6))
    assert address_to_read(rows[::2, 1:3]) == rows.ctypes.data + 8
    for array in (rows.T, rows[:, ::2], UNALIGNED):
        with pytest.raises(ArgumentError, match="cannot be read"):
            address_to_read(array)


def test_addresses_are_taken_nowhere_else() -> None:
    folder = Path(accelnn.__file__).parent
    found = {
        str(path.relative_to(folder)) for path in folder.rglob("*.py") if ".ctypes.data" in path.read_text("utf-8")
    }
    assert found == {"arrays/addresses.py", "arrays/foreign.py"}  # foreign.py looks at the alignment
