"""Class labels as pictures need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from accelnn.errors import ShapeError, invalid, shown, wrong_type
from accelnn.plotting.figures import as_text

Labels = npt.NDArray[Any]


def class_labels(argument: str, values: object) -> Labels:
    """Return the class labels ``values (n,)`` or ``(n, 1)``, n >= 1, as an array (n,) of int64 or of strings.

    Raises ShapeError for another shape, ArgumentError for numbers that are not whole, ArgumentTypeError for other
    things than labels.
    """
    try:
        labels = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise wrong_type(argument, values, "use one label for each row, (n,)") from error
    if labels.ndim not in (1, 2) or labels.size == 0 or labels.shape != (len(labels), 1)[: labels.ndim]:
        raise ShapeError(
            f"{argument} has shape {labels.shape}: use one label for each row, (n,); "
            "of rows with a number for each class take argmax(axis=1)"
        )
    labels = labels.reshape(-1)
    if labels.dtype.kind in "US":
        return labels
    if labels.dtype.kind not in "biuf":
        raise wrong_type(argument, values, "use class labels, integers or strings")
    if not np.all(np.isfinite(labels) & (labels == np.floor(labels))):
        raise invalid(argument, values, "use class labels; a model that predicts classes ends in sigmoid or softmax")
    return labels.astype(np.int64)


def paired_labels(y_true: object, y_pred: object) -> tuple[Labels, Labels]:
    """Return labels and predictions, (n,) each.

    Raises as ``class_labels`` does, ShapeError if there are more of one than of the other, and ArgumentTypeError if
    only one of them are strings.
    """
    true, predicted = class_labels("y_true", y_true), class_labels("y_pred", y_pred)
    if len(true) != len(predicted):
        raise ShapeError(f"y_true has {len(true)} labels and y_pred {len(predicted)}: give as many of each")
    if (true.dtype.kind == "i") != (predicted.dtype.kind == "i"):
        raise wrong_type("y_pred", y_pred, "use labels of the kind that is in y_true, integers or strings")
    return true, predicted


def class_texts(classes: Labels, class_names: Sequence[str] | None) -> list[str]:
    """Return what to call each of ``classes``, sorted: entry ``label`` of ``class_names``, or the label itself.

    Raises ArgumentError if there is no name for a class, or if the labels are names themselves, ArgumentTypeError for
    what is no list.
    """
    if class_names is None:
        return [as_text(label) for label in classes]
    if not isinstance(class_names, (Sequence, np.ndarray)):
        raise wrong_type("class_names", class_names, "use a list of names, or None")
    if classes.dtype.kind != "i":
        raise invalid("class_names", class_names, f"leave it out, the labels are names: {shown(classes.tolist())}")
    if classes[0] < 0 or classes[-1] >= len(class_names):
        raise invalid("class_names", class_names, f"give a name for each label, they are {shown(classes.tolist())}")
    return [as_text(class_names[label]) for label in classes]
