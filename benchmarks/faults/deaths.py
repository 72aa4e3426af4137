"""Ways to die: called in the process that is to die, they end it by SIGKILL in the middle of a write."""

from __future__ import annotations

import io
import os
import pathlib
import signal
from collections.abc import Callable
from typing import IO, Any

from accelnn.training.checkpoints import folder as checkpoint_folder

Countdown = Callable[[], bool]


def half_written(is_time: Countdown) -> None:
    """Die when half of a checkpoint is in its temporary file."""
    write = checkpoint_folder.write_checkpoint

    def written(file: IO[bytes], content: Any) -> None:
        if not is_time():
            return write(file, content)
        whole = io.BytesIO()
        write(whole, content)
        file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        file.flush()
        return _die()

    checkpoint_folder.write_checkpoint = written


def before_sync(is_time: Countdown) -> None:
    """Die when the temporary file is complete and not on the disk yet."""
    _die_before(os, "fsync", is_time)


def before_naming(is_time: Countdown) -> None:
    """Die when the file is on the disk and has no name yet."""
    _die_before(os, "replace", is_time)


def after_naming(is_time: Countdown) -> None:
    """Die when the file has its name, before anything else happens."""
    replace = os.replace

    def replaced(*arguments: Any) -> None:
        replace(*arguments)
        if is_time():
            _die()

    os.replace = replaced  # type: ignore[assignment]


def while_removing(is_time: Countdown) -> None:
    """Die when an old checkpoint is about to be removed."""
    _die_before(pathlib.Path, "unlink", is_time)


DEATHS = {death.__name__: death for death in (half_written, before_sync, before_naming, after_naming, while_removing)}


def _die_before(owner: Any, name: str, is_time: Countdown) -> None:
    function = getattr(owner, name)

    def called(*arguments: Any, **options: Any) -> Any:
        if is_time():
            _die()
        return function(*arguments, **options)

    setattr(owner, name, called)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
