"""A folder of checkpoints: numbered files, of which the newest and the best are kept."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from accelnn.data.atomic_file import replace_file
from accelnn.errors import AccelnnError, CheckpointError
from accelnn.messages import warn
from accelnn.training.checkpoints.file_format import CheckpointFile, NewerFormatError, read_checkpoint, write_checkpoint
from accelnn.training.checkpoints.folder_lock import LOCK_NAME, FolderLock

_NAME = re.compile(r"checkpoint-(\d{6,18})(-best)?\.safetensors")
_LEFT_BEHIND = re.compile(r"\.checkpoint-\d{6,18}(-best)?\.safetensors\.[0-9a-f]{16}\.tmp")


class Found(NamedTuple):
    """A file of the folder by its name: its number, and whether it was the best one when it was written."""

    number: int
    is_best: bool
    path: Path


class CheckpointFolder:
    """The checkpoints of one training run.

    path: the folder. keep: the newest files to keep, >= 1; the newest of those that were the best is kept besides.

    Files are numbered in the order in which they were written: clocks may go backwards, numbers do not. A file has its
    name only when it is complete and on the disk.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int = 3) -> None:
        self.path = Path(path)
        self._keep = keep
        self._lock: FolderLock | None = None

    def hold(self) -> None:
        """Make the folder, keep others out of it, and remove what a killed process left half-written.

        Raises CheckpointError if that cannot be done, or another run holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.path)
            with tempfile.TemporaryFile(dir=self.path):  # the lock may be of a time when one could write here
                pass
            for left in self.path.iterdir():
                if _LEFT_BEHIND.fullmatch(left.name):
                    left.unlink()
        except OSError as error:
            self.release()
            raise CheckpointError(
                f"cannot use {str(self.path)!r} for checkpoints: {error.strerror or error}"
            ) from error

    def release(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            self._lock.release()

    def claims(self, file: Path) -> bool:
        """Return whether something else at ``file``, an absolute path, would be in the way of the checkpoints."""
        folder, file = self.path.resolve(), file.resolve()
        is_ours = any(pattern.fullmatch(file.name) for pattern in (_NAME, _LEFT_BEHIND)) or file.name == LOCK_NAME
        return (is_ours and file.parent == folder) or file in (folder, *folder.parents)

    def files(self) -> list[Found]:
        """Return the checkpoints, the newest first; none if there is no such folder."""
        try:
            names = [(_NAME.fullmatch(path.name), path) for path in self.path.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise CheckpointError(f"cannot read {str(self.path)!r}: {error.strerror or error}") from error
        found = [Found(int(match[1]), match[2] is not None, path) for match, path in names if match]
        return sorted(found, reverse=True)

    def newest(self, *, best: bool = False) -> CheckpointFile | None:
        """Return the newest checkpoint that can be trusted, None if there is none; ``best``: of those that were best.

        A damaged one is passed over with a warning. Raises CheckpointError if all are damaged, or if one was written by
        a later release.
        """
        failures = []
        for found in (file for file in self.files() if file.is_best or not best):
            try:
                content = read_checkpoint(found.path)
            except NewerFormatError:
                raise
            except CheckpointError as error:
                failures.append(error)
                continue
            for failure in failures:
                message = f"{failure}; the one before it, {found.path.name}, is used"
                warn(message)
            return content
        if failures:
            raise CheckpointError(f"no checkpoint in {str(self.path)!r} can be used: {failures[0]}")
        return None

    def write(self, content: CheckpointFile, *, is_best: bool) -> None:
        """Add a checkpoint, complete or not at all, and remove those that are not kept.

        Raises CheckpointError if the system refuses.
        """
        files = self.files()
        number = files[0].number + 1 if files else 1
        path = self.path / f"checkpoint-{number:06d}{'-best' if is_best else ''}.safetensors"
        try:
            replace_file(path, lambda file: write_checkpoint(file, content))
            self._remove_old()
        except (OSError, AccelnnError) as error:
            raise CheckpointError(f"the checkpoint could not be written: {error}") from error

    def _remove_old(self) -> None:
        files = self.files()
        best = [file for file in files if file.is_best][:1]
        for file in files[self._keep :]:
            if file not in best:
                file.path.unlink(missing_ok=True)
