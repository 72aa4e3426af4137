"""What happened in a training run: one record of numbers per epoch, and how the run ended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from accelnn.data.atomic_file import checked_target, replace_file
from accelnn.data.files import as_path
from accelnn.errors import AccelnnError, ArgumentError, invalid, wrong_type
from accelnn.habits import OF_HISTORIES, AnswersHabits
from accelnn.training.arguments import real_number
from accelnn.training.history_table import TIMING, history_table
from accelnn.training.metrics import resolve_mode, unknown_column

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_TRAINING_STYLE = ("#0072B2", "-")
_STYLES = {"val": ("#D55E00", "--"), "test": ("#009E73", ":")}
"""Colour and line of curves by what they were measured on: to be told apart in grey and by every eye."""


class Best(NamedTuple):
    """The best value of a metric and the index of its epoch (0 is the first)."""

    epoch: int
    value: float


@dataclass(repr=False)
class History(AnswersHabits):
    """Numbers of every epoch, by column.

    Columns are ``loss`` (training loss of the epoch, the value that was differentiated),
    ``seconds`` (duration of the epoch), ``samples_per_s`` (training samples per second), ``val_loss`` where
    there is validation data, and each metric as ``<metric>`` and ``val_<metric>``. ``len(history)`` is the
    number of epochs; iteration and ``in`` go over the names of the columns, so ``dict(history)`` works. It prints
    as a table.

    Attributes:
        epochs: the records, one dict per epoch.
        runner: name of the runner that executed the steps.
        threads: number of threads that shared a step; the same number and seed give bitwise the same weights.
        interrupted: whether Ctrl-C ended the run.
        stopped_because: why a callback ended the run before its last epoch; None if none did.

    """

    _elsewhere: ClassVar = OF_HISTORIES

    epochs: list[dict[str, float]] = field(default_factory=list)
    runner: str = ""
    threads: int = 1
    interrupted: bool = False
    stopped_because: str | None = None

    def record(self, **values: float) -> dict[str, float]:
        """Append an epoch and return its record.

        Args:
            **values: the columns, real numbers (NumPy scalars and arrays without dimensions too); NaN is allowed.

        Raises:
            ArgumentTypeError: a value that is not a real number.
            ArgumentError: no values.

        """
        if not values:
            raise invalid("values", values, "give at least one column, such as loss=0.1")
        self.epochs.append({name: real_number(name, value) for name, value in values.items()})
        return self.epochs[-1]

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return any(name in record for record in self.epochs)

    def __getitem__(self, name: str) -> list[float]:
        """Return column ``name``, one float per epoch; NaN in the epochs that lack it.

        Raises:
            ArgumentError: an unknown column; the recorded ones are listed.
            ArgumentTypeError: no name, such as the index of an epoch.

        """
        if not isinstance(name, str):
            fix = "columns have names, and lists of numbers: history['loss'][-1] is the last loss"
            raise wrong_type("column", name, fix)
        if name not in self:
            raise unknown_column("column", name, self.keys())
        return [record.get(name, math.nan) for record in self.epochs]

    def __repr__(self) -> str:
        """Return a table of the epochs, the first and the last of many, and how the run ended."""
        return history_table(self)

    def keys(self) -> list[str]:
        """Return the names of the columns in the order in which they were first recorded."""
        return list(dict.fromkeys(name for record in self.epochs for name in record))

    def to_dict(self) -> dict[str, list[float | None]]:
        """Return all columns as lists, one entry per epoch, ready for strict JSON.

        Numbers that JSON cannot hold (NaN, infinity) and missing ones become None.
        """
        return {name: [value if math.isfinite(value) else None for value in self[name]] for name in self}

    def best(self, metric: str = "val_loss", mode: str = "auto") -> Best:
        """Return the best value of ``metric`` and its epoch (the first of equals; NaN never wins).

        Args:
            metric: a column.
            mode: "min", "max", or "auto" to know it from the name (see ``higher_is_better``).

        Raises:
            ArgumentError: an unknown column or mode, a name that does not tell the direction, or a column
                without numbers.

        """
        values = self[metric]
        sign = -1.0 if resolve_mode(metric, mode) else 1.0
        usable = [epoch for epoch, value in enumerate(values) if not math.isnan(value)]
        if not usable:
            raise invalid("metric", metric, "use a column with numbers, this one is NaN in every epoch")
        epoch = min(usable, key=lambda index: sign * values[index])
        return Best(epoch, values[epoch])

    def plot(self, path: str | PathLike[str] | None = None) -> Figure:
        """Draw the loss and every metric over the epochs, one panel each with training, validation and test curves.

        Args:
            path: file to write; the format follows from its ending (.png, .svg, .pdf, ...). None makes a
                figure of ``matplotlib.pyplot``, to be shown by ``pyplot.show()`` or by a notebook.

        Returns:
            The ``matplotlib.figure.Figure``.

        Raises:
            ArgumentError: nothing recorded yet, an unknown file format, or a file that cannot be written.
            ArgumentTypeError: ``path`` is no path.
            AccelnnError: Matplotlib is not installed.

        """
        panels = self._panels()
        if not panels:
            raise invalid("history", self.keys(), "train for an epoch first, there is nothing to plot")
        if path is not None:
            checked_target("path", path)
        figure = _new_figure(len(panels), interactive=path is None)
        for axes, (quantity, names) in zip(figure.axes, panels.items(), strict=True):
            self._draw(axes, names)
            axes.set_ylabel(quantity)
        if path is not None:
            _write(figure, path)
        return figure

    def _panels(self) -> dict[str, list[str]]:
        """Return the columns by metric: ``{"loss": ["loss", "val_loss"], ...}``."""
        panels: dict[str, list[str]] = {}
        for name in self:
            if name not in TIMING:
                panels.setdefault(name.removeprefix("val_").removeprefix("test_"), []).append(name)
        return panels

    def _draw(self, axes: Axes, names: list[str]) -> None:
        epochs = range(1, len(self) + 1)
        for name in names:
            colour, line = _STYLES.get(name.partition("_")[0], _TRAINING_STYLE)
            axes.plot(epochs, self[name], line, color=colour, label=name, marker="." if len(self) < 30 else None)
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
        axes.legend()


def _new_figure(n_panels: int, interactive: bool) -> Figure:
    size = (4.8 * n_panels, 3.6)
    try:
        # A figure that goes to a file stays out of pyplot, which would choose a window system and keep it.
        if interactive:
            from matplotlib import pyplot

            figure = pyplot.figure(figsize=size, layout="constrained")
        else:
            from matplotlib.figure import Figure

            figure = Figure(figsize=size, layout="constrained")
    except ImportError as error:
        raise AccelnnError('plot needs Matplotlib: install it with pip install "accelnn[plot]"') from error
    figure.subplots(1, n_panels)
    return figure


def _write(figure: Figure, path: str | PathLike[str]) -> None:
    ending = as_path("path", path).suffix[1:].lower()
    known = figure.canvas.get_supported_filetypes()
    if ending not in known:
        raise invalid("path", path, f"use a file name that ends in .{', .'.join(sorted(known))}")
    replace_file(path, lambda file: figure.savefig(file, format=ending), ArgumentError)
