"""The model file: a NumPy ``.npz`` archive of a JSON description and two flat arrays, without pickle.

``description`` is JSON text in UTF-8, stored as uint8; ``values`` and ``state`` are the buffers of the
network's arena. Any program that reads ``.npz`` can use the file: the description lists which part of
the buffers belongs to which parameter. This module knows the file, `saving` knows the network.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from accelnn.data.atomic_file import replace_file
from accelnn.data.files import as_path, open_archive
from accelnn.errors import AccelnnError, ModelFileError, invalid

FORMAT = "accelnn-model"
VERSION = 1

MAX_DESCRIPTION_BYTES = 16 << 20
"""JSON becomes objects that need twenty times its room, so a description has a limit; usual ones have a few kB."""


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file: the description, and ``values`` and ``state`` (n,) in the model dtype.

    Raises ``ModelFileError`` for a description without what every model has, and arrays of another dtype or shape or
    with numbers that are not finite.
    """

    path: str
    description: dict[str, Any]
    values: np.ndarray
    state: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.description, dict):
            self.reject("its description is not a JSON object")
        for key, kind in (("dtype", str), ("n_in", int), ("layers", list), ("extra", dict)):
            if not isinstance(self.description.get(key), kind):
                self.reject(f"its description has no valid {key!r}")
        for name, array in (("values", self.values), ("state", self.state)):
            if array.ndim != 1 or array.dtype.name != self.description["dtype"]:
                self.reject(f"its {name} are not a flat array of {self.description['dtype']}")
            if not np.isfinite(array).all():
                self.reject(f"its {name} contain NaN or infinity")

    @property
    def extra(self) -> dict[str, Any]:
        """What the caller of ``save`` added to the description, e.g. names of the classes."""
        extra: dict[str, Any] = self.description["extra"]
        return extra

    def reject(self, reason: str, cause: Exception | None = None) -> NoReturn:
        """Raise ``ModelFileError`` that names the file and ``reason``."""
        reject(self.path, reason, cause)


def reject(path: str, reason: str, cause: Exception | None = None) -> NoReturn:
    """Raise ``ModelFileError`` that names the file and ``reason``; where that quotes the file, it may be cut."""
    line = " ".join(reason.split())
    line = line if len(line) <= 500 else f"{line[:400]} ... {line[-90:]}"
    raise ModelFileError(f"{path!r} cannot be used as a model file: {line}") from cause


def write_model_file(
    path: str | os.PathLike[str], description: dict[str, Any], values: np.ndarray, state: np.ndarray
) -> None:
    """Write the file atomically, exactly at ``path``; see ``replace_file`` for the errors.

    Raises ``ArgumentError`` too if the description has more than ``MAX_DESCRIPTION_BYTES`` bytes of JSON.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **description}, allow_nan=False)
    encoded = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    if encoded.size > MAX_DESCRIPTION_BYTES:
        raise invalid("extra", description.get("extra"), f"use less than {MAX_DESCRIPTION_BYTES:,} bytes of JSON")

    def write(file: IO[bytes]) -> None:
        np.savez(file, allow_pickle=False, description=encoded, values=values, state=state)

    replace_file(path, write)


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model file without running any code from it.

    The file may come from anywhere: what is reserved for an array is never more than the file has bytes for it.
    Raises ``ModelFileError`` for a file that is missing, unreadable, cut off, altered or of another kind, and
    ``ArgumentTypeError`` if ``path`` is no path.
    """
    file = as_path("path", path)
    arrays = _read_arrays(file)
    return ModelFile(str(file), _parse(str(file), arrays["description"]), arrays["values"], arrays["state"])


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the three arrays.

    Whatever goes wrong becomes one error: zipfile and NumPy raise a dozen unrelated types for a file that is cut off,
    altered, encrypted or no archive at all.
    """
    name = str(path)
    try:
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            reject(name, "it is not a regular file")  # a pipe or a device could be endless
        with open_archive(path) as archive:
            description = _read_array(archive, "description", MAX_DESCRIPTION_BYTES)
            return {"description": description} | {key: _read_array(archive, key) for key in ("values", "state")}
    except AccelnnError:
        raise
    except OSError as error:
        reject(name, error.strerror or str(error), error)
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        reject(name, f"it is damaged or was not written by accelnn ({type(error).__name__}: {detail})", error)


def _read_array(archive: zipfile.ZipFile, name: str, limit_bytes: float = math.inf) -> np.ndarray:
    """Return an array of the archive, after its sizes were compared: a small file must not fill the memory."""
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:  # this module never compresses
        raise zipfile.BadZipFile("it is compressed")
    on_disk = os.fstat(archive.fp.fileno()).st_size if archive.fp else 0
    if member.file_size != member.compress_size or member.file_size > on_disk:
        raise ValueError(f"{name} would have {member.file_size:,} bytes and the file has {on_disk:,}")
    if member.file_size > limit_bytes:
        raise ValueError(f"{name} has {member.file_size:,} bytes and at most {limit_bytes:,} are read")
    with archive.open(member) as stream:
        _check_header(name, stream, member.file_size)
    with archive.open(member) as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _check_header(name: str, stream: IO[bytes], member_bytes: int) -> None:
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{name} has version {version} of NumPy's format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    claim = stream.tell() + math.prod(shape) * dtype.itemsize
    if dtype.hasobject or claim != member_bytes:
        raise ValueError(f"{name} has the shape {shape} of {dtype}, which does not fit its {member_bytes:,} bytes")


def _parse(name: str, encoded: np.ndarray) -> dict[str, Any]:
    try:
        description = json.loads(encoded.astype(np.uint8, casting="safe").tobytes().decode("utf-8"))
    except (RecursionError, TypeError, ValueError) as error:
        reject(name, f"its description is not JSON ({error})", error)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        reject(name, "its description is not the one of an accelnn model")
    if description.get("version") != VERSION:
        found = description.get("version")
        reject(name, f"it has format version {found!r} and this accelnn reads {VERSION}: update accelnn")
    return description
