"""Strict reader of IDX files, plain or gzipped (the format of MNIST; LeCun, Cortes and Burges).

An IDX file is two zero bytes, a type code, the number of dimensions, each dimension as a big-endian
32-bit count, then the values in row-major order and nothing else.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import numpy.typing as npt

from accelnn.data.files import MAX_EXPANSION, existing_file, existing_folder, reading
from accelnn.errors import DataError

MAX_IDX_BYTES = 8 * 2**30
_TYPE_CODES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 8
_CHUNK_BYTES = 1 << 20
_FIX = "use an undamaged IDX file, plain or gzipped"


class Hasher(Protocol):
    """What ``hashlib.sha256()`` returns, as far as it is needed here."""

    def update(self, data: memoryview | bytes, /) -> None:
        """Take in the next bytes."""


@dataclass(frozen=True)
class _Header:
    raw: bytes
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def payload_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def file_bytes(self) -> int:
        return len(self.raw) + self.payload_bytes


def read_idx(
    path: str | os.PathLike[str], *, limit_bytes: int = MAX_IDX_BYTES, hasher: Hasher | None = None
) -> npt.NDArray[Any]:
    """Read an IDX file, gzipped or not (decided by its first bytes, not by its name).

    ``limit_bytes`` bounds the unpacked size in bytes. ``hasher``, if given, is fed all unpacked bytes.
    Returns a C-contiguous array of native byte order with the shape and type of the header (uint8,
    int8, int16, int32, float32 or float64), filled in place: there is no second copy.

    Raises ``DataError`` if the file is missing, not IDX, empty, shorter or longer than its header
    says, damaged, or larger than ``limit_bytes``. Nothing large is allocated for a header that the
    size of the file contradicts.
    """
    found = existing_file(path)
    with reading(found, _FIX), _opened(found) as (stream, packed):
        header = _read_header(found, stream)
        _check_size(found, header, packed, limit_bytes)
        payload = _read_payload(found, stream, header)
    if hasher is not None:
        hasher.update(header.raw)
        hasher.update(payload.data)
    return _typed(payload, header)


def map_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Return the values of an unpacked IDX file as a read-only array that stays on disk, of any size.

    It has the shape of the header and its type, which is big-endian for all types of several bytes: only uint8 is used
    for training as it is, others are copied to memory then. Raises ``DataError`` as ``read_idx`` does, and for a
    gzipped file, which has to be unpacked first.
    """
    found = existing_file(path)
    with reading(found, _FIX), _opened(found) as (stream, packed):
        if packed:
            raise DataError(f"{found}: is gzipped, so it cannot be mapped: unpack it first with gunzip")
        header = _read_header(found, stream)
        _check_size(found, header, packed, header.file_bytes)
        return np.memmap(found, header.dtype, mode="r", offset=len(header.raw), shape=header.shape)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, bool]]:
    """Give the stream of unpacked bytes, and whether the file on disk is packed."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield (cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file), packed


def _read_header(path: Path, stream: BinaryIO) -> _Header:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPE_CODES:
        raise DataError(f"{path}: begins with {magic!r}, so it is not an IDX file: {_FIX}")
    if not 1 <= magic[3] <= _MAX_DIMENSIONS:
        raise DataError(f"{path}: the header says {magic[3]} dimensions, not 1 to {_MAX_DIMENSIONS}: {_FIX}")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path}: the file ends inside its header: {_FIX}")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    return _Header(magic + sizes, np.dtype(_TYPE_CODES[magic[2]]), shape)


def _check_size(path: Path, header: _Header, packed: bool, limit_bytes: int) -> None:
    """Compare what the header promises with what can be in the file, before memory is reserved."""
    claim, on_disk = header.file_bytes, path.stat().st_size
    if header.payload_bytes == 0:
        raise DataError(f"{path}: the header says shape {header.shape}, which is empty: {_FIX}")
    if claim > limit_bytes:
        raise DataError(f"{path}: the header promises {claim:,} bytes; at most {limit_bytes:,} are accepted")
    if packed and claim > MAX_EXPANSION * on_disk:
        raise DataError(f"{path}: {on_disk:,} gzipped bytes cannot hold the {claim:,} of the header: {_FIX}")
    if not packed and claim != on_disk:
        state = "truncated" if on_disk < claim else "followed by trailing bytes"
        raise DataError(f"{path}: has {on_disk:,} bytes, the header promises {claim:,}: {state}: {_FIX}")


def _read_payload(path: Path, stream: BinaryIO, header: _Header) -> npt.NDArray[np.uint8]:
    payload = np.empty(header.payload_bytes, np.uint8)
    view = payload.data
    filled = 0
    while filled < len(view):
        count = stream.readinto(view[filled : filled + _CHUNK_BYTES])  # type: ignore[attr-defined]
        if not count:
            raise DataError(f"{path}: truncated after {filled:,} of {len(view):,} data bytes: {_FIX}")
        filled += count
    if stream.read(1):
        raise DataError(f"{path}: trailing bytes after the {len(view):,} data bytes of the header: {_FIX}")
    return payload


def _typed(payload: npt.NDArray[np.uint8], header: _Header) -> npt.NDArray[Any]:
    array = payload.view(header.dtype).reshape(header.shape)
    if header.dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(header.dtype.newbyteorder("="))


@dataclass(frozen=True)
class IdxFolder:
    """The files found in a folder: images and labels, and those of the test part if there are any."""

    train: tuple[Path, Path]
    test: tuple[Path, Path] | None


def find_idx_files(folder: str | os.PathLike[str]) -> IdxFolder:
    """Find the IDX files of a data set in ``folder`` by their classic names.

    A name holds ``images`` or ``labels``, then ``idx``; with ``t10k`` or ``test`` in it, it belongs to
    the test part (e.g. ``train-images-idx3-ubyte.gz``, ``t10k-labels.idx1-ubyte``). The test part may
    be absent. Raises ``DataError`` if a file is missing or if two files claim the same role.
    """
    root = existing_folder("idx", folder)
    with reading(root, "use a folder that can be listed"):
        names = sorted(entry.name for entry in root.iterdir() if re.search("idx", entry.name, re.IGNORECASE))
    roles = {role: _role(root, names, *role) for role in _ROLES}
    train, test = (tuple(roles[part, kind] for kind in ("images", "labels")) for part in ("train", "test"))
    if None in train or (None in test and test != (None, None)):
        missing = [f"{part} {kind}" for (part, kind), path in roles.items() if path is None]
        raise DataError(
            f"{root}: no IDX file for {', '.join(missing)}: name the files as MNIST does, "
            "e.g. train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz"
        )
    pair = cast("tuple[Path, Path]", train)
    return IdxFolder(pair, None if None in test else cast("tuple[Path, Path]", test))


_ROLES = [(part, kind) for part in ("train", "test") for kind in ("images", "labels")]


def _role(root: Path, names: list[str], part: str, kind: str) -> Path | None:
    """Return the one file of a role; a file and its gzipped twin count as one."""
    fits = [name for name in names if kind in name.lower() and _is_test(name) == (part == "test")]
    stems = {name.removesuffix(".gz") for name in fits}
    if len(stems) > 1:
        raise DataError(f"{root}: several files for {part} {kind} ({', '.join(fits)}): leave one of them")
    return root / fits[0] if fits else None


def _is_test(name: str) -> bool:
    return re.search("t10k|test", name, re.IGNORECASE) is not None
