"""A run that is resumed with another number of epochs than it was begun with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelnn.errors import invalid, shown
from accelnn.training.fit import Training
from accelnn.training.schedules import Schedule

STEPS_AT_A_TIME = 1 << 16


def check_epochs(training: Training, saved: Mapping[str, Any], folder: str) -> None:
    """Raise ArgumentError if a run of as many epochs as are planned now could not stand where the ``saved`` one does.

    The saved one has to have done no more than that, and each of its steps at the learning rate it would have had.
    """
    settings, schedule = training.settings, training.state.optimizer.schedule
    before, epochs = saved["run"]["settings"]["epochs"], settings.epochs
    if epochs == before:
        return
    epoch, step = int(saved["place"]["epoch"]), int(saved["place"]["step"])
    begun = epoch + (step > 0)
    if epochs < begun:
        fix = f"the run in {folder!r} has reached epoch {begun} already; use {begun} or more, or another folder"
        raise invalid("epochs", epochs, fix)
    n_steps = epoch * settings.steps_per_epoch + step
    if _rates_differ(schedule, before, epochs, settings.steps_per_epoch, n_steps):
        done = f"the run in {folder!r} was begun with {before}, and the rates of {shown(schedule)} depend on that"
        raise invalid("epochs", epochs, f"{done}; use epochs={before}, or another folder for a new run")


def _rates_differ(schedule: Schedule, before: int, now: int, steps_per_epoch: int, n_steps: int) -> bool:
    """Return whether the first ``n_steps`` steps have other learning rates in runs of so many epochs."""
    for start in range(0, n_steps, STEPS_AT_A_TIME):
        steps = np.arange(start, min(n_steps, start + STEPS_AT_A_TIME))
        at = steps // steps_per_epoch + steps % steps_per_epoch / steps_per_epoch
        if (schedule.rates(at, max(1, before)) != schedule.rates(at, max(1, now))).any():
            return True
    return False
