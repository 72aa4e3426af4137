"""Writing a file so that it is, at every moment, either the old one or the complete new one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from accelnn.data.files import as_path
from accelnn.errors import AccelnnError, ModelFileError, invalid


def replace_file(
    path: str | os.PathLike[str], write: Callable[[IO[bytes]], None], failure: type[AccelnnError] = ModelFileError
) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in the place of ``path``.

    A symbolic link is followed, and an existing file keeps its permissions. If anything fails, ``path``
    is as before and no temporary file is left. Raises ``ArgumentError`` if ``path`` is a folder or a
    device or lies in a folder that does not exist, ``ArgumentTypeError`` if it is no path, ``failure`` if the
    system refuses to write.
    """
    target = checked_target("path", path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_synced(temporary, write, target)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise failure(f"cannot write {os.fspath(path)!r}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def checked_target(argument: str, path: str | os.PathLike[str]) -> Path:
    """Return where the file is to be, links followed; errors are those of ``replace_file`` before it writes."""
    path = as_path(argument, path)
    try:
        target = Path(os.path.realpath(path))
        is_free = target.is_file() or not target.exists()
    except (OSError, ValueError) as error:  # too long, or not a name at all
        raise invalid(argument, str(path), f"use the name of a file ({error})") from error
    if not target.parent.is_dir():
        raise invalid(argument, str(path), f"there is no folder {str(target.parent)!r}: make it first")
    if not is_free:
        raise invalid(argument, str(path), "this is not a regular file: use another name")
    return target


def _write_synced(temporary: Path, write: Callable[[IO[bytes]], None], target: Path) -> None:
    # Mode "x" never follows a link or reuses a file, and gives the permissions that the umask leaves.
    with temporary.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        temporary.chmod(stat.S_IMODE(target.stat().st_mode))


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power failure, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
