"""Charts of the results, as PNG files small enough to be kept with the sources."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import CONTENDERS, FIRST
from benchmarks.report import Case, Spread, short_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
COLORS = {
    FIRST: "#d62728", "jax_scan": "#1f77b4", "jax_jit": "#6baed6", "torch_eager": "#e6550d",
    "torch_compile": "#fdae6b", "sklearn_mlp": "#31a354", "keras_jax": "#756bb1", "thinc_mlp": "#8c6d31",
    "numpy_tutorial": "#7f7f7f",
}  # fmt: skip
"""One colour per contender in all charts; a contender on a GPU is black, with a marker of its own."""

MARKERS = dict(zip(CONTENDERS, "oosDd^vPXs*hp<>", strict=True))


def draw_comparison(path: pathlib.Path, title: str, cases: Mapping[str, Case]) -> None:
    """Draw throughput and, beside it, how many times as fast accelnn is, over the batch size."""
    figure = _new_figure(2)
    if figure is None:
        return
    rates, times = figure.axes
    _draw_rates(rates, cases, "batch size")
    _draw_ratios(times, cases)
    figure.suptitle(title, fontsize=11)
    _finish(figure, path)


def draw_scaling(path: pathlib.Path, title: str, sweeps: Mapping[str, Mapping[str, Case]]) -> None:
    """Draw throughput over what each sweep varies, one panel per sweep."""
    figure = _new_figure(len(sweeps))
    if figure is None:
        return
    for axes, (label, cases) in zip(figure.axes, sweeps.items(), strict=True):
        _draw_rates(axes, cases, label)
    figure.suptitle(title, fontsize=11)
    _finish(figure, path)


def draw_bars(path: pathlib.Path, title: str, panels: Mapping[str, Mapping[str, Mapping[str, Any]]], unit: str) -> None:
    """Draw bars with the range of the rounds: a panel for each item, a group per contender, a bar per series.

    ``panels[panel][series][contender]`` is (median, minimum, maximum), or None where there is no value.
    """
    figure = _new_figure(len(panels))
    if figure is None:
        return
    for axes, (name, series) in zip(figure.axes, panels.items(), strict=True):
        _draw_groups(axes, series)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(unit)
    figure.axes[0].legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    _save(figure, path)


def _new_figure(n_panels: int) -> Figure | None:
    """Return a figure with empty panels in a row, or None where Matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no chart: Matplotlib is not installed")
        return None
    figure = Figure(figsize=(0.6 + 5.2 * n_panels, 4.8), layout="constrained")
    figure.subplots(1, n_panels)
    return figure


def _finish(figure: Figure, path: pathlib.Path) -> None:
    """Put one legend below all panels and write the file."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(7, len(labels)), frameon=False, fontsize=9)
    _save(figure, path)


def _save(figure: Figure, path: pathlib.Path) -> None:
    """Write the file with few colours, which keeps it small."""
    from PIL import Image  # Matplotlib stands on it

    picture = io.BytesIO()
    figure.savefig(picture, dpi=DPI)
    Image.open(picture).convert("RGB").quantize(128).save(path, optimize=True)


def _draw_rates(axes: Axes, cases: Mapping[str, Case], label: str) -> None:
    for name in _names(cases):
        sizes, spreads = _points(cases, name, "samples_per_s")
        axes.plot(sizes, [middle for middle, _, _ in spreads], label=name, **_style(name))
        lows, highs = [low for _, low, _ in spreads], [high for _, _, high in spreads]
        axes.fill_between(sizes, lows, highs, color=COLORS.get(name, "black"), linewidth=0, alpha=0.12)
    _scale(axes, cases, label)
    axes.set_ylabel("samples/s")
    _label_decades(axes)


def _draw_ratios(axes: Axes, cases: Mapping[str, Case]) -> None:
    for name in _names(cases):
        sizes, spreads = _points(cases, name, "ratio")
        if name == FIRST or not spreads:
            continue
        errors = [[m - low for m, low, _ in spreads], [high - m for m, _, high in spreads]]
        axes.errorbar(sizes, [m for m, _, _ in spreads], errors, capsize=2, elinewidth=0.8, **_style(name))
    axes.axhline(1.0, color=COLORS[FIRST], linewidth=1.0)
    _scale(axes, cases, "batch size")
    axes.set_ylabel("accelnn is so many times as fast")
    _label_decades(axes)


def _draw_groups(axes: Axes, series: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for values in series.values() for name in values))
    height = 0.8 / len(series)
    for index, (label, values) in enumerate(series.items()):
        places = [row + (index - (len(series) - 1) / 2) * height for row in range(len(names))]
        present = [(place, values[name]) for place, name in zip(places, names, strict=True) if values.get(name)]
        middles = [m for _, (m, _, _) in present]
        errors = [[m - low for _, (m, low, _) in present], [high - m for _, (m, _, high) in present]]
        shade = "#d62728" if index == 0 else "#f4a6a6"
        axes.barh([p for p, _ in present], middles, height * 0.92, xerr=errors, label=label, color=shade, capsize=2)
        for place, (middle, _, high) in present:
            axes.annotate(f"{middle:.1f}", (high, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
        for place, name in zip(places, names, strict=True):
            if not values.get(name):
                axes.annotate("not reached", (0, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.grid(axis="x", alpha=0.25)


def _names(cases: Mapping[str, Case]) -> list[str]:
    return list(dict.fromkeys(name for case in cases.values() for name in case["results"]))


def _points(cases: Mapping[str, Case], name: str, key: str) -> tuple[list[int], list[Spread]]:
    """Return where a contender has a value and its (median, minimum, maximum) there."""
    values = {int(x): case["results"][name][key] for x, case in cases.items() if name in case["results"]}
    present = {x: value for x, value in values.items() if value is not None}
    return list(present), list(present.values())


def _scale(axes: Axes, cases: Mapping[str, Case], label: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = [int(x) for x in cases]
    axes.set_xticks(sizes, [str(size) for size in sizes], rotation=45 if len(sizes) > 6 else 0)
    axes.set_xlabel(label)
    axes.grid(which="major", alpha=0.25)


def _label_decades(axes: Axes) -> None:
    """Write 1, 2, 5, 10, ... in words of thousands and millions, not as powers."""
    low, high = axes.get_ylim()
    ticks = [factor * 10.0**power for power in range(-3, 9) for factor in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(shown, [short_rate(tick) for tick in shown])
    axes.minorticks_off()


def _style(name: str) -> dict[str, Any]:
    return {
        "color": COLORS.get(name, "black"),
        "marker": MARKERS[name],
        "linewidth": 2.4 if name == FIRST else 1.3,
        "markersize": 6 if name == FIRST else 4.5,
    }
