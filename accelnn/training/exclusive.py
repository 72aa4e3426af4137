"""One training of a model at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from accelnn.errors import InTrainingError

_in_training: dict[tuple[int, int], list[int]] = {}
"""Threads by process and model. Not an attribute of the model: copies and pickles of it are free to be trained."""


@contextmanager
def alone(model: object) -> Iterator[None]:
    """Return the block in which ``model`` is trained; InTrainingError if that is going on already, in any thread."""
    key, mine = (os.getpid(), id(model)), [threading.get_ident()]
    others = _in_training.setdefault(key, mine)
    if others is not mine:
        where = "by the run that this call is a part of" if others == mine else "in another thread"
        fix = "train it when that is over, or train a copy (copy.deepcopy)"
        raise InTrainingError(f"this {type(model).__name__} is being trained {where}: {fix}")
    try:
        yield
    finally:
        del _in_training[key]
