"""Which classes a classifier takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from accelnn.plotting.figures import LETTER_INCHES, FilePath, checked_axes, figure_of
from accelnn.plotting.labels import class_texts, paired_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_confusion_matrix(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    path: FilePath | None = None,
    *,
    axes: Axes | None = None,
    title: str | None = None,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw how many rows of each class, one line for each, were predicted to be of which class.

    Colours show fractions of a line, numbers are counts; an empty cell is none.

    Args:
        y_true: labels (n,) or (n, 1), integers or strings.
        y_pred: predictions of the same kind and number, as ``model.predict(x)`` returns them.
        path: PNG file to write; None makes a figure to show.
        axes: a panel of a figure to draw into instead.
        title: text above the panel; None says which fraction is on the diagonal.
        class_names: what to call labels 0, 1, ...; None shows the labels.

    Returns:
        The figure.

    Raises:
        ShapeError: not a label and a prediction for each row.
        ArgumentError: numbers that are no labels, a class without a name, a path that cannot be written.
        ArgumentTypeError: an argument of another type.
        AccelnnError: Matplotlib is not installed.

    """
    true, predicted = paired_labels(y_true, y_pred)
    classes = np.unique(np.concatenate([true, predicted]))
    texts = class_texts(classes, class_names)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (np.searchsorted(classes, true), np.searchsorted(classes, predicted)), 1)
    side = max(3.6, 1.4 + 0.46 * len(classes))
    names = LETTER_INCHES * max(map(len, texts))  # they stand to the left, and below at an angle
    panel = checked_axes(axes, path, side + 0.9 + names, side + 0.7 * names)
    _draw(panel, counts, texts)
    panel.set_title(f"{np.mean(true == predicted):.2%} of {len(true):,} right" if title is None else title)
    return figure_of(panel, path)


def _draw(axes: Axes, counts: npt.NDArray[np.int64], texts: Sequence[str]) -> None:
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(fractions, cmap="Blues", vmin=0.0, vmax=1.0)
    figure = axes.get_figure()
    assert figure is not None
    figure.colorbar(image, ax=axes, label="fraction of the true class", shrink=0.8)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            shade = "white" if fractions[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=shade, fontsize=8)
    places = range(len(texts))
    axes.set_xticks(places, texts)
    if max(map(len, texts)) > 3:  # beside each other they would overlap
        for label in axes.get_xticklabels():
            label.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
    axes.set_yticks(places, texts)
    axes.set(xlabel="predicted class", ylabel="true class")
