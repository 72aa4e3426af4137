"""What to say when numbers are no longer finite: where it began, found out by running the last steps once more.

Looking at every result would make training slower, so nobody does while all is well. Instead the weights are copied
from time to time, as often as it costs next to nothing. When a loss is not finite, the steps since then are run again
by a runner that looks at everything.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accelnn.arrays.typing import Array
from accelnn.errors import DivergenceError
from accelnn.training.runners.anomaly import Anomaly, AnomalyRunner

if TYPE_CHECKING:
    from accelnn.training.fit import Training

LARGE_BYTES = 1 << 26
"""Copies of more bytes are not made: they would need room that may be missing on a device."""

PAUSE = 100
"""Copies and looks at all weights have to wait for so many times the time that the last one took: a percent each."""

LIKELY_CAUSES = (
    "likely causes are a learning rate that is too high (try a tenth, or clip_norm=1.0) "
    "or inputs that are not scaled (try values around -1..1)"
)


class _Mark(NamedTuple):
    """Where a run was when its weights were copied; ``steps`` of the optimizer, ``trained`` of the network."""

    epoch: int
    step: int
    steps: int
    trained: int
    copies: list[Array]


class Recorder:
    """Keeps the weights of two moments not long ago, to say of a run that fails where it began to.

    Of two, because weights may be copied right after the update that spoiled them.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        arena = training.network.arena
        self._arrays = (arena.values, arena.state, *training.state.moments)
        n_numbers = sum(math.prod(array.shape) for array in self._arrays)
        self._marks: list[_Mark] = []
        self._orders: dict[int, np.ndarray] = {}
        self._is_large = n_numbers * np.dtype(training.network.dtype).itemsize > LARGE_BYTES
        self._copy_due_s = self._look_due_s = 0.0

    def begin_epoch(self, epoch: int, order: np.ndarray) -> None:
        """Remember the order of the rows of an epoch."""
        if not self._is_large:
            self._orders[epoch] = order

    def keep(self, epoch: int, step: int) -> None:
        """Copy the weights before ``step`` of ``epoch``, if it is time to."""
        start_s = time.perf_counter()
        if self._is_large or start_s < self._copy_due_s:
            return
        network, steps = self._training.network, self._training.state.steps
        with network.backend.active():
            if len(self._marks) < 2:
                copies = [network.backend.xp.zeros_like(array) for array in self._arrays]
            else:
                copies = self._marks.pop(0).copies
            for copy, array in zip(copies, self._arrays, strict=True):
                copy[...] = array
        self._marks.append(_Mark(epoch, step, steps, network.steps_trained, copies))
        self._orders = {known: rows for known, rows in self._orders.items() if known >= self._marks[0].epoch}
        self._training.hyper.forget_before(self._marks[0].steps)
        self._copy_due_s = _next_s(start_s)

    def check_losses(self, epoch: int, first: int, losses: np.ndarray) -> None:
        """Raise DivergenceError if one of the losses of the steps from ``first`` on is not finite."""
        if np.isfinite(losses).all():
            return
        index = int(np.argmin(np.isfinite(losses)))
        found = self._found(epoch, first + len(losses))
        if found is not None and isinstance(self._training.runner, AnomalyRunner):
            begin = f"{found.what} is {found.value}"
            raise DivergenceError(f"{begin} {self._place(epoch, found.step)}{_gradient(found)}: {LIKELY_CAUSES}")
        begin = f"the loss is {losses[index]} {self._place(epoch, first + index)}"
        raise DivergenceError(f"{begin}{_origin(found, first + index)}: {LIKELY_CAUSES}")

    def check_weights(self, epoch: int, *, is_last: bool) -> None:
        """Raise DivergenceError if weights, states or the optimizer's memory are not finite after an epoch.

        A loss tells it one step later, but after the last step of a run nobody would ask. Other epochs are only looked
        at if it is time to.
        """
        start_s = time.perf_counter()
        if not is_last and start_s < self._look_due_s:
            return
        are_finite = self._are_weights_finite()
        self._look_due_s = _next_s(start_s)
        if are_finite:
            return
        last = self._training.settings.steps_per_epoch
        found = self._found(epoch, last) or Anomaly()
        what = found.what or f"a number of {self._first_layer()}"
        at = self._place(epoch, found.step if found.what else last - 1)
        raise DivergenceError(f"{what} is not finite {at}{_gradient(found)}: {LIKELY_CAUSES}")

    def _are_weights_finite(self) -> bool:
        xp = self._training.network.backend.xp
        with self._training.network.backend.active(), np.errstate(over="ignore", invalid="ignore"):
            # A sum is finite only if all of its terms are, and quicker than a look at each of them.
            sums = [float(xp.sum(array)) for array in self._arrays]
            return all(map(math.isfinite, sums)) or all(bool(xp.all(xp.isfinite(array))) for array in self._arrays)

    def _place(self, epoch: int, step: int) -> str:
        n_steps = self._training.settings.steps_per_epoch
        rate = self._training.hyper.rate(epoch, step, self._training.state.steps - 1)  # no rate was set since then
        return f"in epoch {epoch + 1}, step {step + 1} of {n_steps}, at the learning rate {rate:g}"

    def _first_layer(self) -> str:
        """Return the first layer whose weights are not finite, or whatever else is not."""
        xp, arena = self._training.network.backend.xp, self._training.network.arena
        for variable in (*arena.parameters, *arena.states):
            if not bool(xp.all(xp.isfinite(variable.values))):
                return f"{variable.name} of layer {variable.layer_name}"
        return "the optimizer's memory"

    def _found(self, epoch: int, last: int) -> Anomaly | None:
        """Return the first anomaly up to step ``last`` of ``epoch``, None if it cannot be found."""
        own = self._training.runner
        runner = own if isinstance(own, AnomalyRunner) else self._run_again(epoch, last)
        return runner.anomaly if runner is not None and runner.anomaly.what else None

    def _run_again(self, epoch: int, last: int) -> AnomalyRunner | None:
        """Run from the older mark to step ``last`` of ``epoch``; the weights are left where something was found."""
        training = self._training
        if not self._marks:
            return None
        mark = self._marks[0]
        with training.network.backend.active():
            for array, copy in zip(self._arrays, mark.copies, strict=True):
                array[...] = copy
        runner = training.anomaly_runner()
        done = 0
        for again in range(mark.epoch, epoch + 1):
            first = mark.step if again == mark.epoch else 0
            stop = last if again == epoch else training.settings.steps_per_epoch
            runner.begin_epoch(self._orders[again])
            tables = training.tables(again, first, stop, mark.steps + done, mark.trained + done)
            runner.train(first, stop, *tables)
            done += stop - first
            if runner.anomaly.what:
                break
        return runner


def _next_s(start_s: float) -> float:
    """Return when to do again what was begun at ``start_s``."""
    now_s = time.perf_counter()
    return now_s + PAUSE * (now_s - start_s)


def _origin(found: Anomaly | None, step: int) -> str:
    """Return where it began that the loss of ``step`` is not finite."""
    if found is None:
        return " (detect_anomaly=True finds out where it begins)"
    before = "" if found.step == step else f" in step {found.step + 1}"
    return f"; the first result that is not finite is {found.what}{before}{_gradient(found)}"


def _gradient(found: Anomaly) -> str:
    if found.largest == 0.0:
        return ""
    return f", and the largest gradient before it {found.largest:.3g}, that of {found.where}"
