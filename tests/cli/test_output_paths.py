"""No output of a command is one of its inputs or another of its outputs, however its path is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK, error_of, run

from accelnn import History
from accelnn.data.atomic_file import is_same_file
from accelnn.plotting import plot_activations

TABLE = "a,b,c\n" + "1,0,1\n0,1,0\n" * 10


@pytest.fixture(autouse=True)
def inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a table in the folder ``sub``, which is the home directory too, with a link and a hard link to it."""
    Path("sub").mkdir()
    Path("sub/rows.csv").write_text(TABLE)
    Path("link.csv").symlink_to("sub/rows.csv")
    os.link("sub/rows.csv", "hard.csv")
    monkeypatch.setenv("HOME", str(Path("sub").absolute()))


SPELLINGS = ["sub/rows.csv", "./sub/../sub/rows.csv", "link.csv", "hard.csv", "~/rows.csv"]


@pytest.mark.skipif(os.name == "nt", reason="links and $HOME as POSIX has them")
@pytest.mark.parametrize("output", SPELLINGS)
@pytest.mark.parametrize("flag", ["--save", "--plot"])
def test_training_does_not_overwrite_its_rows(flag: str, output: str) -> None:
    if flag == "--plot":
        Path("sub/rows.csv").rename("sub/rows.png")
        Path("sub/rows.csv").symlink_to("rows.png")
        output = "sub/rows.png"
    message = error_of("train", *QUICK, "--dataset", "csv:sub/rows.csv", flag, output)
    assert f"{flag} is '{output}': it would be overwritten, and it is needed as --dataset: use another name" in message
    assert Path("sub/rows.csv").read_text() == TABLE


def test_files_that_a_folder_stands_for_are_inputs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mnist").mkdir()
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        Path("mnist", name).write_bytes(b"pictures")
    output = "mnist/train-images-idx3-ubyte"
    monkeypatch.setenv("ACCELNN_DATA_DIR", str(Path.cwd()))
    for arguments in (("idx:mnist",), ("mnist", "--data-dir", "."), ("auto",)):
        message = error_of("train", "--dataset", *arguments, "--save", output)
        assert "it would be overwritten, and it is needed as --dataset" in message
    assert Path(output).read_bytes() == b"pictures"


def test_two_outputs_are_two_files() -> None:
    for save, plot in (("m.png", "m.png"), ("m.png", "sub/../m.png"), ("m.png", "M.png")):
        message = error_of("train", *QUICK, "--save", save, "--plot", plot)
        assert f"--plot is '{plot}': this is the file of --save too: use another name" in message
    for save in ("run", "runs", "run/lock", "run/checkpoint-000007.safetensors"):
        folder = Path("runs/a") if save == "runs" else Path("run")
        folder.mkdir(parents=True) if save.startswith("run/") and not folder.exists() else None
        message = error_of("train", *QUICK, "--save", save, "--checkpoint", folder)
        assert f"--save is '{save}': the checkpoints of a run have this place: use another name" in message
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["hard.csv", "link.csv", "run", "sub"]


def test_a_folder_of_checkpoints_is_not_written_into_by_predictions() -> None:
    run("train", *QUICK, "--checkpoint", "run")
    np.savez("rows.npz", x=np.zeros((2, 64)))
    newest = max(Path("run").glob("*.safetensors"))
    message = error_of("predict", "run", "--input", "rows.npz", "--output", newest)
    assert "the checkpoints of a run have this place" in message


def test_names_that_are_there_are_compared_by_the_system() -> None:
    here = Path.cwd()
    (here / "m").touch()
    (here / "other").touch()
    assert not is_same_file(here / "m", here / "other")
    assert not is_same_file(here / "m", here / "nowhere")
    assert is_same_file(here / "sub" / ".." / "m", here / "m")
    assert is_same_file(here / "new", here / "NEW")
    assert not is_same_file(here / "new", here / "newer")


def test_every_path_knows_the_home_directory() -> None:
    """The shell does not expand ``~`` in ``--save=~/m.npz``."""
    home = Path("sub")
    result = run("train", *QUICK, "--dataset=csv:~/rows.csv", "--save=~/m.npz", "--plot=~/m.png", "--checkpoint=~/run")
    assert result.exit_code == 0, result.stderr
    assert run("evaluate", "~/m.npz").exit_code == 0
    assert run("predict", "~/run", "--input=~/rows.csv", "--output=~/out.csv").exit_code == 2  # it has the labels too
    History([{"loss": 1.0}]).plot("~/curve.svg")
    plot_activations("relu", "~/relu.png")
    written = {"m.npz", "m.png", "run", "curve.svg", "relu.png", "rows.csv"}
    assert {path.name for path in home.glob("[!.]*")} == written  # Matplotlib has its hidden ones there
    assert not Path("~").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a folder in which nobody can write")
def test_a_folder_that_cannot_be_written_is_found_before_the_data_are_read() -> None:
    for flag, path in (("--checkpoint", "/proc/runs/a"), ("--save", "/proc/m.npz")):
        message = error_of("train", "--dataset", "csv:missing.csv", flag, path)
        assert f"{flag} is '{path}': nothing can be written there" in message
