"""Standard error and standard output may be anything: a line that cannot be shown ends no training."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from accelnn import Callback, Dense, Sequential
from accelnn.errors import AccelnnWarning, ArgumentTypeError
from accelnn.messages import Display, say, warn
from accelnn.training.progress import Progress

X = np.linspace(0, 1, 20)[:, None]
Y = (X[:, 0] > 0.5).astype(int)


class Terminal(io.TextIOWrapper):
    """A terminal with few characters."""

    def __init__(self, encoding: str) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding)

    def isatty(self) -> bool:
        return True


PROGRAM = """
import io, os, sys, warnings
import numpy as np
from accelnn import Dense, MLPClassifier, Sequential

class WriteOnly:
    text = ""
    def write(self, text):
        self.text += text

class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")

def closed():
    stream = io.StringIO()
    stream.close()
    return stream

def detached():
    stream = io.TextIOWrapper(io.BytesIO())
    stream.detach()
    return stream

def broken_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return io.TextIOWrapper(io.FileIO(writing, "wb", closefd=False), write_through=True)

warnings.simplefilter("always")
x = np.linspace(0, 1, 20)[:, None]
y = (x[:, 0] > 0.5).astype(int)
console = sys.stdout, sys.stderr
for kind in (lambda: None, closed, detached, broken_pipe, WriteOnly, object, Full):
    sys.stdout = sys.stderr = stream = kind()
    for verbose in (1, 2):
        network = Sequential([Dense(2, "softmax")], seed=0)
        assert len(network.fit(x, y, epochs=3, batch_size=30, verbose=verbose, runner="plain")) == 3
    for solver in ("sgd", "lbfgs"):
        model = MLPClassifier((2,), solver=solver, max_iter=2, verbose=True, random_state=0).fit(x, y)
        assert model.n_iter_ == 2
    sys.stdout, sys.stderr = console
    if kind is WriteOnly:
        print(stream.text)
print("done")
"""


def test_trainings_with_streams_of_any_kind() -> None:
    """In a process of its own: pytest shows warnings in its own way, and has streams of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (0, "", "done")
    for words in (
        "epoch 3/3: loss",
        "batch_size is 30 and there are only 20 rows",
        "ConvergenceWarning",
        "Iteration 2",
    ):
        assert words in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_bar_on_a_terminal_with_few_characters(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Named(Callback):
        def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
            record["精度"] = 0.5

    terminal, seconds = Terminal(encoding), iter(range(10_000))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    shown = Progress(stream=terminal, clock=lambda: float(next(seconds)))
    model = Sequential([Dense(2, "softmax")], seed=0)
    model.fit(X, Y, epochs=3, verbose=0, runner="plain", callbacks=[Named(), shown])
    terminal.flush()
    assert b"epoch 3/3" in terminal.bytes.getvalue()
    assert rb"\u7cbe\u5ea6 0.5" in terminal.bytes.getvalue()


def test_what_is_no_stream_is_told_to_who_gives_it() -> None:
    with pytest.raises(ArgumentTypeError, match=r"stream is 'log.txt' of type str: use a text stream"):
        Progress(stream="log.txt")  # type: ignore[arg-type]


def test_a_display_is_what_it_is_made_of() -> None:
    terminal = Terminal("cp1252")
    assert (Display(terminal).encoding, Display(terminal).isatty()) == ("cp1252", True)
    assert (Display(None).encoding, Display(None).isatty()) == ("utf-8", False)
    say("é 数", terminal)
    assert terminal.bytes.getvalue() == b"\xe9 \\u6570" + os.linesep.encode()
    with pytest.raises(io.UnsupportedOperation):
        Display(io.StringIO()).fileno()


def test_warnings_come_from_the_caller_and_may_be_errors() -> None:
    with pytest.warns(AccelnnWarning, match="careful") as caught:
        warn("careful")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            warn("careful", ConvergenceWarning)
