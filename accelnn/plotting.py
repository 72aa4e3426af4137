"""Curves of a training run as a picture."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from accelnn.errors import AccelnnError, invalid

if TYPE_CHECKING:
    from accelnn.training import History

INSTALL = 'install it with pip install "accelnn[plot]"'


def check_plot_path(argument: str, path: str | os.PathLike[str] | None) -> None:
    """Raise if no picture could be drawn at ``path``, before the training whose curves it is to show.

    None is no path and fine. Raises ArgumentError for a name that does not end in .png, and AccelnnError if
    Matplotlib, which draws, is not installed.
    """
    if path is None:
        return
    if not os.fspath(path).lower().endswith(".png"):
        raise invalid(argument, path, "use a file name that ends in .png")
    if importlib.util.find_spec("matplotlib") is None:
        raise AccelnnError(f"{argument} needs Matplotlib: {INSTALL}")


def plot_history(history: History, path: str | os.PathLike[str]) -> None:
    """Draw loss and accuracy over the epochs into the PNG file ``path``.

    One panel per quantity; training, validation and test curves of a quantity share one. Raises as
    ``check_plot_path`` does, and ArgumentError if nothing was recorded or the file cannot be written.
    """
    check_plot_path("path", path)
    history.plot(path)
