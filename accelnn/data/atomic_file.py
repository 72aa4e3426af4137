"""Writing a file so that it is, at every moment, either the old one or the complete new one."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tempfile
import unicodedata
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
    target = _target("path", path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_synced(temporary, write, target)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise failure(f"cannot write {os.fspath(path)!r}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # on a read-only file system even where there is none
            temporary.unlink(missing_ok=True)


def checked_target(argument: str, path: str | os.PathLike[str]) -> Path:
    """Return where the file is to be, links followed: for whoever writes at the end of a long work.

    Raises ``ArgumentError`` or ``ArgumentTypeError`` if ``replace_file`` could not write it. Nothing is left behind.
    """
    target = _target(argument, path)
    if target.exists() and not os.access(target, os.W_OK):
        raise invalid(argument, os.fspath(path), "this file is protected against writing: use another name")
    check_writable(argument, path, target.parent)
    return target


def check_writable(argument: str, given: str | os.PathLike[str], folder: Path) -> None:
    """Raise ``ArgumentError`` if no file can be made in ``folder``, or in the first one above it that is there.

    ``given`` is what the user gave as ``argument``.

    Only the system knows, so it is tried: permissions do not tell of read-only and full file systems.
    """
    try:
        nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        fix = f"nothing can be written there ({error.strerror or error}): use another folder"
        raise invalid(argument, os.fspath(given), fix) from error


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two paths, absolute and with links followed, mean one file: also before there is any.

    Of two that are there the system knows, hard links and other spellings too. Of two that are not, names that differ
    in nothing but case count as one, as they do on some file systems.
    """
    try:
        if one.exists() or other.exists():
            return os.path.samefile(one, other)
    except OSError:  # one of them is not there, or cannot be looked at
        return one == other
    return _folded(one) == _folded(other)


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _target(argument: str, path: str | os.PathLike[str]) -> Path:
    """Return where the file is to be, links followed; errors are those of ``replace_file`` before it writes."""
    wanted = as_path(argument, path)
    try:
        target = Path(os.path.realpath(wanted))
        is_free = target.is_file() or not target.exists()
    except (OSError, ValueError) as error:  # too long, or not a name at all
        raise invalid(argument, os.fspath(path), f"use the name of a file ({error})") from error
    if not target.parent.is_dir():
        raise invalid(argument, os.fspath(path), f"there is no folder {str(target.parent)!r}: make it first")
    if not is_free:
        raise invalid(argument, os.fspath(path), "this is not a regular file: use another name")
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
