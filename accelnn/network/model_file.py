"""The model file: a NumPy ``.npz`` archive of a JSON description and two flat arrays, without pickle.

``description`` is JSON text in UTF-8, stored as uint8; ``values`` and ``state`` are the buffers of the
network's arena. Any program that reads ``.npz`` can use the file: the description lists which part of
the buffers belongs to which parameter. This module knows the file, `saving` knows the network.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import numpy as np

from accelnn.errors import ModelFileError
from accelnn.network.atomic_file import replace_file

FORMAT = "accelnn-model"
VERSION = 1

# What NumPy and zipfile raise for a file that is cut off, altered, encrypted or no archive at all.
_UNREADABLE = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file: the description, and ``values`` and ``state`` (n,) in the model dtype."""

    path: str
    description: dict[str, Any]
    values: np.ndarray
    state: np.ndarray

    @property
    def extra(self) -> dict[str, Any]:
        """What the caller of ``save`` added to the description, e.g. names of the classes."""
        extra: dict[str, Any] = self.description["extra"]
        return extra

    def reject(self, reason: str, cause: Exception | None = None) -> NoReturn:
        """Raise ``ModelFileError`` that names the file and ``reason``."""
        reject(self.path, reason, cause)


def reject(path: str, reason: str, cause: Exception | None = None) -> NoReturn:
    """Raise ``ModelFileError`` that names the file and ``reason``."""
    raise ModelFileError(f"{path!r} cannot be used as a model file: {reason}") from cause


def write_model_file(
    path: str | os.PathLike[str], description: dict[str, Any], values: np.ndarray, state: np.ndarray
) -> None:
    """Write the file atomically, exactly at ``path``; see ``replace_file`` for the errors."""
    text = json.dumps({"format": FORMAT, "version": VERSION, **description}, allow_nan=False)
    encoded = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)

    def write(file: IO[bytes]) -> None:
        np.savez(file, allow_pickle=False, description=encoded, values=values, state=state)

    replace_file(path, write)


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model file without running any code from it.

    Raises ``ModelFileError`` for a file that is missing, unreadable, cut off, altered or of another kind.
    """
    name = os.fspath(path)
    arrays = _read_arrays(name)
    model_file = ModelFile(name, _parse(name, arrays["description"]), arrays["values"], arrays["state"])
    _check_arrays(model_file)
    return model_file


def _read_arrays(name: str) -> dict[str, np.ndarray]:
    try:
        _check_stored(name)
        with np.load(name, allow_pickle=False) as archive:
            return {key: np.asarray(archive[key]) for key in ("description", "values", "state")}
    except OSError as error:
        reject(name, error.strerror or str(error), error)
    except _UNREADABLE as error:
        reject(name, f"it is damaged or was not written by accelnn ({type(error).__name__}: {error})", error)


def _check_stored(name: str) -> None:
    """Refuse compressed members, which this module never writes: a small file must not fill the memory."""
    with zipfile.ZipFile(name) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise zipfile.BadZipFile("it is compressed")


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
    for key, kind in (("dtype", str), ("n_in", int), ("layers", list), ("extra", dict)):
        if not isinstance(description.get(key), kind):
            reject(name, f"its description has no valid {key!r}")
    return description


def _check_arrays(model_file: ModelFile) -> None:
    dtype = model_file.description["dtype"]
    for name, array in (("values", model_file.values), ("state", model_file.state)):
        if array.ndim != 1 or array.dtype.name != dtype:
            model_file.reject(f"its {name} are not a flat array of {dtype}")
        if not np.isfinite(array).all():
            model_file.reject(f"its {name} contain NaN or infinity")
