from __future__ import annotations

import gzip
import hashlib
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from data_stand_ins import CODES, idx_bytes

from accelnn.data import find_idx_files, read_idx
from accelnn.errors import ArgumentError, ArgumentTypeError, DataError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("shape", [(5,), (3, 1), (2, 3, 4)])
def test_every_type_comes_back_in_native_order(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    array = (np.arange(np.prod(shape)) - (0 if name == "uint8" else 3)).astype(name).reshape(shape)
    path = tmp_path / "data"
    path.write_bytes(idx_bytes(array))
    result = read_idx(path)
    assert result.dtype == array.dtype
    assert result.dtype.isnative
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, array)


def test_gzip_is_seen_by_content_and_not_by_name(tmp_path: Path) -> None:
    for name, content in (("a.gz", idx_bytes(IMAGES)), ("b", gzip.compress(idx_bytes(IMAGES)))):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_idx(str(tmp_path / name)), IMAGES)


def test_hasher_sees_the_unpacked_bytes(tmp_path: Path) -> None:
    path = tmp_path / "data.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)))
    hasher = hashlib.sha256()
    read_idx(path, hasher=hasher)
    assert hasher.hexdigest() == hashlib.sha256(idx_bytes(IMAGES)).hexdigest()


GOOD = idx_bytes(IMAGES)
DAMAGED = {
    "empty": (b"", "not an IDX file"),
    "html": (b"<html>moved</html>", "not an IDX file"),
    "bad type": (b"\0\0\x07" + GOOD[3:], "not an IDX file"),
    "no dimension": (b"\0\0\x08\0", "0 dimensions"),
    "many dimensions": (b"\0\0\x08\xff" + GOOD, "255 dimensions"),
    "header cut": (GOOD[:9], "inside its header"),
    "empty dimension": (struct.pack(">BBBBI", 0, 0, 8, 1, 0), "empty"),
    "truncated": (GOOD[:-1], "trunca|cannot be read"),
    "trailing": (GOOD + b"\0", "trailing"),
    "huge": (struct.pack(">BBBBII", 0, 0, 14, 2, 2**32 - 1, 2**32 - 1) + b"x", "promises"),
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_refused(tmp_path: Path, case: str, packed: bool) -> None:
    content, message = DAMAGED[case]
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [1, 4, 8, 12, 20])
def test_cut_gzip_streams_are_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "data.gz"
    path.write_bytes(gzip.compress(GOOD)[:-cut])
    with pytest.raises(DataError):
        read_idx(path)


def test_wrong_crc_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(GOOD))
    packed[-8] ^= 1
    path = tmp_path / "data.gz"
    path.write_bytes(packed)
    with pytest.raises(DataError, match="CRC"):
        read_idx(path)


def test_a_false_header_reserves_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "data.gz"
    path.write_bytes(gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 2**31) + b"\0" * 100))
    tracemalloc.start()
    with pytest.raises(DataError, match="cannot hold"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_limit_bounds_what_a_gzip_bomb_unpacks(tmp_path: Path) -> None:
    path = tmp_path / "data.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(1_000_000, np.uint8))))
    with pytest.raises(DataError, match="at most 999,999"):
        read_idx(path, limit_bytes=999_999)
    assert read_idx(path, limit_bytes=1_000_008).size == 1_000_000


@pytest.mark.parametrize("packed", [False, True])
def test_random_damage_never_escapes_as_another_error(tmp_path: Path, packed: bool) -> None:
    rng = np.random.default_rng(0)
    content = gzip.compress(GOOD, mtime=0) if packed else GOOD
    path = tmp_path / "data"
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for position in rng.integers(0, len(damaged), 2):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_idx(path)
        except DataError:
            refused += 1
    assert refused > 50


def test_what_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not there"):
        read_idx(tmp_path / "missing")
    with pytest.raises(DataError, match="not there"):
        read_idx("x" * 5000)
    with pytest.raises(ArgumentError, match="null characters"):
        read_idx("nul\0byte")
    with pytest.raises(ArgumentError, match="not empty"):
        read_idx("")
    with pytest.raises(DataError, match="not a regular file"):
        read_idx(tmp_path)
    with pytest.raises(ArgumentTypeError, match="path is 3"):
        read_idx(3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="bytes"):
        read_idx(b"data")  # type: ignore[arg-type]


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"data"


def test_paths_of_bytes_are_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="not of bytes"):
        read_idx(BytesPath())  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file"):
        read_idx(tmp_path / "pipe")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_folder_with_and_without_a_test_part(tmp_path: Path) -> None:
    touch(tmp_path, "emnist-train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte", "README.md")
    found = find_idx_files(tmp_path)
    assert [path.name for path in found.train] == [
        "emnist-train-images-idx3-ubyte.gz",
        "train-labels.idx1-ubyte",
    ]
    assert found.test is None
    touch(tmp_path, "t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz", "test-labels-idx1-ubyte")
    found = find_idx_files(tmp_path)
    assert found.test is not None
    assert [path.name for path in found.test] == ["t10k-images-idx3-ubyte", "test-labels-idx1-ubyte"]


def test_folder_with_missing_or_ambiguous_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train images, train labels, test images, test labels"):
        find_idx_files(tmp_path)
    touch(tmp_path, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte")
    with pytest.raises(DataError, match="no IDX file for test labels"):
        find_idx_files(tmp_path)
    touch(tmp_path, "other-images-idx3-ubyte")
    with pytest.raises(DataError, match="several files for train images"):
        find_idx_files(tmp_path)
    with pytest.raises(DataError, match="no such directory"):
        find_idx_files(tmp_path / "missing")
