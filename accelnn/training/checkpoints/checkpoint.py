"""What a user says about checkpoints: where, how often, how many."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

from accelnn.data.files import as_path
from accelnn.errors import AccelnnWarning, ArgumentError, invalid, wrong_type
from accelnn.network.arguments import flag, integer
from accelnn.signatures import by_signature
from accelnn.training.checkpoints.folder import CheckpointFolder
from accelnn.training.metrics import higher_is_better

_EVERY = re.compile(r"(?:(\d{1,15}(?:\.\d{1,9})?) *)?(epoch|step|second|minute)s?")
_EVERY_FIX = "use 'epoch', or a number and a unit such as '5 epochs', '1000 steps', '30 seconds' or '10 minutes'"


class Interval(NamedTuple):
    """So many epochs, steps or seconds: ``unit`` is ``"epoch"``, ``"step"`` or ``"second"``."""

    amount: float
    unit: str


@by_signature
@dataclass(frozen=True)
class Checkpoint:
    """Checkpoints of a training run, for ``fit(..., checkpoint=Checkpoint("runs/first"), resume=True)``.

    Args:
        directory: folder of the checkpoints of one run; it is made if it is not there. One run uses it at a time. A
            leading ``~`` is the home directory. It is kept as an absolute ``pathlib.Path``.
        every: how often: ``"epoch"``, or a number and a unit, ``"5 epochs"``, ``"1000 steps"``, ``"30 seconds"``,
            ``"10 minutes"``. There is one at the end of a run, and after Ctrl-C, in any case.
        keep: so many of the newest are kept, >= 1.
        best: keep the one of the best epoch besides: True goes by ``val_loss``, or by ``loss`` where there is no
            validation; a name is that of another recorded value, such as ``"val_accuracy"``. With it there is a
            checkpoint after every epoch that is the best so far. False keeps the newest only.

    A checkpoint is a file ``checkpoint-NUMBER.safetensors`` (or ``...-best.safetensors``) that NumPy or safetensors can
    read: see docs/checkpoints.md. It is written while training goes on, and has its name only when it is complete.

    Raises:
        ArgumentError: an unknown interval, ``keep`` < 1, a metric whose direction is not known.
        ArgumentTypeError: an argument of the wrong type.

    """

    directory: str | os.PathLike[str]
    every: str = "epoch"
    keep: int = 3
    best: bool | str = True
    interval: Interval = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", as_path("directory", self.directory))
        object.__setattr__(self, "interval", _interval(checked_every(self.every)))
        object.__setattr__(self, "keep", integer("keep", self.keep))
        if isinstance(self.best, str):
            _check_tells_direction(self.best)
        else:
            flag("best", self.best)

    def exists(self) -> bool:
        """Return whether there is a checkpoint in the folder."""
        return bool(CheckpointFolder(self.directory).files())

    def saved_seed(self) -> int | None:
        """Return the seed of the model of the newest checkpoint; None if there is no checkpoint, or was no seed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AccelnnWarning)  # whoever resumes the run will say it
            content = CheckpointFolder(self.directory).newest()
        model = None if content is None else content.description.get("model")
        seed = model.get("seed") if isinstance(model, dict) else None
        return seed if isinstance(seed, int) else None  # whoever resumes the run will refuse one without


def _check_tells_direction(best: str) -> None:
    try:
        higher_is_better(best)
    except ArgumentError as error:
        fix = "use a recorded value whose name ends in loss, error, accuracy or score: it tells which is better"
        raise invalid("best", best, fix) from error


def checked_every(every: object, argument: str = "every") -> str:
    """Return ``every`` if it says how often; raises ArgumentTypeError or ArgumentError."""
    if not isinstance(every, str):
        raise wrong_type(argument, every, _EVERY_FIX)
    found = _EVERY.fullmatch(every.strip().lower())
    amount = float(found[1] or 1) if found else 0.0
    if not found or amount == 0.0 or (found[2] in ("epoch", "step") and amount != int(amount)):
        raise invalid(argument, every, _EVERY_FIX)
    return every


def _interval(every: str) -> Interval:
    found = _EVERY.fullmatch(every.strip().lower())
    assert found is not None
    amount = float(found[1] or 1)
    return Interval(60.0 * amount, "second") if found[2] == "minute" else Interval(amount, found[2])
