"""Class labels of any type, and the targets that a network is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from accelnn.arrays.foreign import packed
from accelnn.errors import ArgumentError, ArgumentTypeError, invalid


@dataclass(frozen=True)
class Labels:
    """The classes of a problem, and of which kind it is.

    classes: sorted, (n_classes,). kind: ``"binary"``, ``"multiclass"`` or ``"multilabel"``.
    """

    classes: np.ndarray
    kind: str

    @classmethod
    def of(cls, y: Any) -> Labels:
        """Return the labels that occur in ``y``: (n,) of any type that can be sorted, or indicators (n, n_classes)."""
        _check_sortable(y)
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise invalid("y", kind, "give one label for each row, or indicators of 0 and 1 for several labels")
        return cls(unique_labels(y), "multilabel" if kind.startswith("multilabel") else kind)

    @property
    def n_outputs(self) -> int:
        """How many outputs the network has."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def output_activation(self) -> str:
        """The activation of the outputs."""
        return "softmax" if self.kind == "multiclass" else "sigmoid"

    def encode(self, y: Any, dtype: str) -> np.ndarray:
        """Return the targets: labels 0..n_classes-1, int64 (n,), of several classes, else rows of 0 and 1.

        Raises ArgumentError for labels that are not among the classes.
        """
        _check_sortable(y)
        check_classification_targets(y)
        if self.kind == "multilabel":
            return self._indicators(y, dtype)
        known = np.isin(y, self.classes)
        if not known.all():
            unknown = np.unique(np.asarray(y)[~known])
            raise ArgumentError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. 'y' has {unknown}."
            )
        labels: np.ndarray = np.searchsorted(self.classes, y).astype(np.int64)
        return labels if self.kind == "multiclass" else labels.reshape(-1, 1).astype(dtype)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the labels for the outputs (n, n_outputs) of the network."""
        if self.kind == "multiclass":
            return np.asarray(self.classes[outputs.argmax(axis=1)])
        above = (outputs > 0.5).astype(np.int64)
        if self.kind == "multilabel":
            return above
        return np.asarray(self.classes[np.minimum(above[:, 0], len(self.classes) - 1)])

    def _indicators(self, y: Any, dtype: str) -> np.ndarray:
        dense = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
        if dense.ndim != 2 or dense.shape[1] != len(self.classes):
            raise invalid("y", f"of shape {dense.shape}", f"use indicators of shape (rows, {len(self.classes)})")
        return np.asarray(packed(dense, dtype))


def _check_sortable(y: Any) -> None:
    """Raise ArgumentTypeError for labels of several types; NaN is left to those who look for it."""
    if isinstance(y, np.ndarray) and y.dtype.kind == "O" and y.ndim == 1:
        types = sorted({type(label).__name__ for label in y.tolist()})
        if len(types) > 1 and "float" not in types:
            seen = f"y has labels of types {', '.join(types)}"
            raise ArgumentTypeError(f"{seen}: use labels of one type, for example numpy.array(y, dtype=str)")


def accuracy(outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return which part of the rows is right, all outputs of a row where there are several labels; NaN if one is NaN.

    outputs: (n, n_outputs). targets: as ``Labels.encode`` returns them. weights: (n,), or None.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    right = outputs.argmax(axis=1) == targets if targets.ndim == 1 else ((outputs > 0.5) == targets).all(axis=1)
    return float(np.average(right, weights=weights))
