"""Data that stay on disk: CSV converted to ``.npy``, and IDX files mapped instead of read."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_stand_ins import CODES, idx_bytes

from accelnn.data import conversion, csv_to_npy, map_idx, read_csv, read_idx
from accelnn.errors import ArgumentError, ArgumentTypeError, DataError

TEXT = "label,a,b\n1,2,3.5\n\n0,-4,5e2\n7,6,7\n"


def written(folder: Path, text: str = TEXT) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("rows", [1, 2, 4096])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_arrays_are_those_of_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, dtype: str
) -> None:
    monkeypatch.setattr(conversion, "ROWS_AT_A_TIME", rows)
    path, expected = written(tmp_path), read_csv(written(tmp_path))
    assert csv_to_npy(path, tmp_path / "x.npy", tmp_path / "y.npy", dtype=dtype) == 3
    x, y = np.load(tmp_path / "x.npy", mmap_mode="r"), np.load(tmp_path / "y.npy", mmap_mode="r")
    assert x.dtype == dtype
    assert expected.y is not None
    assert y.dtype == expected.y.dtype
    np.testing.assert_array_equal(x, expected.x.astype(dtype))
    np.testing.assert_array_equal(y, expected.y)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["table.csv", "x.npy", "y.npy"]


def test_bytes_and_no_labels(tmp_path: Path) -> None:
    csv_to_npy(written(tmp_path, "0,255\n3,4\n"), tmp_path / "x.npy", dtype="uint8")
    x = np.load(tmp_path / "x.npy")
    assert x.dtype == np.uint8
    assert x.tolist() == [[0, 255], [3, 4]]


def test_targets_that_are_no_integers(tmp_path: Path) -> None:
    csv_to_npy(written(tmp_path, "0.5,1\n2,4\n"), tmp_path / "x.npy", tmp_path / "y.npy")
    assert np.load(tmp_path / "y.npy").tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("text", "dtype", "words"),
    [
        ("1,2\n3,256\n", "uint8", r"line 2: 256.0 does not fit uint8: use dtype='float64'"),
        ("1,2\n3,1.5\n", "uint8", r"line 2: 1.5 does not fit uint8"),
        ("1,2\n3,1e39\n", "float32", r"line 2: 1e\+39 does not fit float32"),
        ("1,2\n3,x\n", "float32", r"line 2, column 2: 'x': not a number"),
        ("1,2\ncat,3\n", "float32", r"line 2, column 1: 'cat': not a number"),
        ("1,2\n3\n", "float32", r"line 2: 1 fields, not 2"),
        ("1,nan\n", "float32", r"line 1, column 2: 'nan': not a finite number"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_left(tmp_path: Path, text: str, dtype: str, words: str) -> None:
    (tmp_path / "x.npy").write_bytes(b"before")
    with pytest.raises(DataError, match=words):
        csv_to_npy(written(tmp_path, text), tmp_path / "x.npy", tmp_path / "y.npy", dtype=dtype)
    assert (tmp_path / "x.npy").read_bytes() == b"before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["table.csv", "x.npy"]


def test_arguments_that_cannot_be_used(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(ArgumentError, match=r"dtype is 'int8': use one of uint8, float32, float64"):
        csv_to_npy(path, tmp_path / "x.npy", dtype="int8")
    with pytest.raises(ArgumentError, match=r"x_path is .*: there is no folder"):
        csv_to_npy(path, tmp_path / "missing" / "x.npy")
    for x_path, y_path in (("x.npy", "x.npy"), ("x.npy", "X.NPY"), (path.name, "y.npy"), ("x.npy", path.name)):
        with pytest.raises(ArgumentError, match=r"this file is needed: use another name for each of the three"):
            csv_to_npy(path, tmp_path / x_path, tmp_path / y_path)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ArgumentTypeError, match="x_path is 3"):
        csv_to_npy(path, 3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="not there"):
        csv_to_npy(tmp_path / "no.csv", tmp_path / "x.npy")


@pytest.mark.parametrize("name", CODES)
def test_a_mapped_file_has_the_values_of_one_that_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(idx_bytes(np.arange(24).astype(name).reshape(2, 3, 4)))
    mapped: Any = map_idx(path)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, read_idx(path))


def test_a_gzipped_or_damaged_file_is_not_mapped(tmp_path: Path) -> None:
    whole = idx_bytes(np.arange(24, dtype=np.uint8).reshape(4, 6))
    for content, words in ((gzip.compress(whole), "gzipped"), (whole[:-1], "truncated"), (b"text", "not an IDX file")):
        (tmp_path / "data").write_bytes(content)
        with pytest.raises(DataError, match=words):
            map_idx(tmp_path / "data")
