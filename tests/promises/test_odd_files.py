"""Files with odd names and odd contents that are legal: they are read as the ordinary ones are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from accelnn import Dense, Sequential, load_model
from accelnn.data import read_csv, read_idx, read_npz


class Named(os.PathLike[str]):
    """A path of another library."""

    def __init__(self, name: object) -> None:
        self.name = name

    def __fspath__(self) -> str:
        return str(self.name)


def test_paths_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    model = Sequential([Dense(3)], n_in=2, seed=0)
    for path in ("model", Path("a b.npz"), Named("größe.npz"), "~/home.npz", str(tmp_path / ".hidden")):
        model.save(path)
        np.testing.assert_array_equal(load_model(path).get_weights()[0], model.get_weights()[0])
    assert {p.name for p in tmp_path.iterdir()} == {"model", "a b.npz", "größe.npz", "home.npz", ".hidden"}


def test_tables_of_all_kinds(tmp_path: Path) -> None:
    expected = read_csv(written(tmp_path, b"1,2,3\n0,4,5\n"))
    odd = {
        "no end of line": b"1,2,3\n0,4,5",
        "ends of lines of Windows": b"1,2,3\r\n0,4,5\r\n",
        "a mark of the byte order": b"\xef\xbb\xbf1,2,3\n0,4,5\n",
        "blanks": b" 1 , 2 ,3\n0,4, 5\n",
        "quotes": b'"1","2","3"\n0,4,5\n',
        "blank lines": b"\n1,2,3\n\n0,4,5\n\n",
        "decimals": b"1.0,2.0,3e0\n0,4.,5\n",
        "signs": b"+1,+2,3\n-0,4,5\n",
        "a header": b"label,a,b\n1,2,3\n0,4,5\n",
    }
    for name, content in odd.items():
        table = read_csv(written(tmp_path, content))
        np.testing.assert_array_equal(table.x, expected.x, err_msg=name)
        np.testing.assert_array_equal(table.y, expected.y, err_msg=name)
        assert table.x.dtype == expected.x.dtype


def written(folder: Path, content: bytes) -> Path:
    path = folder / "rows"
    path.write_bytes(content)
    return path


def test_one_row_and_one_column_of_all_readers(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, b"7\n"), labelled=False)
    assert table.x.tolist() == [[7]]
    assert read_idx(written(tmp_path, bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))).tolist() == [7]
    x, y = np.arange(6.0).reshape(3, 2), np.arange(3)
    np.savez(tmp_path / "rows.npz", x=np.asfortranarray(x), y=y.astype(">i2"), more=np.zeros(3))
    arrays = read_npz(tmp_path / "rows.npz")
    assert list(arrays) == ["x", "y"]
    np.testing.assert_array_equal(arrays["x"], x)
    np.testing.assert_array_equal(arrays["y"], y)
