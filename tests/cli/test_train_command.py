from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import QUICK, error_of, run, run_json

from accelnn import Activation, Dense, Dropout, Rescaling, Sequential, load_model
from accelnn.cli.options import TrainOptions
from accelnn.cli.recipe import checked_recipe
from accelnn.cli.train import Watch
from accelnn.errors import ModelFileError
from accelnn.training import SGD, Adam
from accelnn.training.schedules import Constant, Cosine

FIELDS = {
    "dataset": str, "backend": str, "device": str, "runner": str, "dtype": str, "units": list, "epochs": int,
    "epochs_before": int, "batch_size": int, "train_loss": float, "test_loss": float, "test_accuracy": float,
    "samples_per_s": float, "elapsed_s": float, "seed": int,
}  # fmt: skip

DEFAULTS = TrainOptions(
    dataset="digits", data_dir=None, hidden="128,64", activation="relu", optimizer="adam", learning_rate=None,
    epochs=10, batch_size=None, dropout=0.0, l2=0.0, schedule="constant", early_stopping=None, backend="cpu",
    dtype="float32", runner="auto", seed=None, save=None, plot=None, as_json=False,
)  # fmt: skip


def recipe(**flags: Any) -> Any:
    return checked_recipe(dataclasses.replace(DEFAULTS, **flags))


def test_json_has_exactly_the_documented_fields() -> None:
    results = run_json("train", *QUICK)
    assert {name: type(value) for name, value in results.items()} == FIELDS
    assert results["units"] == [64, 16, 10]
    assert (results["dataset"], results["backend"], results["device"]) == ("digits", "cpu", "cpu")
    assert (results["runner"], results["dtype"]) == ("plain", "float32")
    assert (results["epochs"], results["batch_size"], results["seed"]) == (2, 128, 0)
    assert 0.0 <= results["test_accuracy"] <= 1.0
    assert results["samples_per_s"] > 0.0
    assert results["elapsed_s"] > 0.0


def test_json_is_all_that_is_printed() -> None:
    result = run("train", *QUICK, "--json")
    assert result.stdout.startswith("{")
    assert result.stdout.endswith("}\n")
    assert result.stderr == ""


def test_people_get_a_few_lines() -> None:
    result = run("train", *QUICK)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["data", "model", "score", "speed"]
    assert "1,438 rows to train on, 359 to test with, 64 features, 10 classes" in result.stdout
    assert "64-16-10, 1,210 parameters, float32, on cpu, seed 0" in result.stdout
    assert "test accuracy 0." in result.stdout
    assert "samples/s (plain runner), 2 epochs in" in result.stdout


def test_one_epoch_is_singular() -> None:
    assert ", 1 epoch in" in run("train", *QUICK, "--epochs", 1).stdout


def test_the_seed_decides() -> None:
    losses = [run_json("train", *QUICK, "--seed", seed)["train_loss"] for seed in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]


def test_a_drawn_seed_is_reported_and_repeats_the_run() -> None:
    flags = ("train", "--dataset", "moons", "--epochs", 1, "--runner", "plain")
    first, second = run_json(*flags), run_json(*flags)
    assert first["seed"] != second["seed"]
    assert run_json(*flags, "--seed", first["seed"])["train_loss"] == first["train_loss"]


def test_the_compiled_runner_is_the_default_and_agrees() -> None:
    flags = ("train", *QUICK, "--dtype", "float64")
    plain, compiled = run_json(*flags), run_json(*flags, "--runner", "auto")
    assert compiled["runner"] == "compiled"
    assert math.isclose(plain["train_loss"], compiled["train_loss"], rel_tol=1e-9)


