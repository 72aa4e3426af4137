"""Whatever is mistyped ends in one line on standard error that names the flag and, where there is one, the nearest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
from command_line import error_of, run

from accelnn.cli import app
from accelnn.data import dataset_names
from accelnn.network import ACTIVATION_ENTRIES
from accelnn.training import OPTIMIZERS, SCHEDULES

COMMANDS = typer.main.get_group(app).commands
FLAGS = [
    (command, flag)
    for command, definition in COMMANDS.items()
    for parameter in definition.params
    for flag in parameter.opts
    if flag.startswith("--")
]


def test_the_flags_are_the_documented_ones() -> None:
    documented = {
        "train": "--dataset --data-dir --hidden --activation --optimizer --learning-rate --epochs --batch-size "
        "--dropout --l2 --schedule --early-stopping --backend --dtype --runner --threads --precision --seed --save "
        "--plot --checkpoint --checkpoint-every --resume --json",
        "evaluate": "--dataset --data-dir --backend --json",
        "predict": "--input --output --backend --json",
        "bench": "--hidden --activation --optimizer --batch-size --backend --dtype --threads --seconds --plot --json",
        "info": "--json",
        "warmup": "--dtype --json",
    }
    assert list(COMMANDS) == list(documented)
    for command, flags in documented.items():
        assert [flag for name, flag in FLAGS if name == command] == flags.split()


@pytest.mark.parametrize(("command", "flag"), FLAGS)
def test_a_mistyped_flag_proposes_the_nearest(command: str, flag: str) -> None:
    for mistyped in (flag + "x", flag[:-1], flag[:3] + flag[4:]):
        if mistyped not in ("--", "--l") and (command, mistyped) not in FLAGS:
            message = error_of(command, mistyped)
            assert f"there is no option {mistyped}: did you mean {flag}?" in message
            assert f"'accelnn {command} --help' explains all options" in message


@pytest.mark.parametrize(
    ("mistyped", "nearest"), [("trian", "train"), ("evalute", "evaluate"), ("predcit", "predict"), ("Info", "info")]
)
def test_a_mistyped_command_proposes_the_nearest(mistyped: str, nearest: str) -> None:
    assert f"did you mean '{nearest}'?" in error_of(mistyped)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--dataset", "mnsit", "--dataset is 'mnsit': did you mean 'mnist'?"),
        ("--dataset", "csv:", "--dataset is 'csv:': put a path after the colon"),
        ("--dataset", "cvs:file", "did you mean 'csv:file'?"),
        ("--dataset", "xyz", "--dataset is 'xyz': known names are auto, "),
        ("--dataset", "csv:missing.csv", "missing.csv: the file is not there"),
        ("--dataset", "npz:missing.npz", "missing.npz: the file is not there"),
        ("--dataset", "idx:missing", "missing': no such directory"),
        ("--data-dir", "missing", "--data-dir is 'missing': no such directory"),
        ("--hidden", "128,x", "--hidden is '128,x': use widths such as 128,64, or none"),
        ("--hidden", "0", "--hidden is '0'"),
        ("--hidden", "9" * 5000, "--hidden is '9999"),
        ("--activation", "rellu", "--activation is 'rellu': did you mean 'relu'?"),
        ("--optimizer", "adan", "--optimizer is 'adan': did you mean 'adam'?"),
        ("--learning-rate", "-1", "--learning-rate is -1.0: use a finite number > 0"),
        ("--learning-rate", "nan", "--learning-rate is nan: use a finite number > 0"),
        ("--learning-rate", "fast", "--learning-rate is 'fast': use a number"),
        ("--epochs", "0", "--epochs is '0': use an integer >= 1"),
        ("--epochs", "ten", "--epochs is 'ten': use an integer >= 1"),
        ("--batch-size", "0", "--batch-size is '0': use an integer >= 1"),
        ("--dropout", "1", "--dropout is 1.0: use a finite number >= 0 and < 1"),
        ("--l2", "-1", "--l2 is -1.0: use a finite number >= 0"),
        ("--schedule", "cosin", "--schedule is 'cosin': did you mean 'cosine'?"),
        ("--early-stopping", "0", "--early-stopping is '0': use an integer >= 1"),
        ("--backend", "cdua", "--backend is 'cdua': did you mean 'cuda'?"),
        ("--backend", "cuda:x", "--backend is 'cuda:x': number the device"),
        ("--dtype", "float23", "--dtype is 'float23': did you mean 'float32'?"),
        ("--runner", "compield", "--runner is 'compield': did you mean 'compiled'?"),
        ("--threads", "0", "--threads is '0': use an integer >= 1"),
        ("--threads", "all", "--threads is 'all': use an integer >= 1"),
        ("--precision", "half", "--precision is 'half': known names are bf16, float32, "),
        ("--seed", "-1", "--seed is '-1': use an integer >= 0"),
        ("--seed", "1.5", "--seed is '1.5': use an integer >= 0"),
        ("--save", "missing/m.npz", "--save is 'missing/m.npz': there is no folder"),
        ("--save", ".", "--save is '.': this is not a regular file: use another name"),
        ("--save", "", "--save is '': use a path that is not empty"),
        ("--plot", "curves.jpg", "--plot is 'curves.jpg': use a file name that ends in .png"),
        ("--plot", "missing/c.png", "--plot is 'missing/c.png': there is no folder"),
    ],
)
def test_a_wrong_value_names_flag_value_and_fix(flag: str, value: str, message: str) -> None:
    arguments = [] if flag == "--dataset" else ["--dataset", "digits"]
    assert message in error_of("train", *arguments, flag, value)


@pytest.mark.parametrize("name", ["rows.csv", "rows.npz", "folder"])
def test_a_path_without_its_kind(name: str) -> None:
    Path(name).mkdir() if name == "folder" else Path(name).touch()
    kind = {"rows.csv": "csv", "rows.npz": "npz", "folder": "idx"}[name]
    assert f"did you mean '{kind}:{name}'?" in error_of("train", "--dataset", name)


@pytest.mark.parametrize("flag", ["--save", "--plot", "--checkpoint"])
def test_a_place_where_nothing_can_be_written(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:  # root may write anywhere
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    message = error_of("train", flag, "m.png")
    assert f"{flag} is 'm.png': nothing can be written there (Read-only file system): use another folder" in message
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "mnist"), ("train", "--epochs"), ("evaluate",), ("predict", "model.npz"), ("--nonsense",),
        ("train", "-x"), ("info", "extra"), ("predict", "model.npz", "--input", "rows.csv"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(arguments: tuple[str, ...]) -> None:
    error_of(*arguments)


def test_no_arguments_show_the_help() -> None:
    result = run()
    assert result.exit_code == 0
    assert result.stdout == run("--help").stdout == run("-h").stdout
    assert [command in result.stdout for command in COMMANDS] == [True] * len(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    for name, flag in FLAGS:
        if name == command:
            assert re.search(rf"^  (\S+, )?{flag}\b", result.stdout, re.MULTILINE), flag


@pytest.mark.parametrize("names", [ACTIVATION_ENTRIES, OPTIMIZERS, SCHEDULES, dataset_names()])
def test_the_help_lists_all_names(names: list[str]) -> None:
    text = run("train", "--help").stdout
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_version() -> None:
    from accelnn import __version__

    assert run("--version").stdout == f"accelnn {__version__}\n"
