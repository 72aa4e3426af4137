"""One file from the first of several mirrors that delivers it, or nothing at all on the disk."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from accelnn.errors import DataError

logger = logging.getLogger("accelnn")

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 8.0
# A mirror that trickles is given up: below this mean rate after the grace period.
MIN_BYTES_PER_S = 20_000
GRACE_S = 15.0

_PLAIN_WORDS = {
    "ConnectTimeout": "no connection in time",
    "ReadTimeout": "no answer in time",
    "ConnectionError": "no connection, or it broke",
    "ChunkedEncodingError": "the connection broke",
    "SSLError": "its TLS certificate was not accepted",
    "ProxyError": "the proxy refused",
}


def download(
    name: str, mirrors: Sequence[str], folder: Path, *, limit_bytes: int, verify: Callable[[Path], object]
) -> Path:
    """Download ``mirror + name`` from the first mirror that delivers it, as ``folder / name``.

    The content goes to a temporary file, is passed to ``verify`` (which raises ``DataError`` if it is
    not what it should be) and takes its name only then, so that there is never a partial or wrong file.
    ``limit_bytes`` bounds its size. Returns the path.

    Raises ``DataError`` with the cause per mirror if none delivers; a dead network costs a few seconds.
    """
    causes = []
    for mirror in mirrors:
        host = urlsplit(mirror).netloc
        try:
            _download_from(mirror + name, folder / name, limit_bytes, verify)
        except (OSError, ValueError) as cause:  # the errors of requests, of the disk, and DataError
            causes.append(f"{host}: {_reason(cause)}")
            logger.info("%s not had from %s", name, causes[-1])
        else:
            return folder / name
    raise DataError(f"{name} could not be downloaded ({'; '.join(causes)})")


def _download_from(url: str, target: Path, limit_bytes: int, verify: Callable[[Path], object]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        _stream(url, partial, limit_bytes)
        verify(partial)
        os.replace(partial, target)  # atomic, and replaces a damaged file
    finally:
        partial.unlink(missing_ok=True)


def _stream(url: str, path: Path, limit_bytes: int) -> None:
    import pooch

    fetch = pooch.HTTPDownloader(
        chunk_size=1 << 16,
        timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
        headers={"Accept-Encoding": "identity"},  # else a server may unpack the .gz on its own
    )
    logger.info("downloading %s", url)
    # "x": created with the permissions that a file of this user normally has.
    with path.open("xb") as file:
        fetch(url, _GuardedFile(file, limit_bytes), None)
        file.flush()
        os.fsync(file.fileno())


class _GuardedFile:
    """What the downloader writes to: stops a mirror that sends without end, or hardly at all."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._file, self._limit_bytes = file, limit_bytes
        self._written_bytes, self._start_s = 0, time.monotonic()

    def write(self, chunk: bytes) -> None:
        self._written_bytes += len(chunk)
        if self._written_bytes > self._limit_bytes:
            raise DataError(f"it sent more than {self._limit_bytes:,} bytes")
        elapsed_s = time.monotonic() - self._start_s
        if elapsed_s > GRACE_S and self._written_bytes < MIN_BYTES_PER_S * elapsed_s:
            raise DataError(f"too slow: {self._written_bytes / elapsed_s:,.0f} bytes/s")
        self._file.write(chunk)

    def flush(self) -> None:
        """Do nothing: the file is flushed once, at its end."""


def _reason(cause: Exception) -> str:
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP {status}"
    kind = type(cause).__name__
    if isinstance(cause, DataError):
        return str(cause)
    return _PLAIN_WORDS.get(kind) or f"{kind} {' '.join(str(cause).split())[:120]}".strip()
