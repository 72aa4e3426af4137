"""Rows of numbers seen as pictures: inputs that were misclassified, and weights of the first layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelnn.errors import ShapeError, invalid, wrong_type
from accelnn.network import Dense
from accelnn.network.arguments import integer
from accelnn.plotting.figures import LETTER_INCHES, FilePath, new_figure, saved
from accelnn.plotting.labels import class_texts, paired_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from accelnn.network.network import Network

PANEL_INCHES = 1.1
COLOUR_BAR_INCHES = 1.0


def plot_misclassified(
    images: npt.ArrayLike,
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    path: FilePath | None = None,
    *,
    n: int = 25,
    shape: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw the first ``n`` pictures whose predicted class is wrong; above each its true and its predicted class.

    Args:
        images: pictures as rows (n_rows, n_pixels), as (n_rows, height, width) or (n_rows, height, width, 3), real
            numbers; each picture is drawn from its smallest number to its largest.
        y_true: labels (n_rows,) or (n_rows, 1), integers or strings.
        y_pred: predictions of the same kind and number.
        path: PNG file to write; None makes a figure to show.
        n: draw at most so many, >= 1.
        shape: (height, width), or (height, width, 3) for colours, of a row of pixels; None takes rows for squares.
        class_names: what to call labels 0, 1, ...; None shows the labels.

    Returns:
        The figure; if nothing is misclassified it says so.

    Raises:
        ShapeError: not a label and a prediction for each picture, or rows that are no square and no ``shape``.
        ArgumentError: numbers that are no labels or out of range, a path that cannot be written.
        ArgumentTypeError: an argument of another type.
        AccelnnError: Matplotlib is not installed.

    """
    rows = _real_rows(images)
    true, predicted = paired_labels(y_true, y_pred)
    if rows.ndim < 2 or len(rows) != len(true):
        raise ShapeError(f"images has shape {rows.shape}: use ({len(true)}, n_pixels), a picture for each label")
    size = _picture_shape("images", rows.shape[1:], shape)
    wrong = np.flatnonzero(true != predicted)
    chosen = wrong[: integer("n", n)]
    classes = np.unique(np.concatenate([true, predicted]))
    texts = dict(zip(classes, class_texts(classes, class_names), strict=True))
    titles = [f"{texts[true[i]]}, not {texts[predicted[i]]}" for i in chosen]
    pictures = (_stretched(rows[i].reshape(size)) for i in chosen)
    heading = f"{len(wrong):,} of {len(true):,} misclassified"
    if 0 < len(chosen) < len(wrong):
        heading += f", the first {len(chosen)}"
    if len(chosen):
        heading += "\ntrue class, not the predicted one"
    figure = _grid(path, len(chosen), PANEL_INCHES, max(map(len, titles), default=0))
    _draw_pictures(figure, pictures, titles, cmap="gray_r")
    figure.suptitle(heading, fontsize=11)
    return saved(figure, path)


def plot_first_layer_weights(
    model: Network, path: FilePath | None = None, *, n: int = 25, shape: Sequence[int] | None = None
) -> Figure:
    """Draw the weights into each of the first ``n`` units of the first dense layer as a picture of the inputs.

    A unit adds up its inputs with these weights: it looks for pictures that are large where the weight is positive
    (red) and small where it is negative (blue). All pictures have one scale.

    Args:
        model: a network with a ``Dense`` layer that has its weights.
        path: PNG file to write; None makes a figure to show.
        n: draw at most so many, >= 1.
        shape: (height, width) of the inputs; None takes them for a square.

    Returns:
        The figure.

    Raises:
        ShapeError: inputs that are no square, and no ``shape``, or one that does not fit.
        ArgumentError: no dense layer, ``n`` out of range, a path that cannot be written.
        ArgumentTypeError: an argument of another type.
        NotBuiltError: the model has no weights yet.
        AccelnnError: Matplotlib is not installed.

    """
    W = _first_weights(model)
    size = _picture_shape("the first dense layer", W.shape[:1], shape)
    if len(size) != 2:
        raise invalid("shape", tuple(size), "use (height, width): a weight has no colour")
    chosen = W[:, : integer("n", n)].T
    limit = float(np.abs(chosen).max()) or 1.0
    figure = _grid(path, len(chosen), COLOUR_BAR_INCHES)
    titles = [f"unit {unit}" for unit in range(len(chosen))]
    image = _draw_pictures(figure, (row.reshape(size) for row in chosen), titles, "RdBu_r", limit)
    figure.colorbar(image, ax=figure.axes, label="weight", shrink=min(1.0, 3.0 / figure.get_figheight()))
    n_in, n_units = W.shape
    figure.suptitle(f"First layer, {n_in:,} inputs: {len(chosen)} of {n_units:,} units", fontsize=11)
    return saved(figure, path)


