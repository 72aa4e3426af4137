from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from accelnn.data import read_npz, read_npz_features
from accelnn.errors import DataError

X, Y = np.arange(12, dtype=np.float32).reshape(4, 3), np.array([0, 1, 2, 1])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("keys", [("x", "y"), ("x_train", "y_train"), ("x_train", "y_train", "x_test", "y_test")])
def test_layouts(tmp_path: Path, save: object, keys: tuple[str, ...]) -> None:
    arrays = {key: X if key.startswith("x") else Y for key in keys}
    save(tmp_path / "a.npz", **arrays, other=np.array(["text"]))  # type: ignore[operator]
    result = read_npz(tmp_path / "a.npz")
    assert tuple(result) == keys
    for key in keys:
        np.testing.assert_array_equal(result[key], arrays[key])
        assert result[key].dtype == arrays[key].dtype


def test_order_and_byte_order_are_native_afterwards(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(X.astype(">f8")), y=Y.astype(">i4"))
    result = read_npz(tmp_path / "a.npz")
    assert result["x"].dtype.isnative
    np.testing.assert_array_equal(result["x"], X)


def test_features_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X)
    np.testing.assert_array_equal(read_npz_features(tmp_path / "a.npz"), X)
    np.savez(tmp_path / "b.npz", y=Y)
    with pytest.raises(DataError, match="no array x"):
        read_npz_features(tmp_path / "b.npz")


def member(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def archive(path: Path, compression: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in members.items():
            target.writestr(f"{name}.npy", content)
    return path


class Boom:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("unpickled",)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=np.array([Boom()] * 4, object))
    with pytest.raises(DataError, match="objects"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"PK\x05\x06" + b"\0" * 18, "its arrays are none"),
        (b"not a zip", "cannot be read"),
        (member(X), "cannot be read"),
    ],
)
def test_what_is_no_npz(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "a.npz")


def test_missing_arrays_and_missing_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=X, target=Y)
    with pytest.raises(DataError, match="its arrays are data, target"):
        read_npz(tmp_path / "a.npz")
    with pytest.raises(DataError, match="not there"):
        read_npz(tmp_path / "b.npz")


def test_false_sizes_reserve_no_memory(tmp_path: Path) -> None:
    claim = member(np.zeros(10, np.uint8)).replace(b"(10,), }         ", b"(9999999999,), } ")
    assert b"9999999999" in claim
    path = archive(tmp_path / "a.npz", x=claim, y=member(Y))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"9,999,999,999 bytes of its header"):
        read_npz(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_false_sizes_in_the_directory_of_the_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", x=member(X), y=member(Y))
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    with pytest.raises(DataError, match="claims 2,147,483,648 bytes"):
        read_npz(path)


def test_unusual_packing_and_format_versions(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", zipfile.ZIP_BZIP2, x=member(X), y=member(Y))
    with pytest.raises(DataError, match="packed in a way"):
        read_npz(path)
    third = bytearray(member(X))
    third[6] = 3
    with pytest.raises(DataError, match="format version"):
        read_npz(archive(tmp_path / "b.npz", x=bytes(third), y=member(Y)))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_random_damage_never_escapes_as_another_error(tmp_path: Path, save: object) -> None:
    path = tmp_path / "a.npz"
    save(path, x=X, y=Y)  # type: ignore[operator]
    content, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(400):
        damaged = bytearray(content)
        for position in rng.integers(0, len(damaged), 2):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_npz(path)
        except DataError:
            refused += 1
    assert refused > 100


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    """Programs disagree which of the two is meant."""
    path = tmp_path / "rows.npz"
    np.savez(path, x=np.ones((2, 2)), y=np.zeros(2))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("x.npy", b"other")
    with pytest.raises(DataError, match=r"'x\.npy' occurs twice in it"):
        read_npz(path)


def test_a_directory_of_many_members_is_refused(tmp_path: Path) -> None:
    """It would become objects that need ten times its room."""
    path = tmp_path / "rows.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12_000):
            archive.writestr(f"{number:050d}", b"")
    with pytest.raises(DataError, match=r"a part of it would have 1,\d{3},\d{3} bytes"):
        read_npz(path)
