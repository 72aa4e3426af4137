"""What the small programs share: their options, data of their own, a table of text, and the file for --output."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from accelnn import Dense, Rescaling, Sequential
from benchmarks.record import Record, this_command
from benchmarks.work import UNITS, load_rows


def new_parser(name: str, description: str | None, **defaults: int) -> argparse.ArgumentParser:
    """Return a parser for ``python -m benchmarks.NAME`` with --data, --output and an option per default."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    for option, value in defaults.items():
        parser.add_argument(f"--{option}", type=int, default=value, help=f"default {value}")
    parser.add_argument("--data", default="mnist", choices=["mnist", "synthetic"])
    parser.add_argument("--output", type=pathlib.Path, metavar="DIR", help="folder to write DATE-cpu-NAME.json to")
    return parser


def finish(name: str, options: argparse.Namespace, lines: Iterable[str], results: Mapping[str, Any]) -> None:
    """Print the lines, and write the results where --output says."""
    print("\n".join(lines))
    if options.output is not None:
        record = Record(options.output, name.replace("_", "-"), this_command(f"benchmarks.{name}"))
        print("written to", record.write_json({"results": results}))


def aligned(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a table as lines of text: the first column to the left, all others to the right."""
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in cells]


def cost_lines(heads: tuple[str, str, str], rows: Iterable[tuple[str, str, Sequence[float]]]) -> list[str]:
    """Return a table of names, a figure of each, and its times relative to something, with their cost in per cent."""
    cells = []
    for name, figure, times in rows:
        middle = median(times)
        cells.append((name, figure, f"{middle:.3f}", f"{min(times):.3f}", f"{max(times):.3f}", f"{middle - 1:+.1%}"))
    return aligned((*heads, "min", "max", "cost"), cells)


def usual_model(seed: int = 0, l2: float = 0.0) -> Sequential:
    """Return 784-128-64-10 with ReLU and softmax, for images of bytes; ``l2`` is the penalty of its weights."""
    hidden = [Dense(n, "relu", l2=l2) for n in UNITS[1:-1]]
    return Sequential([Rescaling(1 / 255), *hidden, Dense(UNITS[-1], "softmax", l2=l2)], n_in=UNITS[0], seed=seed)


def usual_rows(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels that --data names."""
    return load_rows(options.data)
