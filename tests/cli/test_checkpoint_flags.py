"""``accelnn train --checkpoint DIR --resume``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import QUICK, error_of, run, run_json

from accelnn import Checkpoint, load_model
from accelnn.cli import train as train_command
from accelnn.training import Callback

UNSEEDED = (*QUICK[:-2], "--epochs", "4", "--early-stopping", "3")


class CrashError(Exception):
    """What ends a run."""


def crash(self: Callback, model: Any, epoch: int) -> None:
    """Let the watching callback end a run after its second epoch."""
    if epoch == 2:
        raise CrashError


def test_a_run_that_crashed_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(train_command.Watch, "on_epoch_begin", crash)
        with pytest.raises(CrashError):
            run("train", *UNSEEDED, "--seed", "5", "--checkpoint", "run", "--checkpoint-every", "3 steps")
    assert Checkpoint("run").saved_seed() == 5
    resumed = run_json("train", *UNSEEDED, "--checkpoint", "run", "--resume", "--save", "resumed.npz")
    whole = run_json("train", *UNSEEDED, "--seed", "5", "--save", "whole.npz")
    assert (resumed.pop("epochs_before"), whole.pop("epochs_before")) == (2, 0)
    times = ("samples_per_s", "elapsed_s")
    assert {k: v for k, v in resumed.items() if k not in times} == {k: v for k, v in whole.items() if k not in times}
    with np.load("resumed.npz") as one, np.load("whole.npz") as two:
        np.testing.assert_array_equal(one["values"], two["values"])


def test_a_run_that_is_over_is_extended() -> None:
    flags = (*QUICK[:-2], "--checkpoint", "run", "--resume")
    run_json("train", *flags, "--epochs", "2", "--seed", "5")
    longer = run_json("train", *flags, "--epochs", "4")
    whole = run_json("train", *QUICK[:-2], "--epochs", "4", "--seed", "5")
    assert (longer["epochs"], longer["epochs_before"]) == (4, 2)
    assert (longer["train_loss"], longer["test_loss"]) == (whole["train_loss"], whole["test_loss"])
    message = error_of("train", *flags, "--epochs", "3", "--json")
    assert "run' has reached epoch 4 already; use 4 or more, or another folder" in message


def test_where_a_run_goes_on_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("train", *UNSEEDED, "--checkpoint", "run", "--resume")
    with monkeypatch.context() as patch:
        patch.setattr(train_command.Watch, "on_epoch_begin", crash)
        with pytest.raises(CrashError):
            run(*flags)
    resumed = run(*flags)
    assert resumed.stderr.startswith("the run is resumed after 2 of 4 epochs\n")
    assert re.search(r"4 epochs, 2 of them before, in \d+\.\d\d s", resumed.stdout)


def test_a_run_that_is_not_there_begins(capsys: pytest.CaptureFixture[str]) -> None:
    first = run_json("train", *UNSEEDED, "--checkpoint", "new/run", "--resume")
    again = run_json("train", *UNSEEDED, "--checkpoint", "new/run", "--resume")
    assert (first["seed"], first["train_loss"]) == (again["seed"], again["train_loss"])
    assert load_model("new/run").units == [64, 16, 10]


def test_a_folder_is_a_model_too() -> None:
    run_json("train", *QUICK, "--checkpoint", "run")
    load_model("run").save("model.npz")
    of_folder, of_file = (run_json("evaluate", path, "--dataset", "digits") for path in ("run", "model.npz"))
    assert of_folder["test_loss"] == of_file["test_loss"]
    Path("empty").mkdir()
    assert "empty' cannot be used as a model file: it is a folder without checkpoints" in error_of(
        "evaluate", "empty", "--dataset", "digits"
    )


def test_folders_of_another_run_are_refused() -> None:
    run_json("train", *QUICK, "--checkpoint", "run")
    before = sorted(Path("run").iterdir())
    assert "--checkpoint is 'run': the folder has checkpoints already: add --resume" in error_of(
        "train", *QUICK, "--checkpoint", "run"
    )
    message = error_of("train", *QUICK, "--json", "--learning-rate", "0.5", "--checkpoint", "run", "--resume")
    assert "settings.optimizer.learning_rate.rate was 0.001 and is 0.5" in message
    assert sorted(Path("run").iterdir()) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--resume"], "--resume is True: say from where, with --checkpoint DIR"),
        (["--checkpoint", ""], "--checkpoint is '': use a path that is not empty"),
        (
            ["--checkpoint", "run", "--checkpoint-every", "often"],
            "--checkpoint-every is 'often': use 'epoch', or a number",
        ),
    ],
)
def test_wrong_flags(flags: list[str], message: str) -> None:
    assert message in error_of("train", *QUICK, *flags)
    assert not Path("run").exists()


def test_damage_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    run_json("train", *QUICK, "--checkpoint", "run")
    newest = sorted(Path("run").glob("*.safetensors"))[-1]
    newest.write_bytes(b"")
    result = run("train", *QUICK[:-2], "--json", "--checkpoint", "run", "--resume")
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert "run/checkpoint-000002" in result.stderr
    for path in Path("run").glob("*.safetensors"):
        path.write_bytes(b"")
    assert "run' can be used" in error_of("train", *QUICK, "--json", "--checkpoint", "run", "--resume", exit_code=1)


def test_after_ctrl_c_the_way_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Callback, model: Any, epoch: int) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_command.Watch, "on_epoch_begin", interrupt)
        result = run("train", *QUICK, "--json", "--checkpoint", "run")
    assert result.exit_code == 130
    assert result.stderr == "accelnn: interrupted; --resume goes on with the run\n"
    assert run_json("train", *QUICK, "--checkpoint", "run", "--resume")["epochs"] == 2
