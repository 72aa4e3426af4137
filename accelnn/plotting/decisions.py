"""Where in the plane a classifier decides for which class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from accelnn.errors import ShapeError, invalid, wrong_type
from accelnn.plotting.figures import LETTER_INCHES, FilePath, checked_axes, colour, figure_of, marker
from accelnn.plotting.labels import Labels, class_labels, class_texts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESOLUTION = 300
"""Points of the grid on each side: finer than the dots of a panel of usual size."""

LEGEND_ROWS = 18
"""So many classes lie one below the other in the legend."""

MARGIN = 0.08
"""Free room around the points, as a fraction of their extent."""

Points: TypeAlias = npt.NDArray[np.float64]


class Classifier(Protocol):
    """Anything that predicts classes: a model of accelnn or an estimator of scikit-learn."""

    def predict(self, x: Any, /) -> Any:
        """Return the labels (n,) of the rows ``x (n, 2)``."""
        ...


def plot_decision_boundary(
    model: Classifier | Callable[[Points], Any],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    path: FilePath | None = None,
    *,
    axes: Axes | None = None,
    title: str | None = None,
    class_names: Sequence[str] | None = None,
    legend: bool = True,
) -> Figure:
    """Draw points in the plane, and behind them the class that ``model`` predicts everywhere.

    Args:
        model: an object with ``predict``, or a function, from rows (n, 2) float64 to labels (n,) or (n, 1). A function
            of a tutorial that takes columns is handed over as ``lambda rows: predict(parameters, rows.T).T``.
        x: points (n, 2), finite.
        y: their labels, (n,) or (n, 1), integers or strings.
        path: PNG file to write; None makes a figure to show.
        axes: a panel of a figure to draw into instead, with room for the legend.
        title: text above the panel; None says which fraction of the points is classified right.
        class_names: what the legend calls labels 0, 1, ...; None shows the labels.
        legend: whether to draw one.

    Returns:
        The figure.

    Raises:
        ShapeError: ``x`` does not have two columns, or ``y`` not a label for each row, or a prediction is missing.
        ArgumentError: numbers that are not finite, predictions that are no classes, a path that cannot be written.
        ArgumentTypeError: an argument of another type.
        AccelnnError: Matplotlib is not installed.

    """
    predict = _predictor(model)
    points, labels = _checked_points(x), class_labels("y", y)
    if len(points) != len(labels):
        raise ShapeError(f"x has {len(points)} rows and y {len(labels)} labels: give as many of each")
    grid = [np.linspace(*_range(column), RESOLUTION) for column in points.T]
    everywhere = _predicted(predict, np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 2))
    here = _predicted(predict, points)
    classes = np.unique(np.concatenate([labels, everywhere, here]))
    texts = class_texts(classes, class_names)
    n_columns = -(-len(texts) // LEGEND_ROWS)
    room = n_columns * (0.5 + LETTER_INCHES * max(map(len, texts))) if legend else 0.0
    panel = checked_axes(axes, path, 5.0 + room, 4.4)
    _draw_regions(panel, grid, np.searchsorted(classes, everywhere).reshape(RESOLUTION, RESOLUTION), len(classes))
    _draw_points(panel, points, labels, list(zip(texts, classes, strict=True)))
    panel.set(xlabel="$x_1$", ylabel="$x_2$")
    panel.set_title(f"{np.mean(here == labels):.2%} of {len(points)} points right" if title is None else title)
    if legend:
        panel.legend(
            title="class",
            ncols=n_columns,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            frameon=False,
            borderaxespad=0.0,
        )
    return figure_of(panel, path)


def _predictor(model: object) -> Callable[[Points], Any]:
    predict = getattr(model, "predict", model)
    if not callable(predict):
        raise wrong_type("model", model, "use a model with predict(x), or a function from rows (n, 2) to labels (n,)")
    return predict


def _checked_points(x: npt.ArrayLike) -> Points:
    points = np.asarray(x)
    if points.dtype.kind not in "biuf":
        raise wrong_type("x", x, "use an array of real numbers")
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        hint = "; of columns (2, n) take x.T" if points.ndim == 2 and len(points) == 2 else ""
        raise ShapeError(f"x has shape {points.shape}: use points in the plane, rows (n, 2){hint}")
    if not np.isfinite(points).all():
        raise invalid("x", x, "use finite numbers")
    return points.astype(np.float64)


def _range(column: Points) -> tuple[float, float]:
    """Return the ends of an axis for the coordinates ``column (n,)``."""
    low, high = float(column.min()), float(column.max())
    margin = MARGIN * (high - low) or 1.0  # points on a line have no extent
    return low - margin, high + margin


def _predicted(predict: Callable[[Points], Any], points: Points) -> Labels:
    labels = class_labels("the prediction of the model", predict(points))
    if len(labels) != len(points):
        raise ShapeError(f"the model predicts {len(labels)} labels for {len(points)} rows: one for each is needed")
    return labels


def _draw_regions(axes: Axes, grid: Sequence[Points], indices: npt.NDArray[np.intp], n_classes: int) -> None:
    from matplotlib.colors import ListedColormap

    columns, rows = grid
    colours = ListedColormap([colour(i) for i in range(n_classes)])
    axes.pcolormesh(columns, rows, indices, cmap=colours, vmin=-0.5, vmax=n_classes - 0.5, alpha=0.25, rasterized=True)
    present = np.unique(indices)
    for index in present if len(present) > 1 else ():  # a single class has no border
        axes.contour(columns, rows, indices == index, levels=[0.5], colors="black", linewidths=0.7)


def _draw_points(axes: Axes, points: Points, labels: Labels, classes: Sequence[tuple[str, Any]]) -> None:
    size = float(np.clip(9000 / len(points), 6.0, 36.0))
    for index, (text, label) in enumerate(classes):
        x1, x2 = points[labels == label].T
        axes.scatter(
            x1,
            x2,
            s=size,
            c=colour(index),
            marker=marker(index),
            label=text,
            edgecolors="white",
            linewidths=0.07 * size**0.5,
            zorder=3,
        )
