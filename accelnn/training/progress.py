"""Progress of a training run on standard error: a bar on a terminal, plain lines elsewhere.

A run that is over within a second shows nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from accelnn_kernels import notice

from accelnn.errors import invalid, wrong_type
from accelnn.messages import Display, display, say
from accelnn.training.callbacks import Callback, TrainingPlan
from accelnn.training.history import History

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

_PATIENCE_S = 1.0
_LINE_EVERY_S = 1.0
_LINE_WITHIN_EPOCH_EVERY_S = 10.0
_BAR_EVERY_S = 0.1
_DUMB_TERMINALS = ("dumb", "unknown")


class Progress(Callback):
    """Show how far the training is.

    Args:
        verbose: 0 (or False) shows nothing. 1 (or True) shows, for a run longer than a second, a bar where
            ``stream`` is a terminal and else plain lines, at most one per second. 2 writes one line for
            every epoch, at once and on a terminal too.
        stream: text stream to write to; None means the ``sys.stderr`` of the moment the training begins.
            What cannot be shown on it is lost: nothing that happens to it ends a training.
        clock: function that returns the time in seconds.

    Raises:
        ArgumentError: another ``verbose``.
        ArgumentTypeError: ``verbose`` is not an integer or a boolean, or ``stream`` no stream.

    """

    def __init__(
        self,
        verbose: int | bool = 1,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.verbose = _checked_verbose(verbose)
        if stream is not None and not hasattr(stream, "write"):
            raise wrong_type("stream", stream, "use a text stream, such as sys.stdout, or None")
        self._stream = stream
        self._clock = clock
        self._display: _Bar | _Lines | None = None

    def announcing(self) -> contextlib.AbstractContextManager[None]:
        """Return a block in which one line says so when code has to be compiled, which may take longer than the run."""
        return notice.listening(self._say) if self.verbose else contextlib.nullcontext()

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Choose bar or lines; nothing is shown yet, except where a run is resumed."""
        self._display = None
        if self.verbose == 0:
            return
        stream = self._where()
        if self.verbose == 1 and _is_terminal(stream):
            self._display = _Bar(plan, stream, self._clock)
        else:
            self._display = _Lines(plan, stream, self._clock, every_epoch=self.verbose == 2)
        if plan.initial_epoch or plan.initial_step:
            step = f" and {plan.initial_step} of {plan.steps_per_epoch} steps" if plan.initial_step else ""
            self._display.say(f"the run is resumed after {plan.initial_epoch} of {plan.epochs} epochs{step}")

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> None:
        """Advance."""
        if self._display is not None:
            self._display.chunk(epoch, steps_done, steps_total, loss)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        """Show what was recorded."""
        if self._display is not None:
            self._display.epoch(epoch, record)

    def on_train_end(self, model: Any, history: History) -> None:
        """Close the bar and say why the training ended early, if it did."""
        display, self._display = self._display, None
        if display is not None:
            display.close(history)

    def _say(self, line: str) -> None:
        if self._display is not None:
            self._display.say(line)
        else:
            say(line, self._where())

    def _where(self) -> TextIO:
        return display(sys.stderr if self._stream is None else self._stream)


class _Lines:
    """Plain lines: every epoch, or at most one per second of a run that lasts."""

    def __init__(self, plan: TrainingPlan, stream: TextIO, clock: Callable[[], float], every_epoch: bool) -> None:
        self._plan, self._stream, self._clock, self._every_epoch = plan, stream, clock, every_epoch
        self._began_s = self._written_s = clock()
        self._held_back: tuple[int, dict[str, float]] | None = None

    def chunk(self, epoch: int, steps_done: int, steps_total: int, loss: float) -> None:
        if self._every_epoch or self._clock() - self._written_s < _LINE_WITHIN_EPOCH_EVERY_S:
            return
        where = _epoch_of(epoch, self._plan)
        self._write(f"{where}, step {steps_done}/{steps_total}: loss {_number(loss)}")

    def epoch(self, epoch: int, record: dict[str, float]) -> None:
        self._held_back = epoch, record
        if self._every_epoch or self._clock() - self._written_s >= _LINE_EVERY_S:
            self._write_held_back()

    def close(self, history: History) -> None:
        """Write the last epoch, so that the log of a run ends with its result."""
        if not self._every_epoch and self._clock() - self._began_s < _PATIENCE_S:
            return
        self._write_held_back()
        ending = _ending(history, self._plan)
        if ending:
            self._write(ending)

    def say(self, line: str) -> None:
        say(line, self._stream)

    def _write_held_back(self) -> None:
        if self._held_back is not None:
            epoch, record = self._held_back
            self._write(f"{_epoch_of(epoch, self._plan)}: {_all_values(record)}")

    def _write(self, line: str) -> None:
        self._held_back = None
        self._written_s = self._clock()
        say(line, self._stream)


