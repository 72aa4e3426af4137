"""A file of named arrays and one JSON description, in the format of safetensors, with a checksum of everything.

The file begins with the length of a JSON header (8 bytes, little-endian), then come the header and the arrays, one
after the other without gaps. The header has an entry for each array (dtype, shape, first and last byte) and texts in
``__metadata__``: the description as JSON, which repeats dtype and shape of each array and has its SHA-256, and the
SHA-256 of the description. So NumPy and JSON are enough to read a file, and any reader of safetensors can. There is no
code in it, nothing is compressed, and no more is read or allocated than the file is long.

https://github.com/huggingface/safetensors describes the format.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import numpy as np

from accelnn.errors import CheckpointError, shown

FORMAT = "accelnn-checkpoint"
VERSION = 1

LONGEST_HEADER_BYTES = 16 << 20
"""A header says what is in a file; a longer one is no header."""

_DTYPES = {
    "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U64": "<u8", "U32": "<u4", "U8": "|u1", "BOOL": "|b1"
}  # fmt: skip
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_ALIGNMENT = 8


class NewerFormatError(CheckpointError):
    """The file was written by a later release: it is not damaged, and an older one would lose what is in it."""


@dataclass(frozen=True)
class CheckpointFile:
    """What is in a checkpoint: a description of values that JSON can hold, and arrays of numbers by name."""

    description: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_checkpoint(file: IO[bytes], content: CheckpointFile) -> None:
    """Write ``content`` to a binary file; raises TypeError or ValueError for what JSON or the format cannot hold."""
    arrays = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in content.arrays.items()}
    entries = {name: _entry(array) for name, array in arrays.items()}
    table = {name: entry | {"sha256": _digest(_bytes_of(arrays[name]))} for name, entry in entries.items()}
    known = {"format": FORMAT, "version": VERSION, "arrays": table}
    text = json.dumps({**content.description, **known}, allow_nan=False)
    metadata = {"format": FORMAT, "description": text, "description_sha256": _digest(text.encode())}
    header = json.dumps({"__metadata__": metadata, **_placed(entries, arrays)}).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    file.write(len(header).to_bytes(8, "little") + header)
    for array in arrays.values():
        file.write(_bytes_of(array))


def read_checkpoint(path: str | os.PathLike[str]) -> CheckpointFile:
    """Return the content of a file; its description has ``arrays``, ``format`` and ``version`` too.

    Raises CheckpointError for a file that is missing, cut off, altered in any byte that matters, or of another kind.
    """
    name = os.fspath(path)
    if os.path.exists(name) and not os.path.isfile(name):  # a pipe or a device could be endless
        raise CheckpointError(f"{name!r} cannot be used as a checkpoint: it is not a regular file")
    try:
        with open(name, "rb") as file:
            return _Reader(name, file).content()
    except OSError as error:
        raise CheckpointError(f"cannot read {name!r}: {error.strerror or error}") from error


class _Reader:
    """Reads a file that may be anything, and allocates no more than its size."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self._name, self._file = name, file
        self._size = os.fstat(file.fileno()).st_size

    def content(self) -> CheckpointFile:
        header, start = self._header()
        description = self._description(header.pop("__metadata__", None))
        table = description["arrays"]
        if list(table) != list(header):
            self._reject("its header and its description name different arrays")
        arrays = {}
        for key, entry in header.items():
            arrays[key], start = self._array(entry, table[key], start)
        if start != self._size:
            self._reject(f"it has {self._size:,} bytes and its header describes {start:,}")
        return CheckpointFile(description, arrays)

    def _header(self) -> tuple[dict[str, Any], int]:
        length = int.from_bytes(self._file.read(8), "little")
        if not 0 < length <= min(self._size - 8, LONGEST_HEADER_BYTES):
            self._reject("it is cut off or has no header")
        header = self._json(self._file.read(length), "header")
        self._start = 8 + length
        return header, self._start

    def _description(self, metadata: Any) -> dict[str, Any]:
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            self._reject("it was not written by accelnn, or its header is damaged")
        text = metadata.get("description")
        encoded = text.encode("utf-8", "replace") if isinstance(text, str) else b""
        if metadata.get("description_sha256") != _digest(encoded):
            self._reject("its description is damaged: the checksum differs")
        description = self._json(encoded, "description")
        self._check_version(description.get("version"))
        if description.get("format") != FORMAT or not isinstance(description.get("arrays"), dict):
            self._reject("its description is not that of a checkpoint")
        return description

    def _check_version(self, version: Any) -> None:
        if not isinstance(version, int) or version < 1:
            self._reject(f"it has no valid format version ({shown(version)})")
        if version > VERSION:
            raise NewerFormatError(
                f"{self._name!r} has checkpoint format {version} and this accelnn reads up to {VERSION}: update accelnn"
            )

    def _array(self, entry: Any, described: Any, start: int) -> tuple[np.ndarray, int]:
        """Return the array that begins at byte ``start`` of the file, and where it ends."""
        dtype, shape, n_bytes = self._checked_entry(entry, described, start)
        raw = bytearray(n_bytes)
        if self._file.readinto(raw) != n_bytes:  # type: ignore[attr-defined]  # every binary file that open returns
            self._reject("it became shorter while it was read")
        if described.get("sha256") != _digest(raw):
            self._reject("one of its arrays is damaged: the checksum differs")
        return np.frombuffer(raw, dtype).reshape(shape), start + n_bytes

    def _checked_entry(self, entry: Any, described: Any, start: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
        if not isinstance(entry, dict) or not isinstance(described, dict):
            self._reject("its header does not describe arrays")
        dtype, shape = entry.get("dtype"), _checked_shape(entry.get("shape"))
        if not isinstance(dtype, str) or dtype not in _DTYPES or shape is None:
            self._reject("its header describes arrays of another kind")
        if (dtype, list(shape)) != (described.get("dtype"), described.get("shape")):
            self._reject("an array in its header is not the one in its description")
        kind = np.dtype(_DTYPES[dtype])
        n_bytes = math.prod(shape) * kind.itemsize
        if entry.get("data_offsets") != [start - self._start, start - self._start + n_bytes]:
            self._reject("its arrays are not where its header says")
        if start + n_bytes > self._size:
            self._reject("it is cut off")
        return kind, shape, n_bytes

    def _json(self, encoded: bytes, what: str) -> dict[str, Any]:
        try:
            value = json.loads(encoded)
        except (RecursionError, ValueError) as error:
            self._reject(f"its {what} is not JSON", error)
        if not isinstance(value, dict):
            self._reject(f"its {what} is not a JSON object")
        return value

    def _reject(self, reason: str, cause: Exception | None = None) -> NoReturn:
        raise CheckpointError(f"{self._name!r} cannot be used as a checkpoint: {reason}") from cause


def _entry(array: np.ndarray) -> dict[str, Any]:
    if array.dtype not in _NAMES:
        raise TypeError(f"arrays of dtype {array.dtype} have no place in a checkpoint")
    return {"dtype": _NAMES[array.dtype], "shape": list(array.shape)}


def _placed(entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the entries with the first byte of each array, and the one behind its last."""
    placed, start = {}, 0
    for name, entry in entries.items():
        placed[name] = entry | {"data_offsets": [start, start + arrays[name].nbytes]}
        start += arrays[name].nbytes
    return placed


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _checked_shape(shape: Any) -> tuple[int, ...] | None:
    """Return the shape, None if it is none."""
    if not isinstance(shape, list) or len(shape) > 32:
        return None
    return tuple(shape) if all(type(n) is int and 0 <= n < 2**63 for n in shape) else None
