"""A saved model, from a file or from a folder of checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from accelnn.data.files import as_path
from accelnn.errors import ModelFileError
from accelnn.network.model_file import ModelFile, read_model_file
from accelnn.training.checkpoints.folder import CheckpointFolder


def read_saved_model(path: str | os.PathLike[str], *, best: bool = True) -> ModelFile:
    """Return the model in a file, or that of the best checkpoint in a folder, or with ``best`` False of the newest.

    Raises as ``read_model_file`` does, also for a folder without checkpoints, and CheckpointError for one in which none
    can be trusted.
    """
    file = as_path("path", path)
    return _newest_model(file, best) if file.is_dir() else read_model_file(file)


def _newest_model(path: Path, best: bool) -> ModelFile:
    folder = CheckpointFolder(path)
    content = folder.newest(best=best and any(file.is_best for file in folder.files()))
    if content is None:
        raise ModelFileError(f"{str(path)!r} cannot be used as a model file: it is a folder without checkpoints")
    values, state = (content.arrays.get(f"weights.{name}", np.zeros(0)) for name in ("values", "state"))
    return ModelFile(str(path), content.description.get("model", {}), values, state)
