from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK, error_of, run, run_json

from accelnn import Dense, Sequential, load_dataset

FIELDS = {
    "dataset": str, "backend": str, "device": str, "dtype": str, "units": list, "rows": int, "test_loss": float,
    "test_accuracy": float, "elapsed_s": float,
}  # fmt: skip


@pytest.fixture
def animals() -> Path:
    """Rows with text labels; ``few.csv`` has other classes first, so that their numbers differ."""
    rng = np.random.default_rng(0)
    names = np.array(["bird", "cat", "dog"])
    labels = np.arange(60) % 3
    x = np.eye(3)[labels] * 4 + rng.normal(size=(60, 3))
    lines = [f"{names[label]},{row[0]:.3f},{row[1]:.3f},{row[2]:.3f}" for label, row in zip(labels, x, strict=True)]
    Path("animals.csv").write_text("\n".join(["animal,a,b,c", *lines]))
    Path("few.csv").write_text("\n".join(["animal,a,b,c", *(line for line in lines if not line.startswith("bird"))]))
    return Path("animals.csv")


def test_json_has_exactly_the_documented_fields(digits_file: Path) -> None:
    results = run_json("evaluate", digits_file)
    assert {name: type(value) for name, value in results.items()} == FIELDS
    assert results["units"] == [64, 16, 10]
    assert results["rows"] == 359


def test_it_finds_the_scores_of_the_training() -> None:
    trained = run_json("train", *QUICK, "--save", "model.npz")
    results = run_json("evaluate", "model.npz")
    assert (results["test_loss"], results["test_accuracy"]) == (trained["test_loss"], trained["test_accuracy"])


def test_people_get_two_lines(digits_file: Path) -> None:
    lines = run("evaluate", digits_file).stdout.splitlines()
    assert lines[0] == "data   digits: 359 rows to test with"
    assert lines[1].startswith("score  test accuracy 0.")


def test_the_file_of_the_training_is_tested_on_the_rows_left_out(animals: Path) -> None:
    run("train", *QUICK, "--dataset", f"csv:{animals}", "--save", "model.npz")
    assert run_json("evaluate", "model.npz")["rows"] == 12
    assert run_json("evaluate", "model.npz", "--dataset", f"csv:./{animals}")["rows"] == 12
    shutil.copy(animals, "other.csv")
    assert run_json("evaluate", "model.npz", "--dataset", "csv:other.csv")["rows"] == 60


def test_classes_are_matched_by_name(animals: Path) -> None:
    flags = ("--epochs", 60, "--learning-rate", 0.05)
    run("train", *QUICK, *flags, "--dataset", f"csv:{animals}", "--save", "model.npz")
    assert run_json("evaluate", "model.npz", "--dataset", "csv:few.csv")["test_accuracy"] > 0.8
    Path("new.csv").write_text("newt,1,2,3\ncat,1,2,3\n")
    message = error_of("evaluate", "model.npz", "--dataset", "csv:new.csv")
    assert "does not know the class 'newt': its classes are bird, cat, dog" in message


def test_numbers_serve_as_classes_where_there_are_as_many(animals: Path) -> None:
    run("train", *QUICK, "--dataset", f"csv:{animals}", "--save", "model.npz")
    np.savez("numbers.npz", x=np.eye(3), y=[0, 1, 2])
    assert run_json("evaluate", "model.npz", "--dataset", "npz:numbers.npz")["rows"] == 3
    np.savez("numbers.npz", x=np.eye(3), y=[0, 1, 3])
    assert "does not know the class '0'" in error_of("evaluate", "model.npz", "--dataset", "npz:numbers.npz")


def test_a_regression_takes_whole_numbers_and_refuses_text() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    np.savez("real.npz", x=x, y=x.sum(axis=1))
    run("train", *QUICK, "--dataset", "npz:real.npz", "--save", "model.npz")
    np.savez("whole.npz", x=x[:3], y=[0, 1, 2])
    result = run("evaluate", "model.npz", "--dataset", "npz:whole.npz")
    assert "test r2" in result.stdout
    np.savez("text.npz", x=x[:3], y=["a", "b", "c"])
    assert "the targets are classes, and this model predicts numbers" in error_of(
        "evaluate", "model.npz", "--dataset", "npz:text.npz"
    )


def test_classes_where_the_targets_are_real_numbers() -> None:
    np.savez("real.npz", x=np.eye(2), y=[0.5, 1.5])
    run("train", *QUICK, "--dataset", "flower", "--save", "model.npz")
    assert "the targets are real numbers" in error_of("evaluate", "model.npz", "--dataset", "npz:real.npz")


def test_another_number_of_features(digits_file: Path) -> None:
    message = error_of("evaluate", digits_file, "--dataset", "flower")
    assert "flower: it has 2 features, and this model takes 64" in message


def test_a_model_saved_from_python() -> None:
    data = load_dataset("moons")
    model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], seed=0)
    model.fit(data.x_train, data.y_train, epochs=2, runner="plain", verbose=0)
    model.save("model.npz", extra={"dataset": 3, "class_names": ["too few"]})
    assert "--dataset is None: name the data" in error_of("evaluate", "model.npz")
    results = run_json("evaluate", "model.npz", "--dataset", "moons")
    assert results["rows"] == 400


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), ("text", "damaged or was not written by")])
def test_no_model_file(content: str | None, message: str) -> None:
    if content is not None:
        Path("model.npz").write_text(content)
    assert message in error_of("evaluate", "model.npz")


def test_a_mistyped_dataset_and_backend(digits_file: Path) -> None:
    assert "did you mean 'moons'?" in error_of("evaluate", digits_file, "--dataset", "mons")
    assert "--backend is 'cpuu': did you mean 'cpu'?" in error_of("evaluate", digits_file, "--backend", "cpuu")
