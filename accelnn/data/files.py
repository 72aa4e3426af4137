"""Guards around files that somebody else wrote: they may be missing, damaged or made to do harm."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelnn.errors import AccelnnError, DataError, invalid, wrong_type

MAX_READ_BYTES = 1 << 20
"""What is read of an archive at a time. NumPy reads arrays in smaller pieces, and the directory of a few arrays is
smaller too; that of an archive made to do harm is read at once and becomes many objects."""

# DEFLATE turns one byte into at most 1032 (zlib's technical notes, "Maximum Compression Factor").
MAX_EXPANSION = 1032


def as_path(argument: str, value: object) -> Path:
    """Return ``value`` (text or path-like) as an absolute path, a leading ``~`` replaced by the home directory.

    Every path that a user gives goes through here, at the call that it is given to: so a later change of the working
    directory moves nothing, and all parts of a run mean the same file. ``..`` stays, it may lie behind a link.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise wrong_type(argument, value, "use a path")
    text = os.fspath(value)
    if not isinstance(text, str):
        raise wrong_type(argument, value, "use a path of text, not of bytes")
    if not text:
        raise invalid(argument, value, "use a path that is not empty")
    if "\0" in text:
        raise invalid(argument, value, "use a path without null characters, no file can have them in its name")
    try:
        return Path(os.path.expanduser(text)).absolute()
    except OSError as error:
        fix = f"use an absolute path, the working directory cannot be found ({error.strerror or error})"
        raise invalid(argument, value, fix) from error


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` if a regular file is there; devices and pipes could be endless and are refused."""
    found = as_path("path", path)
    # os.path answers False where Path.is_file raises: over-long names, unreadable parents.
    if not os.path.isfile(found):
        kind = "not a regular file" if os.path.exists(found) else "not there"
        raise DataError(f"{found}: the file is {kind}: check the path")
    return found


def existing_folder(argument: str, path: str | os.PathLike[str]) -> Path:
    """Return ``path`` if a directory is there; ``argument`` is what the error calls it."""
    found = as_path(argument, path)
    if not os.path.isdir(found):
        raise DataError(f"{argument} is {os.fspath(path)!r}: no such directory: check the path")
    return found


@contextmanager
def reading(path: Path, fix: str) -> Iterator[None]:
    """Turn whatever goes wrong while foreign bytes are decoded into one ``DataError`` about ``path``.

    The net is as wide as ``Exception`` on purpose: the decoders below (gzip, zipfile, NumPy's header
    parser) raise a dozen unrelated types on damaged input. The cause stays attached.
    """
    try:
        yield
    except AccelnnError:
        raise
    except Exception as cause:
        detail = " ".join(str(cause).split())[:200] or type(cause).__name__
        raise DataError(f"{path}: cannot be read ({detail}): {fix}") from cause


@contextmanager
def open_archive(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP archive of a few arrays, each of which has a name of its own.

    Raises ``zipfile.BadZipFile`` for what is no archive, for one with a directory of more than ``MAX_READ_BYTES``
    bytes, and for one in which a name occurs twice (programs disagree which of them is meant), else ``OSError``.
    """
    with _LimitedReads(path) as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise zipfile.BadZipFile(f"{twice[:80]!r} occurs twice in it")
        yield archive


class _LimitedReads(io.FileIO):
    """A file that refuses to be read in large pieces."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_READ_BYTES:
            raise zipfile.BadZipFile(f"a part of it would have {size:,} bytes")
        return super().read(size) or b""
