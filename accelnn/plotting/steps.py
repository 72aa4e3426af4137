"""Where the time of a training step goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelnn.plotting.figures import FilePath, new_figure, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from accelnn.training.measurement.step_benchmark import PhaseTime, StepBenchmark


def plot_step(benchmark: StepBenchmark, path: FilePath | None, subtitle: str) -> Figure:
    """Draw the phases of a training step, a bar for the time of each, and its limit, into the PNG file ``path``.

    ``subtitle`` says which model was measured. Raises as ``check_plot_path`` does, and ArgumentError if the file cannot
    be written.
    """
    figure = new_figure(path, 9.0, 1.8 + 0.36 * len(benchmark.phases))
    axes = figure.subplots()
    _draw_phases(axes, benchmark)
    threads = benchmark.rates.threads
    heading = f"{1e6 * benchmark.step_s:,.0f} us per step, {benchmark.samples_per_s:,.0f} samples/s"
    axes.set_title(f"{heading}, {threads} thread{'s' if threads > 1 else ''}\n{subtitle}", loc="left", fontsize=10)
    return saved(figure, path)


def _draw_phases(axes: Axes, benchmark: StepBenchmark) -> None:
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
