"""Reader of NPZ files: arrays named x and y, or x_train, y_train, x_test and y_test."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelnn.data.files import MAX_EXPANSION, existing_file, open_archive, reading
from accelnn.errors import DataError

MAX_ARRAY_BYTES = 8 * 2**30
_FIX = "write it with numpy.savez(PATH, x=..., y=...)"
_LAYOUTS = (("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train"), ("x", "y"))


def read_npz(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a data set from an NPZ file.

    Returns exactly the keys ``x_train, y_train, x_test, y_test``, or ``x_train, y_train``, or ``x, y``
    (the first of these layouts that is there), with shapes and types as stored. Other arrays in the
    file are not read.

    Raises ``DataError`` if the file is missing, damaged, holds none of the layouts, or an array of
    Python objects (nothing is ever unpickled). No memory is reserved for a size that is not in the file.
    """
    found = existing_file(path)
    with reading(found, _FIX), open_archive(found) as archive:
        names = _layout(found, archive)
        return {name: _read_array(found, archive, name) for name in names}


def read_npz_features(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read only the features ``x (n, ...)`` of an NPZ file: its array ``x``, or else ``x_test``.

    Raises ``DataError`` as ``read_npz`` does.
    """
    found = existing_file(path)
    with reading(found, _FIX), open_archive(found) as archive:
        keys = [key for key in ("x", "x_test") if f"{key}.npy" in archive.namelist()]
        if not keys:
            raise DataError(f"{found}: there is no array x in it: write it with numpy.savez(PATH, x=...)")
        return _read_array(found, archive, keys[0])


def _layout(path: Path, archive: zipfile.ZipFile) -> tuple[str, ...]:
    keys = {name.removesuffix(".npy") for name in archive.namelist()}
    for layout in _LAYOUTS:
        if keys.issuperset(layout):
            return layout
    seen = ", ".join(sorted(keys)[:8]) or "none"
    raise DataError(f"{path}: its arrays are {seen}; x and y, or x_train and y_train, are needed: {_FIX}")


def _read_array(path: Path, archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    member = archive.getinfo(f"{name}.npy")
    _check_member(path, member)
    with archive.open(member) as stream:
        shape, dtype, data_start = _read_header(path, stream)
    claim = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or claim != member.file_size - data_start:
        raise DataError(f"{path}: array {name} holds objects, or not the {claim:,} bytes of its header: {_FIX}")
    with archive.open(member) as stream:
        array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse what could unpack to far more than the file has bytes."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
        raise DataError(f"{path}: {member.filename} is packed in a way that NumPy does not write: {_FIX}")
    expansion = 1 if member.compress_type == zipfile.ZIP_STORED else MAX_EXPANSION
    possible = expansion * min(member.compress_size, path.stat().st_size)
    if member.file_size > min(possible, MAX_ARRAY_BYTES):
        raise DataError(
            f"{path}: {member.filename} claims {member.file_size:,} bytes, more than fit in the file "
            f"or than the {MAX_ARRAY_BYTES:,} accepted: {_FIX}"
        )


def _read_header(path: Path, stream: Any) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, type and the position where the data begins."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise DataError(f"{path}: format version {version} is only used for named columns: {_FIX}")
    shape, _, dtype = readers[version](stream)
    return shape, dtype, stream.tell()
