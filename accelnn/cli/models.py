"""A saved model, and what it knows about the data it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accelnn.arrays import Backend, get_backend
from accelnn.errors import ArgumentError
from accelnn.network import restore
from accelnn.training import Sequential
from accelnn.training.checkpoints.saved_model import read_saved_model


@dataclass(frozen=True)
class SavedModel:
    """A model and what ``accelnn train`` stored beside it; a model saved from Python may know less.

    dataset: name of the data it was trained on. classifies: whether its outputs are probabilities of classes.
    class_names, feature_names: in order, where known.
    """

    model: Sequential
    dataset: str | None
    classifies: bool
    class_names: list[str] | None
    feature_names: list[str] | None


def load_saved(path: str, backend: str) -> SavedModel:
    """Return the model in ``path``, a file or a folder of checkpoints; errors are those of ``load_model``."""
    usable = usable_backend(backend)
    model_file = read_saved_model(path)
    model = restore(model_file, Sequential, backend=usable)
    extra = model_file.extra
    dataset = extra.get("dataset")
    return SavedModel(
        model,
        dataset if isinstance(dataset, str) else None,
        model.output_activation in ("softmax", "sigmoid"),
        _names(extra.get("class_names"), max(2, model.n_out)),
        _names(extra.get("feature_names"), model.n_in) or _names(list(model.feature_names or ()), model.n_in),
    )


def usable_backend(name: str) -> Backend:
    """Return the backend that ``--backend`` names; raises ArgumentError and BackendError as ``get_backend`` does."""
    try:
        return get_backend(name)
    except ArgumentError as error:
        raise ArgumentError(f"--{error}") from error


def describe(saved: SavedModel) -> dict[str, Any]:
    """Return the part of a report that is about the model, JSON-able."""
    model = saved.model
    return {
        "backend": model.backend.name,
        "device": model.backend.device,
        "dtype": model.dtype,
        "units": model.units,
    }


def _names(value: Any, count: int) -> list[str] | None:
    """Return stored names if they are as many as needed; the file may come from anywhere."""
    fits = isinstance(value, list) and len(value) == count and all(map(_is_text, value))
    return value if fits else None


def _is_text(name: object) -> bool:
    """Return whether ``name`` is text that a file can hold; JSON knows halves of characters."""
    return isinstance(name, str) and not any("\ud800" <= character <= "\udfff" for character in name)
