"""The curves of a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelnn.errors import wrong_type
from accelnn.plotting.figures import FilePath, check_plot_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from accelnn.training import History


def plot_history(history: History, path: FilePath | None = None) -> Figure:
    """Draw loss and metrics over the epochs, into the PNG file ``path`` if it is given.

    One panel per quantity; training, validation and test curves of a quantity share one. Raises as
    ``check_plot_path`` does, ArgumentError if nothing was recorded or the file cannot be written, and ArgumentTypeError
    for what is no history.
    """
    if not hasattr(history, "plot"):
        raise wrong_type("history", history, "use what fit returns, or model.history after fit")
    check_plot_path("path", path)
    return history.plot(path)
