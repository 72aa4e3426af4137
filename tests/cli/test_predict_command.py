from __future__ import annotations

import csv
import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import QUICK, error_of, run, run_json

from accelnn import Dense, Sequential, load_dataset, load_model
from accelnn.errors import ModelFileError

FIELDS = {
    "model": str, "input": str, "output": str, "backend": str, "device": str, "dtype": str, "units": list, "rows": int,
    "elapsed_s": float,
}  # fmt: skip


@pytest.fixture
def rows() -> np.ndarray:
    return load_dataset("digits").x_test[:20]


def table(path: str) -> tuple[list[str], list[list[str]]]:
    with Path(path).open(newline="") as file:
        header, *lines = csv.reader(file)
    return header, lines


def write_csv(path: str, rows: np.ndarray) -> None:
    np.savetxt(path, rows, fmt="%g", delimiter=",")


def write_csv_with_header(path: str, rows: np.ndarray) -> None:
    np.savetxt(path, rows, fmt="%g", delimiter=",", header=",".join(f"p{i}" for i in range(64)), comments="")


def write_npz(path: str, rows: np.ndarray) -> None:
    with Path(path).open("wb") as file:
        np.savez(file, x=rows)


def idx(rows: np.ndarray) -> bytes:
    return struct.pack(">BBBBIII", 0, 0, 8, 3, len(rows), 8, 8) + rows.tobytes()


def write_idx(path: str, rows: np.ndarray) -> None:
    Path(path).write_bytes(idx(rows))


def write_packed_idx(path: str, rows: np.ndarray) -> None:
    Path(path).write_bytes(gzip.compress(idx(rows)))


@pytest.mark.parametrize("write", [write_csv, write_csv_with_header, write_npz, write_idx, write_packed_idx])
def test_every_format_is_known_by_its_content(digits_file: Path, rows: np.ndarray, write: Any) -> None:
    write("rows", rows)
    result = run("predict", digits_file, "--input", "rows", "--output", "out.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1] == "saved      out.csv"
    model = load_model(digits_file)
    header, lines = table("out.csv")
    assert header == ["prediction", "probability"]
    assert [int(line[0]) for line in lines] == model.predict(rows).tolist()
    assert np.allclose([float(line[1]) for line in lines], model.predict_proba(rows).max(axis=1))


def test_json_has_exactly_the_documented_fields(digits_file: Path, rows: np.ndarray) -> None:
    write_npz("rows.npz", rows)
    results = run_json("predict", digits_file, "--input", "rows.npz", "--output", "out.csv")
    assert {name: type(value) for name, value in results.items()} == FIELDS
    assert (results["rows"], results["input"], results["output"]) == (20, "rows.npz", "out.csv")


def test_predictions_carry_the_names_of_the_classes() -> None:
    Path("pets.csv").write_text("pet,a,b\n" + "cat,0,1\n'dog, big',1,0\n".replace("'", '"') * 10)
    run("train", *QUICK, "--epochs", 80, "--learning-rate", 0.1, "--dataset", "csv:pets.csv", "--save", "model.npz")
    Path("new.csv").write_text("a,b\n0,1\n1,0\n")
    run("predict", "model.npz", "--input", "new.csv", "--output", "out.csv")
    assert [line[0] for line in table("out.csv")[1]] == ["cat", "dog, big"]
    Path("new.csv").write_text("b,a\n0,1\n")
    message = error_of("predict", "model.npz", "--input", "new.csv", "--output", "out.csv")
    assert "new.csv: column 1 is 'b', and this model takes 'a' there" in message


@pytest.mark.parametrize(
    ("units", "activation", "header"),
    [
        (1, "identity", ["prediction"]),
        (2, "identity", ["prediction_1", "prediction_2"]),
        (1, "sigmoid", ["prediction", "probability"]),
        (2, "sigmoid", ["prediction_1", "prediction_2", "probability_1", "probability_2"]),
        (3, "softmax", ["prediction", "probability"]),
    ],
)
def test_models_saved_from_python(units: int, activation: str, header: list[str]) -> None:
    model = Sequential([Dense(units, activation)], n_in=3, dtype="float64", seed=0)
    model.save("model.npz")
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.savez("rows.npz", x=x)
    run("predict", "model.npz", "--input", "rows.npz", "--output", "out.csv")
    found, lines = table("out.csv")
    assert found == header
    predicted = np.array(lines, float)[:, : model.predict(x).reshape(5, -1).shape[1]]
    assert np.array_equal(predicted, model.predict(x).reshape(5, -1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1,2,3\n", "it has 3 columns, and this model takes 64"),
        (b",".join([b"1"] * 65), "it has 65 columns, and this model takes 64: leave out the column with the labels"),
        (b"1,2,x\n", "line 1, column 3: 'x': not a number"),
        (b"", "the file has no rows"),
        (b"\x93NUMPY", "a single NumPy array: write it with numpy.savez"),
        (b"PK\x03\x04", "cannot be read"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x01\x05", "use numbers (n, n_features)"),
        (b"\x1f\x8b nonsense", "cannot be read"),
    ],
)
def test_unusable_input(digits_file: Path, content: bytes, message: str) -> None:
    Path("rows").write_bytes(content)
    assert message in error_of("predict", digits_file, "--input", "rows", "--output", "out.csv")
    assert not Path("out.csv").exists()


def test_missing_input(digits_file: Path) -> None:
    message = error_of("predict", digits_file, "--input", "rows.csv", "--output", "out.csv")
    assert "rows.csv: the file is not there" in message


def test_input_and_model_are_not_overwritten(digits_file: Path, rows: np.ndarray) -> None:
    write_csv("rows.csv", rows)
    for output in ("rows.csv", digits_file):
        message = error_of("predict", digits_file, "--input", "rows.csv", "--output", output)
        assert "it would be overwritten" in message
    assert load_model(digits_file).n_in == 64


def test_standard_output_gets_the_table_and_nothing_else(digits_file: Path, rows: np.ndarray) -> None:
    write_csv("rows.csv", rows)
    run("predict", digits_file, "--input", "rows.csv", "--output", "out.csv")
    result = run("predict", digits_file, "--input", "rows.csv", "--output", "-")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == Path("out.csv").read_text()
    assert not Path("-").exists()
    message = error_of("predict", digits_file, "--input", "rows.csv", "--output", "-", "--json")
    assert "--output is '-': leave out --json, it is for standard output too" in message


def test_output_to_nowhere(digits_file: Path) -> None:
    message = error_of("predict", digits_file, "--input", "rows.csv", "--output", "missing/out.csv")
    assert "--output is 'missing/out.csv': there is no folder" in message


def test_a_full_disk_is_a_failed_run(digits_file: Path, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace_file(*_: Any) -> None:
        raise ModelFileError("cannot write 'out.csv': No space left on device")

    monkeypatch.setattr("accelnn.cli.predict.replace_file", replace_file)
    write_csv("rows.csv", rows)
    assert "No space left" in error_of(
        "predict", digits_file, "--input", "rows.csv", "--output", "out.csv", exit_code=1
    )


def test_names_of_classes_that_no_file_can_hold_are_not_used() -> None:
    """A model file may come from anywhere, and JSON knows halves of characters."""
    model = Sequential([Dense(2, "softmax")], n_in=2, seed=0)
    model.save("model.npz", extra={"class_names": ["cat", "\ud800"]})
    Path("new.csv").write_text("0,1\n1,0\n")
    assert run("predict", "model.npz", "--input", "new.csv", "--output", "out.csv").exit_code == 0
    assert {line[0] for line in table("out.csv")[1]} <= {"0", "1"}
