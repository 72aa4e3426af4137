"""Progress with a clock under control: what is written, when, and where."""

import io
import re
import subprocess
import sys
import types

import pytest
from accelnn_kernels import notice

from accelnn.errors import ArgumentError, ArgumentTypeError
from accelnn.training.callbacks import TrainingPlan
from accelnn.training.history import History
from accelnn.training.progress import Progress

CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _known_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def train(progress, clock, *, epochs, seconds, chunks=1, stopped_because=None, interrupted=False, planned=None):
    """Train ``epochs`` epochs of ``seconds`` each, on the clock, with 10 steps per chunk."""
    history = History(stopped_because=stopped_because, interrupted=interrupted)
    steps = 10 * chunks
    progress.on_train_begin(None, TrainingPlan(epochs=planned or epochs, steps_per_epoch=steps))
    for epoch in range(epochs):
        progress.on_epoch_begin(None, epoch)
        for chunk in range(1, chunks + 1):
            clock.now_s += seconds / chunks
            progress.on_chunk_end(None, epoch, 10 * chunk, steps, 0.25)
        record = history.record(loss=0.5 / (epoch + 1), seconds=seconds, samples_per_s=12345.6, val_accuracy=0.9)
        assert not progress.on_epoch_end(None, epoch, record)
    progress.on_train_end(None, history)


def lines(verbose=1, **run):
    stream, clock = io.StringIO(), Clock()
    train(Progress(verbose, stream=stream, clock=clock), clock, **run)
    return stream.getvalue().splitlines()


def on_terminal(verbose=1, **run):
    stream, clock = Terminal(), Clock()
    train(Progress(verbose, stream=stream, clock=clock), clock, **run)
    return stream.getvalue()


def test_a_short_run_shows_nothing():
    assert lines(epochs=9, seconds=0.1, stopped_because="enough") == []
    assert on_terminal(epochs=9, seconds=0.1, stopped_because="enough") == ""


@pytest.mark.parametrize("verbose", [0, False])
def test_silence(verbose):
    assert lines(verbose, epochs=9, seconds=100, stopped_because="enough") == []
    assert on_terminal(verbose, epochs=9, seconds=100, stopped_because="enough") == ""


def test_one_line_per_epoch_that_takes_a_second():
    assert lines(epochs=2, seconds=1.5) == [
        "epoch 1/2: loss 0.5 val_accuracy 0.9, 12,346 samples/s, 1.5 s",
        "epoch 2/2: loss 0.25 val_accuracy 0.9, 12,346 samples/s, 1.5 s",
    ]


def test_at_most_one_line_per_second_and_always_the_last():
    shown = [line.split(":")[0] for line in lines(epochs=10, seconds=0.3)]
    assert shown == ["epoch 4/10", "epoch 8/10", "epoch 10/10"]


def test_a_long_epoch_gives_a_line_now_and_then():
    shown = lines(epochs=1, seconds=25, chunks=25)
    assert shown[:2] == ["epoch 1/1, step 100/250: loss 0.25", "epoch 1/1, step 200/250: loss 0.25"]
    assert len(shown) == 3


def test_verbose_2_writes_every_epoch_and_nothing_else():
    for shown in (
        lines(2, epochs=5, seconds=0.01),
        lines(2, epochs=5, seconds=100, chunks=10),
        on_terminal(2, epochs=5, seconds=100).splitlines(),
    ):
        assert [line.split(":")[0] for line in shown] == [f"epoch {n}/5" for n in range(1, 6)]


def test_the_end_says_why():
    assert lines(epochs=3, seconds=2, planned=9, stopped_because="loss is low")[-1] == (
        "stopped after 3 of 9 epochs: loss is low"
    )
    assert lines(epochs=3, seconds=2, planned=9, interrupted=True)[-1] == "interrupted after 3 of 9 epochs"
    assert on_terminal(epochs=3, seconds=2, planned=9, interrupted=True).endswith("interrupted after 3 of 9 epochs\n")


def test_the_bar_ends_full_with_the_last_epoch_and_gives_the_cursor_back():
    shown = on_terminal(epochs=4, seconds=0.5)
    final = last_frame(shown)
    assert "epoch 4/4" in final
    assert "100%" in final
    assert "loss 0.125 val_accuracy 0.9" in final
    assert shown.count(CURSOR_HIDDEN) == shown.count(CURSOR_SHOWN) == 1
    assert shown.rindex(CURSOR_SHOWN) > shown.rindex(CURSOR_HIDDEN)


def last_frame(shown):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.split("\r")[-1])


def test_the_bar_of_a_stopped_run_ends_with_the_record_of_its_last_epoch():
    shown = last_frame(on_terminal(epochs=3, seconds=1.5, planned=4, stopped_because="enough"))
    assert "epoch 3/4" in shown
    assert "75%" in shown
    assert "loss 0.1667 val_accuracy 0.9" in shown
    assert shown.endswith("\nstopped after 3 of 4 epochs: enough\n")


def test_the_bar_of_an_interrupted_epoch_does_not_go_back():
    stream, clock = Terminal(), Clock()
    progress = Progress(stream=stream, clock=clock)
    progress.on_train_begin(None, TrainingPlan(epochs=2, steps_per_epoch=10))
    progress.on_epoch_end(None, 0, {"loss": 0.5})
    clock.now_s += 2
    progress.on_chunk_end(None, 1, 4, 10, 0.25)
    progress.on_train_end(None, History(epochs=[{"loss": 0.5}], interrupted=True))
    assert "epoch 2/2" in last_frame(stream.getvalue())
    assert "70%" in last_frame(stream.getvalue())


