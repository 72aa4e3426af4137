"""A lock on a folder that the system takes back when its process ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from accelnn.errors import CheckpointError

LOCK_NAME = "lock"


class FolderLock:
    """Holds a folder for one training run, until ``release`` or the end of the process.

    A process that was killed leaves the file behind and not the lock. Raises CheckpointError, when it is made, if
    another run holds the folder or the file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise CheckpointError(f"cannot write in {str(folder)!r}: {error.strerror or error}") from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            message = f"another training run writes its checkpoints to {str(folder)!r}: end it, or use another folder"
            raise CheckpointError(message) from error

    def release(self) -> None:
        """Let others have the folder; the second time it does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:
                _unlock(descriptor)  # closing is not enough while a forked process has the same descriptor
            finally:
                os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
