"""Data sets as the command line names them, and as a saved model remembers them."""

from __future__ import annotations

import difflib
import os

import numpy as np

from accelnn.data import Dataset, dataset_names, load_dataset
from accelnn.data.files import as_path, existing_folder
from accelnn.errors import DataError, invalid, unknown_name

FILE_KINDS = ("csv", "npz", "idx")
TEST_FRACTION = 0.2
"""Of rows without a test part. The split does not follow ``--seed``, so ``evaluate`` finds the same test rows again."""


def check_dataset_name(name: str) -> None:
    """Raise ArgumentError for a name that no data set has; it proposes the nearest, also for a bare path."""
    kind, colon, path = name.partition(":")
    if name in dataset_names() or (path and kind in FILE_KINDS):
        return
    if colon and kind in FILE_KINDS:
        raise invalid("--dataset", name, f"put a path after the colon, such as {kind}:data/my_{kind}")
    near = difflib.get_close_matches(kind, FILE_KINDS, n=1)
    if colon and near:
        raise invalid("--dataset", name, f"did you mean '{near[0]}:{path}'?")
    if os.path.exists(name):
        suffix = os.path.splitext(name)[1].lower()
        kind = "idx" if os.path.isdir(name) else "npz" if suffix == ".npz" else "csv"
        raise invalid("--dataset", name, f"did you mean '{kind}:{name}'?")
    raise unknown_name("--dataset", name, dataset_names())


def load(name: str, data_dir: str | None, *, test_fraction: float = TEST_FRACTION) -> Dataset:
    """Return the data set; see ``accelnn.load_dataset``."""
    check_dataset_name(name)
    if data_dir is not None:
        existing_folder("--data-dir", data_dir)
    return load_dataset(name, data_dir=data_dir, test_fraction=test_fraction)


def name_to_remember(name: str, data: Dataset) -> str:
    """Return the name under which ``data`` can be loaded again: what ``auto`` has found, else ``name`` itself."""
    return data.name if name == "auto" else name


def is_same(name: str, remembered: str | None) -> bool:
    """Return whether two names mean the same data, also where a path is written in two ways."""
    if remembered is None or ":" not in name or ":" not in remembered:
        return name == remembered
    (kind, _, path), (other_kind, _, other_path) = name.partition(":"), remembered.partition(":")
    return kind == other_kind and all((path, other_path)) and _place(path) == _place(other_path)


def _place(path: str) -> str:
    return os.path.realpath(as_path("--dataset", path))


def labels_for(data: Dataset, y: np.ndarray, class_names: list[str] | None, n_out: int, classifies: bool) -> np.ndarray:
    """Return targets ``y`` of ``data`` in the terms of a model.

    Two files number their named classes each for itself, so labels are translated by these names.
    ``class_names`` are those of the model (None: its numbers), ``classifies`` says whether it has classes at all;
    a single output stands for two.
    Raises DataError for classes that the model does not know, and for classes where it predicts numbers.
    """
    if not classifies:
        return _numbers(data, y)
    if data.n_classes is None:
        raise DataError(f"{data.name}: the targets are real numbers, and this model tells classes apart")
    known = {name: code for code, name in enumerate(class_names or map(str, range(max(2, n_out))))}
    if data.class_names is None and data.n_classes <= len(known):
        return y
    names = data.class_names or [str(code) for code in range(data.n_classes)]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(
            f"{data.name}: this model does not know the class {unknown[0]!r}: its classes are {', '.join(known)}"
        )
    codes: np.ndarray = np.array([known[name] for name in names])[y]
    return codes


def _numbers(data: Dataset, y: np.ndarray) -> np.ndarray:
    """Return the targets of a regression; whole numbers in a small file look like classes."""
    if data.n_classes is None:
        return y
    try:
        values = [float(name) for name in data.class_names or map(str, range(data.n_classes))]
    except ValueError as error:
        raise DataError(f"{data.name}: the targets are classes, and this model predicts numbers") from error
    numbers: np.ndarray = np.array(values)[y][:, None]
    return numbers