def test_the_bar_waits_a_second_and_is_redrawn_ten_times_a_second():
    stream, clock = Terminal(), Clock()
    progress = Progress(stream=stream, clock=clock)
    progress.on_train_begin(None, TrainingPlan(epochs=1, steps_per_epoch=1000))
    frames = []
    for step in range(1, 301):
        clock.now_s += 0.01
        progress.on_chunk_end(None, 0, step, 1000, 0.25)
        frames.append(stream.getvalue().count("epoch 1/1"))
    progress.on_train_end(None, History())
    assert frames[98] == 0
    assert frames[101] >= 1
    assert 15 <= frames[-1] <= 25


def test_the_bar_shows_the_validation_of_the_last_epoch_beside_the_running_loss():
    assert "loss 0.25 val_accuracy 0.9" in on_terminal(epochs=3, seconds=2, chunks=4)


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert on_terminal(epochs=1, seconds=2).startswith("epoch 1/1: loss 0.5")


def test_brackets_in_names_are_not_markup():
    stream, clock = Terminal(), Clock()
    progress = Progress(stream=stream, clock=clock)
    progress.on_train_begin(None, TrainingPlan(epochs=1, steps_per_epoch=1))
    clock.now_s += 2
    progress.on_epoch_end(None, 0, {"[red]": 1.0})
    progress.on_train_end(None, History())
    assert "[red] 1" in stream.getvalue()


def test_it_writes_to_standard_error_of_the_moment(capsys):
    clock = Clock()
    train(Progress(clock=clock), clock, epochs=1, seconds=2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("epoch 1/1")


def test_a_program_without_standard_error_trains(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    clock = Clock()
    train(Progress(clock=clock), clock, epochs=1, seconds=2)


def test_a_progress_can_be_used_again():
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream=stream, clock=clock)
    for _ in range(2):
        train(progress, clock, epochs=1, seconds=2)
    progress.on_train_end(None, History())  # without a beginning: nothing
    assert stream.getvalue().count("epoch 1/1") == 2


def test_a_record_of_one_number_is_enough():
    stream = io.StringIO()
    progress = Progress(2, stream=stream)
    progress.on_train_begin(None, TrainingPlan(epochs=1, steps_per_epoch=1))
    progress.on_epoch_end(None, 0, {"loss": 0.123456})
    assert stream.getvalue() == "epoch 1/1: loss 0.1235\n"


@pytest.fixture
def not_said_yet():
    """Let this process say once more that it compiles."""
    notice.forget()
    yield
    notice.forget()


@pytest.mark.usefixtures("not_said_yet")
@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["lines", "bar"])
def test_compiling_is_said_once_before_the_training_and_in_it(stream):
    progress, clock = Progress(stream=stream, clock=Clock()), Clock()
    with progress.announcing():
        notice.announce()
        assert stream.getvalue() == f"{notice.MESSAGE}\n"
        train(progress, clock, epochs=1, seconds=0.1)
        notice.announce()
    assert stream.getvalue() == f"{notice.MESSAGE}\n"


@pytest.mark.usefixtures("not_said_yet")
def test_compiling_during_the_training_is_said_above_the_bar():
    stream, clock = Terminal(), Clock()
    progress = Progress(stream=stream, clock=clock)
    with progress.announcing():
        progress.on_train_begin(None, TrainingPlan(epochs=2, steps_per_epoch=10))
        clock.now_s += 2
        progress.on_epoch_end(None, 0, {"loss": 0.5})
        notice.announce()
        progress.on_train_end(None, History())
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert re.search(rf"(^|[\r\n]){re.escape(notice.MESSAGE)}\s*\n", text)


@pytest.mark.usefixtures("not_said_yet")
def test_silence_about_compiling(capsys, caplog):
    with caplog.at_level("INFO", "accelnn"), Progress(0).announcing():
        notice.announce()
    assert capsys.readouterr() == ("", "")
    assert caplog.messages == [notice.MESSAGE]


def test_rich_is_imported_only_for_a_bar():
    code = (
        "import sys, accelnn.training.progress as p, accelnn.training.callbacks as c\n"
        "progress = p.Progress(2)\n"
        "progress.on_train_begin(None, c.TrainingPlan(1, 1))\n"
        "progress.on_epoch_end(None, 0, {'loss': 0.5})\n"
        "heavy = {'rich', 'matplotlib', 'numba', 'scipy', 'sklearn', 'cupy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "epoch 1/1: loss 0.5\n"


def test_a_print_goes_through_the_bar_only_on_a_terminal(monkeypatch):
    for out, passes_through in ((Terminal(), False), (io.StringIO(), True)):
        monkeypatch.setattr(sys, "stdout", out)
        stream, clock = Terminal(), Clock()
        progress = Progress(stream=stream, clock=clock)
        progress.on_train_begin(None, TrainingPlan(epochs=1, steps_per_epoch=10))
        clock.now_s += 2
        progress.on_chunk_end(types.SimpleNamespace(), 0, 5, 10, 0.5)
        print("a note of a callback")
        progress.on_train_end(None, History())
        assert ("a note of a callback" in out.getvalue()) == passes_through
        assert sys.stdout is out


@pytest.mark.parametrize("verbose", [-1, 3])
def test_bad_values(verbose):
    with pytest.raises(ArgumentError, match=f"^verbose is {verbose}: use 0"):
        Progress(verbose)


@pytest.mark.parametrize("verbose", ["1", None, 1.0])
def test_wrong_types(verbose):
    with pytest.raises(ArgumentTypeError, match=r"^verbose is .*: use 0, 1 or 2"):
        Progress(verbose)
