"""When a checkpoint is due: after so many epochs, steps or seconds, and after an epoch that was the best."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from accelnn.training.checkpoints.checkpoint import Checkpoint
from accelnn.training.metrics import higher_is_better

At = tuple[int, int]
"""A place in a run: the epochs that are done, and the steps of the next one that are."""


class Timing:
    """Answers for one run; ``steps_per_epoch`` are its mini-batches.

    ``at`` is the place of the newest checkpoint, (0, 0) before the first. ``best`` says which recorded value was the
    best so far, in which epoch (counted from 0): ``{"metric": ..., "value": ..., "epoch": ...}``, or None.

    Seconds are those of a clock that never goes back.
    """

    def __init__(self, checkpoint: Checkpoint, steps_per_epoch: int) -> None:
        self._amount, self._unit = checkpoint.interval
        self._metric, self._steps_per_epoch = checkpoint.best, steps_per_epoch
        self.best: dict[str, Any] | None = None
        self.written((0, 0))

    def written(self, at: At) -> None:
        """Count from here on: there is a checkpoint of this place."""
        self.at, self._s = at, time.monotonic()

    def is_due(self, at: At) -> bool:
        """Return whether a run at this place should be written."""
        if self._unit == "second":
            return time.monotonic() - self._s >= self._amount
        if self._unit == "epoch":
            return at[0] // self._amount > self.at[0] // self._amount
        return self._steps(at) // self._amount > self._steps(self.at) // self._amount

    def last_step(self, epoch: int, first: int, last: int) -> int:
        """Return where a chunk of the steps [first, last) of ``epoch`` should end, so that it ends where one is due."""
        if self._unit != "step":
            return last
        every = int(self._amount)
        return min(last, first + every - self._steps((epoch, first)) % every)

    def is_best(self, epoch: int, record: Mapping[str, float]) -> bool:
        """Return whether this epoch is better than all before, and remember it if so; False if nobody asks."""
        if self._metric is False:
            return False
        metric = self._metric if isinstance(self._metric, str) else ("val_loss" if "val_loss" in record else "loss")
        value = float(record[metric])
        if math.isnan(value) or not self._improves(metric, value):
            return False
        self.best = {"metric": metric, "value": value, "epoch": epoch}
        return True

    def _improves(self, metric: str, value: float) -> bool:
        if self.best is None or self.best["metric"] != metric:
            return True
        before = self.best["value"]
        return bool(value > before if higher_is_better(metric) else value < before)

    def _steps(self, at: At) -> int:
        return at[0] * self._steps_per_epoch + at[1]
