"""What the training loop tells whoever keeps the run, so that it can go on after a crash."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from accelnn.training.callbacks import TrainingPlan
    from accelnn.training.fit import Training


@dataclass(frozen=True)
class Place:
    """A place between two steps of a run: ``step`` steps of epoch ``epoch`` are done, both counted from 0.

    losses: float64 (step,), theirs. seconds: how long they have taken. has_begun: whether callbacks know already that
    the epoch has begun.
    """

    epoch: int = 0
    step: int = 0
    losses: np.ndarray = field(default_factory=lambda: np.zeros(0))
    seconds: float = 0.0
    has_begun: bool = False


class Keeper:
    """Keeps nothing: that of a run without checkpoints. See :mod:`accelnn.training.checkpoints.run_keeper`.

    ``place`` is where the run begins, after ``begin``.
    """

    place = Place()

    def split_generator(self, generator: np.random.Generator) -> np.random.Generator:
        """Return the generator to draw held-out rows with, ``generator`` or one in another state."""
        return generator

    def begin(self, training: Training) -> None:
        """Take over a run whose runner is not chosen yet."""

    def begin_callbacks(self, training: Training, plan: TrainingPlan) -> None:
        """Take over the callbacks and the history, after ``on_train_begin``."""

    def running(self) -> AbstractContextManager[None]:
        """Return the block in which the epochs run."""
        return nullcontext()

    def undisturbed(self) -> AbstractContextManager[None]:
        """Return a block that is done as a whole; Ctrl-C waits for its end."""
        return nullcontext()

    def begin_order(self, seconds: float) -> None:
        """The order of the next epoch is about to be drawn; the epoch has taken so many seconds before."""

    def last_step(self, epoch: int, first: int, last: int) -> int:
        """Return where the chunk of the steps [first, last) of ``epoch`` should end, > ``first``."""
        return last

    def stand_at(self, epoch: int, step: int) -> None:
        """The run is at this place now; called in an undisturbed block."""

    def after_chunk(self) -> None:
        """Called after a chunk that does not end its epoch."""

    def after_epoch(self, record: dict[str, float], *, is_last: bool) -> None:
        """Called after an epoch and its callbacks; ``is_last`` if no other follows."""
