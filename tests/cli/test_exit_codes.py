from __future__ import annotations

import logging
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from command_line import run, start

from accelnn import load_model
from accelnn.cli.failures import CommandError, exit_code_of
from accelnn.errors import (
    AccelnnError,
    AccelnnWarning,
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    DataError,
    DivergenceError,
    ModelFileError,
)


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (ArgumentError("bad"), 2),
        (ArgumentTypeError("bad"), 2),
        (DataError("bad"), 2),
        (ModelFileError("bad"), 2),
        (BackendError("bad"), 1),
        (DivergenceError("bad"), 1),
        (AccelnnError("bad"), 1),
        (OSError("bad"), 1),
        (CommandError("bad"), 1),
        (CommandError("bad", 7), 7),
    ],
)
def test_errors_are_one_line(error: Exception, exit_code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(raising(error)) == exit_code
    assert capsys.readouterr() == ("", "accelnn: bad\n")


def test_a_message_of_several_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(raising(DataError("two\n  lines")))
    assert capsys.readouterr().err == "accelnn: two lines\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(raising(error)) == 130
    assert capsys.readouterr().err == "accelnn: interrupted\n"


def test_no_memory_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(raising(MemoryError())) == 1
    assert capsys.readouterr().err == "accelnn: not enough memory: use smaller layers or less data\n"


def test_a_fault_of_accelnn_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_code_of(raising(ZeroDivisionError()))


def test_a_reader_that_has_seen_enough(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    closed: list[int] = []
    monkeypatch.setattr(os, "dup2", lambda nowhere, stream: closed.append(nowhere))
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1)
    assert exit_code_of(raising(BrokenPipeError())) == 1
    assert capsys.readouterr().err == ""
    os.close(closed[0])


def test_success() -> None:
    assert exit_code_of(lambda: None) == 0


def test_warnings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(lambda: warnings.warn("careful", AccelnnWarning, stacklevel=1)) == 0
    assert capsys.readouterr().err == "accelnn: warning: careful\n"


def records() -> None:
    """Log what the floors below log: what takes time, and what is only for the curious."""
    logger = logging.getLogger("accelnn")
    for file, level, message in (
        ("download.py", logging.INFO, "downloading it"),
        ("notice.py", logging.INFO, "compiling"),
        ("compiler.py", logging.DEBUG, "compiled one kernel"),
        ("backend.py", logging.INFO, "for the curious"),
        ("catalog.py", logging.WARNING, "something else instead"),
    ):
        if logger.isEnabledFor(level):
            logger.handle(logger.makeRecord("accelnn", level, file, 1, message, (), None))


def test_warnings_of_the_log_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(records)
    assert capsys.readouterr().err == "accelnn: something else instead\n"


def test_on_a_terminal_what_takes_time_is_shown_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    exit_code_of(records)
    assert capsys.readouterr().err.splitlines() == [
        "accelnn: downloading it",
        "accelnn: compiling",
        "accelnn: something else instead",
    ]


def test_the_log_is_left_as_it_was() -> None:
    logger = logging.getLogger("accelnn")
    before = logger.level, list(logger.handlers)
    exit_code_of(raising(DataError("bad")))
    assert (logger.level, list(logger.handlers)) == before


def test_cuda_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelnn.arrays.cuda_driver.driver_version", lambda: 0)
    monkeypatch.setattr("accelnn.arrays.cuda_probe._working", set())
    result = run("train", "--dataset", "digits", "--backend", "cuda")
    assert result.exit_code == 1
    assert result.stderr.startswith("accelnn: backend 'cuda:0' cannot be used: no NVIDIA driver was found; to fix it, ")


def test_the_module_is_the_command() -> None:
    process = start("--version")
    assert process.communicate(timeout=60) == (run("--version").stdout, "")
    assert process.returncode == 0


def test_the_module_in_this_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["accelnn", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("accelnn", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("accelnn ")


def test_a_failure_of_the_process() -> None:
    process = start("train", "--epoch", "3")
    out, error = process.communicate(timeout=60)
    assert (out, error.count("\n"), process.returncode) == ("", 1, 2)


def test_help_needs_no_heavy_module() -> None:
    heavy = "numpy", "numba", "scipy", "sklearn", "matplotlib", "rich", "pooch", "cupy", "accelnn.training"
    program = (
        "import sys\nfrom accelnn.cli import app\n"
        "try:\n    app(['train', '--help'])\nexcept SystemExit as end:\n    code = end.code\n"
        f"print(code, sorted(set(sys.modules) & set({heavy!r})))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
class TestProcess:
    def test_ctrl_c_ends_training_with_a_usable_model(self) -> None:
        process = start(
            "train", "--dataset", "digits", "--runner", "plain", "--epochs", 1_000_000, "--save", "model.npz",
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        assert process.stderr is not None
        assert any(line.startswith("epoch") for line in process.stderr)  # training has lasted for a second
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert out.startswith("data   digits")
        assert "score" not in out
        assert error.splitlines()[-1] == "accelnn: interrupted; the model so far is in model.npz"
        assert load_model(Path("model.npz")).units == [64, 128, 64, 10]
        assert run("evaluate", "model.npz").exit_code == 0

    def test_a_reader_that_leaves_is_no_traceback(self) -> None:
        process = start("train", "--help")
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(timeout=60) == 1
