"""Pictures: the curves of a training run, and where the time of a training step goes."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from accelnn.errors import AccelnnError, invalid

if TYPE_CHECKING:
    from accelnn.training import History
    from accelnn.training.step_benchmark import PhaseTime, StepBenchmark

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


def plot_step(benchmark: StepBenchmark, path: str | os.PathLike[str], subtitle: str) -> None:
    """Draw the phases of a training step into the PNG file ``path``: a bar for the time of each, and its limit.

    ``subtitle`` says which model was measured. Raises as ``check_plot_path`` does, and ArgumentError if the file cannot
    be written.
    """
    check_plot_path("path", path)
    from matplotlib.figure import Figure  # not pyplot, which would choose a window system and keep it

    figure = Figure(figsize=(9.0, 1.8 + 0.36 * len(benchmark.phases)), layout="constrained")
    axes = figure.subplots()
    _draw_phases(axes, benchmark)
    threads = benchmark.rates.threads
    heading = f"{1e6 * benchmark.step_s:,.0f} us per step, {benchmark.samples_per_s:,.0f} samples/s"
    axes.set_title(f"{heading}, {threads} thread{'s' if threads > 1 else ''}\n{subtitle}", loc="left", fontsize=10)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise invalid("path", os.fspath(path), f"cannot write there ({error.strerror or error})") from error


def _draw_phases(axes: Any, benchmark: StepBenchmark) -> None:
    phases = benchmark.phases
    places = range(len(phases))
    axes.barh(places, [1e6 * phase.time_s for phase in phases], color="#9ecae1", label="time")
    limits_us = [1e6 * phase.limit.time_s if phase.limit else 0.0 for phase in phases]
    axes.barh(places, limits_us, height=0.35, color="#08519c", label="limit of this machine")
    for place, phase, limit_us in zip(places, phases, limits_us, strict=True):
        axes.annotate(
            _label(phase), (max(1e6 * phase.time_s, limit_us), place), (4, 0), textcoords="offset points", va="center",
            fontsize=9,
        )  # fmt: skip
    axes.set_yticks(places, [phase.title for phase in phases])
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.6 * max(*limits_us, *(1e6 * phase.time_s for phase in phases)))  # room for the texts
    axes.set_xlabel("us per step")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False)


def _label(phase: PhaseTime) -> str:
    """Return the time of a phase, its share of the step and how much of its limit it reaches."""
    text = f"{1e6 * phase.time_s:,.1f} us, {phase.share:.0%}"
    return text if phase.fraction is None else f"{text}; {phase.fraction:.0%} of the limit"
