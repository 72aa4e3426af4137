"""Callbacks: code that runs between the chunks and the epochs of a training run, and may stop it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from accelnn.arrays.float_errors import callers_float_errors
from accelnn.errors import DivergenceError, invalid, wrong_type
from accelnn.signatures import by_signature
from accelnn.training.arguments import real_number
from accelnn.training.history import History


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run is about to do.

    Attributes:
        epochs: number of epochs planned.
        steps_per_epoch: number of steps (mini-batches) in each, the partial last one included.
        n_samples: number of training samples.
        batch_size: samples per step.
        runner: name of the runner.
        recorded: names of the values that every epoch will record; empty if not known.
        initial_epoch: index of the epoch to begin with; that of a run that is resumed may be greater than 0.
        initial_step: number of its steps that are done already.

    """

    epochs: int
    steps_per_epoch: int
    n_samples: int = 0
    batch_size: int = 0
    runner: str = ""
    recorded: tuple[str, ...] = ()
    initial_epoch: int = 0
    initial_step: int = 0


@by_signature
class Callback:
    """Base of all callbacks; every method does nothing until a subclass says otherwise.

    Epochs are counted from 0. ``model`` is the model in training, with its parameters as of now.
    """

    stop_reason: str | None = None
    """Why ``on_epoch_end`` asked to stop; becomes ``History.stopped_because``."""

    columns: tuple[str, ...] = ()
    """Names of the columns that ``on_epoch_end`` adds to every record, so that callbacks behind it can go by them."""

    sets_final_weights: bool = False
    """Whether ``on_train_end`` sets the weights that the model keeps: it is called before that of others then."""

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Called once, before the first epoch. What is raised here ends the training before it begins."""

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        """Called before the first step of every epoch."""

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> bool | None:
        """Called after every chunk of steps; return True to stop right there, in the middle of an epoch.

        A run with checkpoints that was stopped here goes on from here when it is resumed; one that ``on_epoch_end`` has
        stopped is over. An epoch that is not complete is not in the history.

        Args:
            model: the model in training.
            epoch: index of the epoch.
            steps_done: steps of this epoch that are done, 1 ... ``steps_total``.
            steps_total: steps of this epoch.
            loss: mean training loss of this epoch so far.

        """
        return None

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool | None:
        """Called after every epoch with what the history recorded for it; return True to stop training.

        What a callback writes into ``record`` becomes a column of the history, and callbacks behind it see it: real
        numbers, also of NumPy. What the run itself has recorded is not to be changed: that is an ArgumentError.
        """
        return None

    def on_divergence(self, model: Any, epoch: int, error: DivergenceError) -> bool | None:
        """Called when a loss of this epoch, or a number of the model at its end, is not finite.

        Return True if ``on_train_end`` will set the model to weights that are good: then the training ends here, with
        a warning, and ``error`` is not raised.
        """
        return None

    def on_train_end(self, model: Any, history: History) -> None:
        """Called once at the end, also of a run that was stopped, interrupted or ended by an error."""

    def get_learning_rate(self) -> float:
        """Return the learning rate of the next step of the run that this is called in.

        Raises:
            ArgumentError: no training runs in this thread.

        """
        return _run_of(self).learning_rate

    def set_learning_rate(self, learning_rate: float) -> None:
        """Train with another rate from the next step on, until it is set again; it replaces that of a schedule.

        It may be called from all methods that begin with ``on_``. The rate is a part of the optimizer's state: it is
        kept in checkpoints, and ``partial_fit`` goes on with it after ``fit``.

        Args:
            learning_rate: a finite number >= 0.

        Raises:
            ArgumentError: a number out of range; no training runs in this thread.
            ArgumentTypeError: not a number.

        """
        _run_of(self).set_learning_rate(learning_rate)

    def settings(self) -> dict[str, Any]:
        """Return what this callback was made with and what has an influence on the run.

        A run that is resumed from a checkpoint must have callbacks of the same classes and settings; those that have
        neither settings nor a state of their own do not count. Numbers, text, lists and mappings.
        """
        return {}

    def state(self) -> dict[str, Any]:
        """Return what this callback has to remember for its run to be resumed from a checkpoint.

        It may hold numbers, text, NumPy arrays, and lists and mappings of them. Called between two chunks.
        """
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` has returned; called after ``on_train_begin`` of a run that is resumed."""


