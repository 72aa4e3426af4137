from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelnn.data import byte_table, read_csv
from accelnn.data import csv as csv_module
from accelnn.errors import DataError


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("header", ["", "label,1x1,1x2\n", "label,0,1\n", "y,a,b\r\n"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("ending", [True, False])
def test_bytes_with_and_without_a_header(tmp_path: Path, header: str, newline: str, ending: bool) -> None:
    body = newline.join(["5,0,255", "0,17,3", "9,100,99"]) + newline * ending
    table = read_csv(written(tmp_path, header + body))
    assert table.x.dtype == np.uint8
    assert table.x.flags.c_contiguous
    np.testing.assert_array_equal(table.x, [[0, 255], [17, 3], [100, 99]])
    assert table.y is not None
    assert table.y.dtype == np.int64
    assert table.y.tolist() == [5, 0, 9]
    assert table.feature_names == (tuple(header.strip().split(",")[1:]) if header else None)


def test_block_borders_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (50, 7))
    text = "\r\n".join(",".join(map(str, row)) for row in values.tolist())
    path = written(tmp_path, text)
    for size in (1, 2, 3, 10, 64, 1000):
        monkeypatch.setattr(byte_table, "_BLOCK_BYTES", size)
        table = byte_table.read_byte_table(path, 0, 7)
        assert table is not None
        np.testing.assert_array_equal(np.column_stack([table[1], table[0]]), values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,0.5,-2\n0,1e3,4\n", [[0.5, -2], [1000, 4]]),
        ("1,256,0\n0,1,2\n", [[256, 0], [1, 2]]),
        ("1,0300,0\n0,1,2\n", [[300, 0], [1, 2]]),
        (' 1 , 0.5 ,"7"\n\n0,1,2\n', [[0.5, 7], [1, 2]]),
    ],
)
def test_other_numbers_become_float64(tmp_path: Path, text: str, expected: list[list[float]]) -> None:
    table = read_csv(written(tmp_path, text))
    assert table.x.dtype == np.float64
    assert table.x.flags.c_contiguous
    np.testing.assert_array_equal(table.x, expected)
    assert table.y is not None
    assert table.y.tolist() == [1, 0]


@pytest.mark.parametrize("text", ["1, 2,3\n\n4,5,6\n", "\ufeff1,2,3\n4,5,6\n", "1.0,2.0,3\n4,5,6", "1000,2,3\n4,5,6"])
def test_small_integers_in_another_form_stay_bytes(tmp_path: Path, text: str) -> None:
    table = read_csv(written(tmp_path, text))
    assert table.x.dtype == np.uint8
    np.testing.assert_array_equal(table.x, [[2, 3], [5, 6]])


def test_both_readers_agree(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, (20, 5))
    path = written(tmp_path, "\n".join(",".join(map(str, row)) for row in values.tolist()))
    fast = read_csv(path)
    general = csv_module._read_general(path, csv_module._find_layout(path, True))
    np.testing.assert_array_equal(fast.x, general.x)
    np.testing.assert_array_equal(fast.y, general.y)


@pytest.mark.parametrize("header", ["", "kind,a,b\n"])
def test_text_labels(tmp_path: Path, header: str) -> None:
    table = read_csv(written(tmp_path, header + 'cat,1,2\n"dog, big",3,4\ncat,5,6\n7,8,9\n'))
    assert table.y is not None
    assert table.y.tolist() == ["cat", "dog, big", "cat", "7"]
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4], [5, 6], [8, 9]])


def test_real_labels_stay_real(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, "1.5,1\n2,2\n"))
    assert table.y is not None
    assert table.y.dtype == np.float64
    assert table.y.tolist() == [1.5, 2]


@pytest.mark.parametrize(("text", "names"), [("1,2\n3,4\n", None), ("a,b\n1,2\n3,4\n", ("a", "b"))])
def test_without_labels_every_column_is_a_feature(tmp_path: Path, text: str, names: tuple[str, ...] | None) -> None:
    table = read_csv(written(tmp_path, text), labelled=False)
    assert table.y is None
    assert table.feature_names == names
    assert table.x.dtype == np.uint8
    assert table.x.tolist() == [[1, 2], [3, 4]]
    table = read_csv(written(tmp_path, "0.5\n0.25\n"), labelled=False)
    assert table.x.tolist() == [[0.5], [0.25]]


REFUSED = {
    "empty": ("", "no rows"),
    "blank": ("\n \n\n", "no rows"),
    "header only": ("label,a,b\n", "a header and no row"),
    "one column": ("1\n2\n", "line 1: one field '1'"),
    "semicolons": ("1;2;3\n", "line 1: one field"),
    "word": ("1,2,3\n4,x,6\n", "line 2, column 2: 'x': not a number"),
    "word after blank lines": ("l,a,b\n1,2,3\n\n\n4,5,x\n", "line 5, column 3: 'x': not a number"),
    "word in the first row": ("1,2,x\n4,5,6\n", "line 1, column 3: 'x'"),
    "label": ("1,2,3\ncat,5,6\n", "line 2, column 1: 'cat': not a number"),
    "missing": ("1,2,3\n4,,6\n", "line 2, column 2: '': the value is missing"),
    "missing label": ("cat,2,3\n,5,6\n", "line 2, column 1: '': the value is missing"),
    "nan": ("1,2,3\n4,nan,6\n", "line 2, column 2: 'nan': not a finite number"),
    "inf": ("1,2,-inf\n4,5,6\n", "line 1, column 3: '-inf': not a finite number"),
    "overflow": ("1,2,1e999\n4,5,6\n", "line 1, column 3: '1e999': not a finite number"),
    "short row": ("1,2,3\n4,5\n", "line 2: 2 fields, not 3"),
    "long row": ("1,2,3\n4,5,6,7\n", "line 2: 4 fields, not 3"),
    "trailing comma": ("1,2,\n4,5,\n", "line 1, column 3: '': the value is missing"),
    "underscore": ("1,2,1_0\n4,5,6\n", "line 1, column 3: '1_0': not a number"),
    "other digits": ("1,2,٣\n4,5,6\n", "line 1, column 3"),
    "not utf-8": (b"1,2,3\n4,5,\xff\n", "cannot be read.*UTF-8"),
    "zero bytes": (b"1,2,3\n4,5,\0\n", "line 2, column 3|cannot be read"),
    "open quote": ('1,2,"3\n4,5,6\n', "cannot be read|line 1"),
    "zip": (b"PK\x03\x04\x00\x00\xff\xfe", "cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_files_name_line_and_column(tmp_path: Path, case: str) -> None:
    text, message = REFUSED[case]
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fault_that_is_not_found_again_is_still_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2,3\n")
    assert "as a table of numbers" in str(csv_module._fault(path, csv_module._find_layout(path, True)))


def test_endless_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_module, "_MAX_LINE", 10)
    with pytest.raises(DataError, match="10 characters or more"):
        read_csv(written(tmp_path, "1,2,3,4,5,6,7\n"))


def test_random_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for start in (b"label,a,b\n1,20,3\n4,5,66\n", b"cat,2.5,3\ndog,-5,6e2\n", b"1,2,3\n" * 5):
        for _ in range(150):
            damaged = bytearray(start)
            for position in rng.integers(0, len(damaged), 2):
                damaged[position] = rng.choice(list(b'",\n\r\0 x.-9e\xff\xc3'))
            try:
                table = read_csv(written(tmp_path, bytes(damaged)))
            except DataError:
                continue
            assert table.y is not None
            assert len(table.x) == len(table.y)
            assert np.isfinite(table.x).all()