class _Bar:
    """A bar of Rich, which is imported and drawn only once a second has gone by.

    It is redrawn by the calls that advance it: no thread runs beside the compiled loops.
    """

    def __init__(self, plan: TrainingPlan, stream: TextIO, clock: Callable[[], float]) -> None:
        self._plan, self._stream, self._clock = plan, stream, clock
        self._next_s = clock() + _PATIENCE_S
        self._bar: RichProgress | None = None
        self._record: dict[str, float] = {}
        self._latest: int | None = None

    def chunk(self, epoch: int, steps_done: int, steps_total: int, loss: float) -> None:
        self._latest = None
        if self._clock() >= self._next_s:
            done = epoch * self._plan.steps_per_epoch + steps_done
            # The loss of this epoch so far, and what the validation said after the last one.
            summary = _values(self._record, without=("loss",))
            self._draw(epoch, done, " ".join(filter(None, [f"loss {_number(loss)}", summary])))

    def epoch(self, epoch: int, record: dict[str, float]) -> None:
        self._latest, self._record = epoch, record
        if self._clock() >= self._next_s:
            self._draw_latest(epoch)

    def say(self, line: str) -> None:
        """Write a line, above the bar if it is there."""
        if self._bar is None:
            say(line, self._stream)
        else:
            self._bar.console.print(line, markup=False, highlight=False)

    def close(self, history: History) -> None:
        """Draw the end of the last epoch, unless the next one has begun, and release the terminal."""
        if self._bar is None:
            return
        if self._latest is not None:
            self._draw_latest(self._latest)
        self._bar.stop()
        ending = _ending(history, self._plan)
        if ending:
            say(ending, self._stream)

    def _draw_latest(self, epoch: int) -> None:
        self._draw(epoch, (epoch + 1) * self._plan.steps_per_epoch, _values(self._record))

    def _draw(self, epoch: int, steps_done: int, text: str) -> None:
        if self._bar is None:
            self._bar = _new_bar(self._stream, self._clock)
            self._bar.add_task("", total=self._plan.epochs * self._plan.steps_per_epoch, text="")
            self._bar.start()
        where = _epoch_of(epoch, self._plan)
        self._bar.update(self._bar.task_ids[0], description=where, completed=steps_done, text=text)
        self._bar.refresh()
        self._next_s = self._clock() + _BAR_EVERY_S


def _new_bar(stream: TextIO, clock: Callable[[], float]) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column

    values = Column(no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False, table_column=values),
        console=Console(file=stream),
        auto_refresh=False,
        get_time=clock,
        # What a callback prints goes above the bar, unless it goes to a file or a pipe, where it must arrive.
        redirect_stdout=Display(sys.stdout).isatty(),
        redirect_stderr=Display(sys.stderr).isatty(),
    )


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "") not in _DUMB_TERMINALS


def _epoch_of(epoch: int, plan: TrainingPlan) -> str:
    return f"epoch {epoch + 1}/{plan.epochs}"  # people count from 1


def _ending(history: History, plan: TrainingPlan) -> str:
    after = f"after {len(history)} of {plan.epochs} epochs"
    if history.interrupted:
        return f"interrupted {after}"
    return f"stopped {after}: {history.stopped_because}" if history.stopped_because else ""


def _number(value: float) -> str:
    return f"{value:.4g}"


def _values(record: dict[str, float], without: tuple[str, ...] = ()) -> str:
    hidden = (*without, "seconds", "samples_per_s")
    return " ".join(f"{name} {_number(value)}" for name, value in record.items() if name not in hidden)


def _all_values(record: dict[str, float]) -> str:
    parts = [_values(record)]
    if "samples_per_s" in record:
        parts.append(f"{record['samples_per_s']:,.0f} samples/s")
    if "seconds" in record:
        parts.append(f"{record['seconds']:.3g} s")
    return ", ".join(filter(None, parts))


def _checked_verbose(verbose: int | bool) -> int:
    if not isinstance(verbose, int):
        raise wrong_type("verbose", verbose, "use 0, 1 or 2")
    if verbose not in (0, 1, 2):
        raise invalid("verbose", verbose, "use 0 (nothing), 1 (bar or lines) or 2 (one line per epoch)")
    return int(verbose)
