"""What all pictures share: figures, the files that they go to, and colours."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, TypeAlias

from accelnn.data.atomic_file import checked_target, replace_file
from accelnn.data.files import as_path
from accelnn.errors import AccelnnError, ArgumentError, invalid, wrong_type

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FilePath: TypeAlias = str | os.PathLike[str]

INSTALL = 'install it with pip install "accelnn[plot]"'
DOTS_PER_INCH = 120

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#595959")
"""Distinct for readers with any colour vision: Okabe & Ito, "Color Universal Design", 2008 (grey instead of black)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""A shape for each colour: classes can be told apart in black and white too."""

LETTER_INCHES = 0.085
"""Width of a letter of a label, about."""


def check_plot_path(argument: str, path: FilePath | None) -> None:
    """Raise if no picture could be drawn at ``path``, before the training whose curves it is to show.

    None is no path and fine. Raises ArgumentError for a name that does not end in .png and for a folder that does not
    exist or cannot be written, ArgumentTypeError for what is no path, and AccelnnError if Matplotlib, which draws, is
    not installed.
    """
    if path is None:
        return
    if as_path(argument, path).suffix.lower() != ".png":
        raise invalid(argument, path, "use a file name that ends in .png")
    checked_target(argument, path)
    _check_matplotlib(argument)


def new_figure(path: FilePath | None, width: float, height: float) -> Figure:
    """Return an empty figure, ``width`` x ``height`` inches, for the file ``path``, or of pyplot if that is None.

    Raises as ``check_plot_path`` does.
    """
    if path is None:
        _check_matplotlib("a figure")
        from matplotlib import pyplot

        return pyplot.figure(figsize=(width, height), layout="constrained")
    check_plot_path("path", path)
    from matplotlib.figure import Figure  # not pyplot, which would choose a window system and keep it

    return Figure(figsize=(width, height), layout="constrained")


def checked_axes(axes: Axes | None, path: FilePath | None, width: float, height: float) -> Axes:
    """Return ``axes`` if they are given, else those of a new figure.

    Raises as ``new_figure`` does, ArgumentError if there are both axes and a path, and ArgumentTypeError for other
    objects than axes.
    """
    if axes is None:
        return new_figure(path, width, height).subplots()
    if path is not None:
        raise invalid("path", path, "give one of path and axes; the figure of the axes has savefig(path)")
    if not hasattr(axes, "imshow"):
        raise wrong_type("axes", axes, "use the axes of one panel, such as figure.subplots()")
    return axes


def figure_of(axes: Axes, path: FilePath | None) -> Figure:
    """Return the figure that ``axes`` belong to, after writing it to ``path`` if that is not None.

    Raises ArgumentError if the file cannot be written.
    """
    figure = axes.get_figure()
    assert figure is not None  # axes that are drawn into have one
    return saved(figure.figure, path)  # that of a subfigure is the figure which it is a part of


def saved(figure: Figure, path: FilePath | None) -> Figure:
    """Write ``figure`` to the PNG file ``path`` if that is not None, and return it; errors as ``figure_of``."""
    if path is not None:
        replace_file(path, lambda file: figure.savefig(file, dpi=DOTS_PER_INCH, format="png"), ArgumentError)
    return figure


def colour(index: int) -> str:
    """Return the colour of class or curve number ``index``; they repeat after eight."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Return the marker of class number ``index``: another one for each of the eight that share a colour."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def as_text(name: object) -> str:
    """Return a name as it is to be read: for Matplotlib, what stands between two dollar signs is mathematics."""
    return str(name).replace("$", r"\$")


def _check_matplotlib(argument: str) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise AccelnnError(f"{argument} needs Matplotlib: {INSTALL}")