def _first_weights(model: Network) -> npt.NDArray[Any]:
    """Return ``W (n_in, units)`` of the first dense layer on the host."""
    layers = getattr(model, "layers", None)
    if layers is None:
        raise wrong_type("model", model, "use a network of accelnn, such as Sequential")
    model.count_parameters()  # raises before the model is built
    for layer in layers:
        if isinstance(layer, Dense):
            return model.backend.to_host(layer.W)
    raise invalid("model", model, "use a network with a Dense layer")


def _real_rows(images: npt.ArrayLike) -> npt.NDArray[Any]:
    fix = "use an array of real numbers, a picture in each row"
    try:
        rows = np.asarray(images)
    except ValueError as error:  # pictures of different sizes
        raise wrong_type("images", images, fix) from error
    if rows.dtype.kind not in "biuf":
        raise wrong_type("images", images, fix)
    return rows


def _picture_shape(argument: str, given: tuple[int, ...], shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return (height, width) or (height, width, 3) of pictures that lie in memory as ``given``."""
    n_values = math.prod(given)
    if shape is not None and not isinstance(shape, Sequence):
        raise wrong_type("shape", shape, "use (height, width)")
    if shape is not None:
        size = tuple(integer("shape", side) for side in shape)
    elif len(given) > 1:
        size = given
    else:
        size = (math.isqrt(n_values),) * 2
    if math.prod(size) != n_values or len(size) not in (2, 3) or size[2:] not in ((), (3,)):
        what = f"{argument} has {n_values} values for each picture"
        raise ShapeError(f"{what}, which is not {size}: use shape=(height, width) or (height, width, 3)")
    return size


def _stretched(picture: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return a picture with numbers from 0 to 1."""
    low, high = float(picture.min()), float(picture.max())
    return (picture.astype(np.float64) - low) / ((high - low) or 1.0)


def _grid(path: FilePath | None, n_panels: int, more_inches: float, n_letters: int = 0) -> Figure:
    """Return a figure with so many panels, about as many in a row as in a column, and ``more_inches`` beside them.

    ``n_letters`` is the length of the longest title of a panel.
    """
    n_columns = max(1, math.ceil(math.sqrt(n_panels)))
    n_rows = max(1, math.ceil(n_panels / n_columns))
    width = max(PANEL_INCHES, LETTER_INCHES * n_letters)
    height = n_rows * (PANEL_INCHES + 0.25) + 0.5 if n_panels else 0.6
    figure = new_figure(path, max(3.6, n_columns * width + more_inches), height)
    if n_panels:
        for axes in np.ravel(figure.subplots(n_rows, n_columns))[n_panels:]:
            axes.remove()
    return figure


def _draw_pictures(
    figure: Figure, pictures: Iterable[Any], titles: Sequence[str], cmap: str, limit: float | None = None
) -> Any:
    """Draw a picture into each panel, in colours from -limit to limit if that is given; return the last picture."""
    image = None
    for axes, picture, title in zip(figure.axes, pictures, titles, strict=True):
        image = axes.imshow(picture, cmap=cmap, vmin=None if limit is None else -limit, vmax=limit)
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#bbbbbb")
    return image