def test_flags_make_the_model() -> None:
    run(
        "train", *QUICK, "--hidden", "8, 6", "--activation", "tanh", "--dropout", 0.25, "--l2", 0.5, "--dtype",
        "float64", "--save", "model.npz",
    )  # fmt: skip
    model = load_model("model.npz")
    assert [type(layer) for layer in model.layers] == [Rescaling, Dense, Dropout, Dense, Dropout, Dense]
    assert model.units == [64, 8, 6, 10]
    assert model.dtype == "float64"
    dense: list[Any] = [layer for layer in model.layers if isinstance(layer, Dense)]
    assert [layer.activation for layer in dense] == ["tanh", "tanh", "softmax"]
    assert [layer.l2 for layer in dense] == [0.5] * 3
    assert [layer.rate for layer in model.layers if isinstance(layer, Dropout)] == [0.25] * 2
    assert not any(isinstance(layer, Activation) for layer in model.layers)


def test_only_bytes_are_rescaled_and_nothing_is_standardised() -> None:
    run("train", *QUICK, "--dataset", "moons", "--save", "model.npz")
    assert [type(layer) for layer in load_model("model.npz").layers] == [Dense, Dense]
    run("train", *QUICK, "--save", "model.npz")
    first = load_model("model.npz").layers[0]
    assert isinstance(first, Rescaling)
    assert first.config() == {"scale": 1 / 16, "offset": 0.0}


def test_no_hidden_layer() -> None:
    assert run_json("train", *QUICK, "--hidden", "none")["units"] == [64, 10]


def test_the_usual_recipe() -> None:
    usual = recipe()
    assert usual.widths == (128, 64)
    assert usual.optimizer == Adam(Constant(0.001))


def test_learning_rate_and_schedule() -> None:
    assert recipe(optimizer="sgd").optimizer == SGD(Constant(0.01))
    assert recipe(optimizer="nesterov", learning_rate=0.5).optimizer == SGD(Constant(0.5), 0.9, True)
    assert recipe(schedule="cosine").optimizer == Adam(Cosine(0.001))
    assert recipe(schedule="cosine", learning_rate=0.1).optimizer == Adam(Cosine(0.1))


def test_batch_size() -> None:
    assert run_json("train", *QUICK, "--batch-size", 50)["batch_size"] == 50


def test_the_default_batch_size_fits_small_data() -> None:
    np.savez("small.npz", x=np.eye(20), y=np.arange(20) % 2)
    result = run("train", *QUICK, "--dataset", "npz:small.npz", "--json")
    assert '"batch_size": 16' in result.stdout
    assert result.stderr == ""


def test_a_batch_size_beyond_the_rows_is_a_warning() -> None:
    result = run("train", *QUICK, "--batch-size", 5000, "--json")
    assert '"batch_size": 1438' in result.stdout
    assert result.stderr == (
        "accelnn: warning: batch_size is 5000 and there are only 1438 rows: all rows make one batch\n"
    )


def test_early_stopping_reports_the_epoch_that_it_keeps() -> None:
    flags = ("train", "--dataset", "moons", "--optimizer", "sgd", "--learning-rate", 2, "--runner", "plain")
    flags = (*flags, "--epochs", 300, "--seed", 1, "--hidden", 8)
    full = run_json(*flags, "--early-stopping", 1)
    assert full["epochs"] < 300
    result = run(*flags, "--early-stopping", 1)
    assert "early  val_loss did not improve for 1 epochs (best" in result.stdout
    best = run_json(*flags, "--early-stopping", 1000)
    assert best["epochs"] == 300


def test_early_stopping_needs_rows() -> None:
    np.savez("small.npz", x_train=np.eye(4), y_train=[0, 1, 0, 1], x_test=np.eye(4), y_test=[0, 1, 0, 1])
    message = error_of("train", "--dataset", "npz:small.npz", "--early-stopping", 3)
    assert "--early-stopping is 3: leave it out, the 4 training rows are too few" in message


