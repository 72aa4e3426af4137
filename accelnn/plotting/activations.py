"""Activation functions with their derivatives."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from accelnn.arrays.reference import ACTIVATIONS, DERIVATIVES
from accelnn.errors import invalid, unknown_name, wrong_type
from accelnn.network.activations import ACTIVATION_ALIASES
from accelnn.network.arguments import number
from accelnn.plotting.figures import COLOURS, FilePath, new_figure, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_COLUMNS = 4
N_POINTS = 802  # even: no point is 0, where some derivatives jump


def plot_activations(
    names: str | Iterable[str] | None = None, path: FilePath | None = None, *, limit: float = 4.0
) -> Figure:
    """Draw activation functions ``a(z)`` and their derivatives ``da/dz``, a panel for each.

    Args:
        names: one or more names of activations that work on each number by itself (softmax does not); None takes all.
        path: PNG file to write; None makes a figure to show.
        limit: draw from ``z = -limit`` to ``limit``, > 0.

    Returns:
        The figure.

    Raises:
        ArgumentError: an unknown name, no names, a limit that is not > 0, a path that cannot be written.
        ArgumentTypeError: an argument of another type.
        AccelnnError: Matplotlib is not installed.

    """
    chosen = _checked_names(names)
    if number("limit", limit, minimum=0.0) == 0.0:
        raise invalid("limit", limit, "use a number > 0")
    n_columns = min(N_COLUMNS, len(chosen))
    n_rows = math.ceil(len(chosen) / n_columns)
    figure = new_figure(path, max(4.0, 2.5 * n_columns), 2.1 * n_rows + 0.5)
    panels = np.ravel(figure.subplots(n_rows, n_columns, sharex=True))
    for axes, name in zip(panels, chosen, strict=False):
        _draw(axes, name, limit)
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return saved(figure, path)


def _checked_names(names: str | Iterable[str] | None) -> list[str]:
    names = list(DERIVATIVES) if names is None else [names] if isinstance(names, str) else names
    if not isinstance(names, Iterable):
        raise wrong_type("names", names, "use a name such as 'relu', or a list of names")
    chosen = [ACTIVATION_ALIASES.get(name, name) for name in names]
    if not chosen:
        raise invalid("names", names, "give at least one activation")
    for name in chosen:
        if name not in DERIVATIVES:
            raise unknown_name("activation", name, DERIVATIVES)
    return chosen


def _draw(axes: Axes, name: str, limit: float) -> None:
    z = np.linspace(-limit, limit, N_POINTS)
    a = ACTIVATIONS[name](z)
    axes.axhline(0.0, color="#bbbbbb", linewidth=0.8)
    axes.axvline(0.0, color="#bbbbbb", linewidth=0.8)
    axes.plot(z, a, color=COLOURS[0], label="activation $a(z)$")
    axes.plot(z, DERIVATIVES[name](z, a), "--", color=COLOURS[1], label="derivative $da/dz$")
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("$z$")
    axes.locator_params(axis="x", integer=True)
    axes.xaxis.set_tick_params(labelbottom=True)
    axes.spines[["top", "right"]].set_visible(False)