class CallbackList(Callback):
    """Several callbacks as one, called in the order given, with what ``np.seterr`` says where ``fit`` was called.

    Raises (when it is made):
        ArgumentTypeError: an item that is not a ``Callback`` (a class where its instance is meant, too).
    """

    def __init__(self, callbacks: Callback | Iterable[Callback] | None = None) -> None:
        if callbacks is None or isinstance(callbacks, Callback):
            callbacks = [] if callbacks is None else [callbacks]
        if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
            raise wrong_type("callbacks", callbacks, "use a list of callbacks, such as [EarlyStopping()]")
        checked = [_checked_callback(callback) for callback in callbacks]
        self.callbacks: list[Callback] = []
        for callback in checked:
            self.callbacks += callback.callbacks if isinstance(callback, CallbackList) else [callback]
        self._chunk_listeners = [callback for callback in self.callbacks if _hears(callback, "on_chunk_end")]

    @property
    def hears_chunks(self) -> bool:
        """Whether any callback does something after a chunk; if not, nobody needs to compute the loss so far."""
        return bool(self._chunk_listeners)

    @property
    def remembering(self) -> list[Callback]:
        """The callbacks that belong to a run: those with settings or a state of their own."""
        return [c for c in self.callbacks if _hears(c, "settings") or _hears(c, "state")]

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Tell every callback, and forget why an earlier run was stopped."""
        self.stop_reason = None
        with self._telling():
            for callback in self.callbacks:
                callback.on_train_begin(model, plan)

    def on_epoch_begin(self, model: Any, epoch: int, *, resumed: bool = False) -> None:
        """Tell every callback; where an epoch is ``resumed`` only those whose state does not know of it."""
        with self._telling():
            for callback in self.callbacks:
                if not (resumed and _hears(callback, "state")):
                    callback.on_epoch_begin(model, epoch)

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> bool:
        """Tell every callback that listens; the result is as for ``on_epoch_end``."""
        at = epoch, steps_done, steps_total, loss
        listeners = self._chunk_listeners
        with self._telling():
            return self._stops([c for c in listeners if _is_to_stop("on_chunk_end", c, c.on_chunk_end(model, *at))])

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
        """Tell every callback, also after one asked to stop; True if any did, with the reasons joined."""
        own = dict(record)
        with self._telling():
            return self._stops([c for c in self.callbacks if _recorded(c, model, epoch, record, own)])

    def _telling(self) -> AbstractContextManager[None]:
        """Return the block in which callbacks run; ``partial_fit`` is called often, and mostly without any."""
        return callers_float_errors() if self.callbacks else nullcontext()

    def _stops(self, stopping: list[Callback]) -> bool:
        if stopping:
            self.stop_reason = "; ".join(c.stop_reason or type(c).__name__ for c in stopping)
        return bool(stopping)

    def on_divergence(self, model: Any, epoch: int, error: DivergenceError) -> bool:
        """Tell every callback; True if any will go back to good weights."""
        with self._telling():
            answers = [c.on_divergence(model, epoch, error) for c in self.callbacks]
        return any(answers)

    def on_train_end(self, model: Any, history: History) -> None:
        """Tell every callback, even if one raises: a progress bar has to give the cursor back.

        Those that set the final weights come first, so that all others find them in the model.
        """
        with self._telling(), ExitStack() as stack:
            ordered = sorted(self.callbacks, key=lambda callback: not callback.sets_final_weights)
            for callback in reversed(ordered):  # an exit stack runs the last one first
                stack.callback(callback.on_train_end, model, history)


class RunInProgress(Protocol):
    """What callbacks may ask of the run that calls them."""

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        ...

    def set_learning_rate(self, learning_rate: float) -> None:
        """Use this rate from the next step on."""
        ...


# Not an attribute of callbacks: they are copied, pickled, shared by runs, and called by other callbacks.
_run: ContextVar[RunInProgress | None] = ContextVar("_run", default=None)


@contextmanager
def calling_from(run: RunInProgress) -> Iterator[None]:
    """Return the block in which callbacks belong to ``run``."""
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)


def _run_of(callback: Callback) -> RunInProgress:
    run = _run.get()
    if run is None:
        raise invalid("the callback", callback, "no training runs here; use it in a method such as on_epoch_end")
    return run


def _checked_callback(callback: Any) -> Callback:
    if not isinstance(callback, Callback):
        raise wrong_type("callbacks", callback, "use instances of Callback, such as EarlyStopping()")
    return callback


def _recorded(callback: Callback, model: Any, epoch: int, record: dict[str, float], own: dict[str, float]) -> bool:
    """Tell a callback of the end of an epoch; what it has added to the record of the run's ``own`` becomes numbers."""
    before, who = dict(record), type(callback).__name__
    stops = callback.on_epoch_end(model, epoch, record)
    written = dict(record)
    record.clear()
    record |= before  # which it is then after an error, too
    for name, value in own.items():
        if written.get(name) is not value:
            raise invalid(f"record[{name!r}] of {who}", written.get(name), "the run has recorded it: use another name")
    for name, value in written.items():
        if not isinstance(name, str):
            raise wrong_type(f"a column of {who}", name, "use text as its name")
        record[name] = real_number(f"record[{name!r}] of {who}", value)
    return _is_to_stop("on_epoch_end", callback, stops)


def _is_to_stop(event: str, callback: Callback, answer: object) -> bool:
    """Return what a callback has answered; a value that is there by chance must not end a run in silence."""
    if answer is not None and not isinstance(answer, (bool, np.bool_)):
        what = f"the result of {event} of {type(callback).__name__}"
        raise wrong_type(what, answer, "return True to stop the training, else None")
    return bool(answer)


def _hears(callback: Callback, event: str) -> bool:
    """Return whether the callback has a method of its own of this name."""
    return event in vars(callback) or getattr(type(callback), event) is not getattr(Callback, event)
