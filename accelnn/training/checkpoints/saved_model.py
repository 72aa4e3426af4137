"""The model in a folder of checkpoints, without the rest of the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from accelnn.errors import CheckpointError
from accelnn.network.model_file import ModelFile
from accelnn.training.checkpoints.folder import CheckpointFolder


def model_in_folder(path: Path, *, best: bool) -> ModelFile:
    """Return the model of the best checkpoint in a folder, or with ``best`` False of the newest.

    Raises CheckpointError if there is none, or none that can be trusted, and ModelFileError for one without a model.
    """
    folder = CheckpointFolder(path)
    content = folder.newest(best=best and any(file.is_best for file in folder.files()))
    if content is None:
        raise CheckpointError(f"{str(path)!r} is a folder without checkpoints: give one with them, or a model file")
    values, state = (content.arrays.get(f"weights.{name}", np.zeros(0)) for name in ("values", "state"))
    return ModelFile(str(path), content.description.get("model", {}), values, state)
