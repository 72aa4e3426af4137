from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_stand_ins import idx_bytes

from accelnn.data import dataset_names, load_dataset
from accelnn.errors import ArgumentError, ArgumentTypeError, DataError


def test_every_name_is_listed() -> None:
    assert set(dataset_names()) == {
        "auto", "mnist", "fashion-mnist", "digits", "flower", "circles", "moons", "blobs",
        "gaussian_quantiles", "csv:PATH", "npz:PATH", "idx:DIR",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "did you mean 'mnist'"),
        ("Digits", "did you mean 'digits'"),
        ("", "known names are"),
        ("cvs:file", "known names are"),
        ("csv:", "put a path after the colon"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        load_dataset(name)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("name", 3, ArgumentTypeError),
        ("data_dir", 3, ArgumentTypeError),
        ("data_dir", "/no/such/folder", DataError),
        ("seed", -1, ArgumentError),
        ("seed", 2**32, ArgumentError),
        ("seed", 1.5, ArgumentTypeError),
        ("seed", True, ArgumentTypeError),
        ("test_fraction", -0.1, ArgumentError),
        ("test_fraction", 1.1, ArgumentError),
        ("test_fraction", float("nan"), ArgumentError),
        ("test_fraction", "0.2", ArgumentTypeError),
        ("test_fraction", True, ArgumentTypeError),
        ("download", "no", ArgumentTypeError),
    ],
)
def test_bad_arguments_are_named(argument: str, value: object, error: type[Exception]) -> None:
    arguments = {"name": "digits", argument: value}
    with pytest.raises(error, match=argument):
        load_dataset(**arguments)  # type: ignore[arg-type]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "animals.csv"
    path.write_text("kind,a,b\n" + "".join(f"{'cat' if i % 2 else 'dog'},{i},{i / 2}\n" for i in range(10)))
    data = load_dataset(f"csv:{path}", test_fraction=0.3, seed=2)
    assert (data.name, data.source) == ("animals", str(path))
    assert (len(data.x_train), len(data.x_test)) == (7, 3)
    assert data.class_names == ("cat", "dog")
    assert data.feature_names == ("a", "b")
    np.testing.assert_array_equal(data.y_test, 1 - data.x_test[:, 0] % 2)


def test_csv_pictures_stay_bytes(tmp_path: Path) -> None:
    path = tmp_path / "pictures.csv"
    rows = np.random.default_rng(0).integers(0, 256, (5, 65))
    rows[:, 0] %= 10
    np.savetxt(path, rows, fmt="%d", delimiter=",")
    data = load_dataset(f"csv:{path}", test_fraction=0)
    assert data.x_train.dtype == np.uint8
    assert data.scale == 1 / 255
    assert data.x_test.shape == (0, 64)
    np.testing.assert_array_equal(data.x_train, rows[:, 1:])


def test_csv_regression(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("1.5,1\n2.5,2\n3.5,3\n")
    data = load_dataset(f"csv:{path}")
    assert data.n_classes is None
    assert data.y_train.shape == (2, 1)
    assert data.n_outputs == 1


def test_npz_with_and_without_a_test_part(tmp_path: Path) -> None:
    x, y = np.zeros((10, 2, 3), np.float32), np.arange(10) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y)
    np.savez(tmp_path / "b.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    data = load_dataset(f"npz:{tmp_path / 'a.npz'}")
    assert (data.x_train.shape, data.x_test.shape, data.x_train.dtype) == ((8, 6), (2, 6), np.float32)
    data = load_dataset(f"npz:{tmp_path / 'b.npz'}")
    assert (data.x_train.shape, data.x_test.shape) == ((10, 6), (4, 6))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 2)), "y": np.zeros(2, int)}, "3 rows of x and 2 of y"),
        ({"x": np.full((3, 2), np.nan), "y": np.zeros(3, int)}, "NaN or infinite in row 0"),
        ({"x": np.zeros(3), "y": np.zeros(3, int)}, "shape"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0, int)}, "no row"),
        ({"x": np.zeros((3, 0)), "y": np.zeros(3, int)}, "at least one feature"),
        ({"x": np.array(1.0), "y": np.array(1)}, "shape"),
        ({"x": np.zeros((3, 2)), "y": np.array([1 + 2j] * 3)}, "complex"),
        ({"x": np.zeros((3, 2)), "y": np.array([b"\xff"] * 3)}, "not ASCII"),
    ],
)
def test_npz_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        load_dataset(f"npz:{tmp_path / 'a.npz'}")


def test_idx_folder_with_and_without_a_test_part(tmp_path: Path) -> None:
    images, labels = np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8), np.arange(5, dtype=np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    data = load_dataset(f"idx:{tmp_path}")
    assert (data.x_train.shape, data.x_test.shape, data.scale) == ((4, 64), (1, 64), 1 / 255)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images[:2]))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:2]))
    data = load_dataset(f"idx:{tmp_path}")
    assert (data.x_train.shape, data.x_test.shape) == ((5, 64), (2, 64))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    with pytest.raises(DataError, match="2 rows of x and 5 of y"):
        load_dataset(f"idx:{tmp_path}")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for kind in ("csv", "npz", "idx"):
        with pytest.raises(DataError, match="check the path"):
            load_dataset(f"{kind}:{tmp_path / 'missing'}")


def test_import_is_light() -> None:
    heavy = {"sklearn", "scipy", "pooch", "requests", "numba", "cupy", "matplotlib"}
    code = f"import sys, accelnn.data; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