def test_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    np.savez("line.npz", x=x, y=x @ [1.0, -2.0, 0.5])
    flags = ("train", *QUICK, "--dataset", "npz:line.npz", "--learning-rate", 0.05, "--epochs", 40)
    results = run_json(*flags, "--save", "line_model.npz")
    assert results["units"] == [3, 16, 1]
    assert results["test_accuracy"] is None
    assert results["test_loss"] < 1.0
    assert "test r2 0.9" in run(*flags).stdout
    assert "1 values to predict" in run(*flags).stdout
    assert run_json("evaluate", "line_model.npz")["test_loss"] == results["test_loss"]


def test_data_without_test_rows() -> None:
    parts = {"x_train": np.eye(6), "y_train": np.arange(6) % 2, "x_test": np.zeros((0, 6)), "y_test": np.zeros(0, int)}
    np.savez("train_only.npz", **parts)
    flags = ("train", *QUICK, "--dataset", "npz:train_only.npz")
    results = run_json(*flags, "--save", "model.npz")
    assert results["test_loss"] is None
    assert results["test_accuracy"] is None
    assert "there are no rows to test with" in run(*flags).stdout
    assert "it has no rows to test with" in error_of("evaluate", "model.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.eye(3), "y": [0, 0, 0]}, "all its rows have the same class"),
        (
            {"x_train": np.zeros((0, 2)), "y_train": np.zeros(0, int), "x_test": np.eye(2), "y_test": [0, 1]},
            "it has no training rows",
        ),
    ],
)
def test_data_with_nothing_to_learn(arrays: dict[str, Any], message: str) -> None:
    np.savez("data.npz", **arrays)
    assert message in error_of("train", "--dataset", "npz:data.npz")


def test_plot_draws_a_png() -> None:
    result = run("train", *QUICK, "--plot", "curves.PNG", "--save", "model.npz")
    assert Path("curves.PNG").read_bytes().startswith(b"\x89PNG")
    assert result.stdout.endswith("saved  model.npz\nsaved  curves.PNG\n")


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = error_of("train", "--dataset", "digits", "--plot", "curves.png", exit_code=1)
    assert 'install it with pip install "accelnn[plot]"' in message


@pytest.mark.parametrize(
    ("save", "message"), [((), "interrupted"), (("--save", "m.npz"), "the model so far is in m.npz")]
)
def test_ctrl_c_between_two_epochs(save: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "on_epoch_end", interrupt)
    assert message in error_of("train", *QUICK, "--plot", "curves.png", *save, "--json", exit_code=130)
    assert Path("curves.png").exists()
    assert Path("m.npz").exists() == bool(save)


@pytest.mark.usefixtures("no_network")
def test_auto_without_network_says_so_and_takes_the_digits() -> None:
    result = run("train", "--epochs", 1, "--hidden", "none", "--runner", "plain", "--json")
    assert result.exit_code == 0
    assert '"dataset": "digits"' in result.stdout
    assert result.stderr.startswith("accelnn: using scikit-learn's digits instead of mnist: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_pictures_without_network_are_an_error_that_says_where_to_put_them(name: str) -> None:
    message = error_of("train", "--dataset", name)
    assert f"into a folder DIR/{name}" in message
    assert "--data-dir or ACCELNN_DATA_DIR" in message


def test_divergence_is_a_failed_run() -> None:
    message = error_of("train", *QUICK, "--optimizer", "sgd", "--learning-rate", 1e30, "--json", exit_code=1)
    assert "the loss is" in message
    assert "a learning rate that is too high" in message


def test_a_model_that_is_too_large_is_a_failed_run() -> None:
    message = error_of("train", *QUICK, "--hidden", "999999999,999999999", "--json", exit_code=1)
    assert "not enough memory" in message


def test_a_full_disk_is_a_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*_: Any, **__: Any) -> None:
        raise ModelFileError("cannot write 'model.npz': No space left on device")

    monkeypatch.setattr(Sequential, "save", save)
    assert "No space left" in error_of("train", *QUICK, "--save", "model.npz", "--json", exit_code=1)
