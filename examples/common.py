"""What the examples share: their flags, the check of their figures at the end, and curves.

An example calls ``arguments`` first, ``check`` for every figure it stands for, and ``finish`` last.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

import accelnn
from accelnn.plotting import check_plot_path

LINE_LENGTH = 110
"""A figure that needs more room is printed in two lines, one below the other, so that digits can be compared."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of Okabe and Ito: they can be told apart without full colour vision too."""

LINES = ("-", "--", "-.", ":")
"""A style for each colour in turn: those that share one differ in lightness, so that a print in grey tells them."""

_FORMATS = {"float_kind": "{:.12g}".format, "int_kind": str}
_checked: list[str] = []
_missed: list[str] = []


def arguments(description: str | None, given: Sequence[str] | None = None, **more: int | str) -> argparse.Namespace:
    """Return the flags of an example: ``backend``, ``plot`` and those in ``more``.

    Args:
        description: the docstring of the example; its first line is shown by ``--help``.
        given: the words of the command line; None takes those that Python was started with.
        **more: further flags with their defaults: ``epochs=10`` is ``--epochs``, which takes an integer >= 1, and
            ``csv=""`` is ``--csv``, which takes any text.

    Raises:
        SystemExit: ``--help``, or a flag that cannot be used (code 2, with a line that says why).

    """
    _checked.clear()
    _missed.clear()
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--backend", default="auto", help="where to compute: auto, cpu, cuda or cuda:N")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the picture of this example into a file")
    for name, default in more.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(default, str):
            parser.add_argument(flag, default=default, metavar="TEXT", help=f"see the script (default {default!r})")
        else:
            help_text = f"an integer >= 1 (default {default})"
            parser.add_argument(flag, type=_positive, default=default, metavar="N", help=help_text)
    options = parser.parse_args(given)
    try:  # what cannot work is said before anything is computed
        accelnn.get_backend(options.backend)
        check_plot_path("--plot", options.plot)
    except accelnn.errors.AccelnnError as error:
        parser.error(str(error))
    return options


def check(name: str, got: Any, expected: Any, *, rtol: float = 1e-6, atol: float = 1e-8) -> None:
    """Print a figure beside the one expected, and remember if it is another one.

    Args:
        name: what the figure is.
        got: what accelnn computed, a number or an array of any shape.
        expected: the same in the tutorial, of the same shape.
        rtol: the largest difference allowed, as a fraction of ``expected``.
        atol: the same as a number. For a figure printed with 4 decimals, 0.00005 is what it was rounded by.

    """
    got, expected = np.asarray(got), np.asarray(expected)
    right = got.shape == expected.shape and np.allclose(got, expected, rtol=rtol, atol=atol)
    _report(name, right, f"{_shown(got)}", f"expected {_shown(expected)}")


def check_that(name: str, is_so: bool, seen: Any) -> None:
    """Print a statement such as "accuracy >= 95 %" with what was ``seen``, and remember if it is not so."""
    _report(name, bool(is_so), _shown(np.asarray(seen)), "")


def finish() -> None:
    """End the example: raise SystemExit with code 1 and a line that names the figures that were missed, if any."""
    if _missed:
        raise SystemExit(f"{len(_missed)} of {len(_checked)} figures missed: {', '.join(_missed)}")
    print(f"all {len(_checked)} figures are as expected")


def draw_curves(axes: Any, curves: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, title: str) -> None:
    """Draw a line for each of ``curves``, from epoch 0 on, into the axes of Matplotlib; there are seven colours."""
    if len(curves) > len(COLOURS):
        raise ValueError(f"curves are {len(curves)}: more than {len(COLOURS)} cannot be told apart")
    for (label, values), colour, line in zip(curves.items(), COLOURS, cycle(LINES), strict=False):
        marker = "." if len(values) <= 30 else None
        axes.plot(range(len(values)), values, line, label=label, color=colour, marker=marker)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.locator_params(axis="x", integer=True, nbins=6)
    axes.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        axes.legend(frameon=False)


def _report(name: str, right: bool, seen: str, expected: str) -> None:
    _checked.append(name)
    if not right:
        _missed.append(name)
    head = f"  {'ok    ' if right else 'MISSED'} {name}: "
    if len(head) + len(seen) + len(expected) < LINE_LENGTH:
        print(f"{head}{seen}" + (f" ({expected})" if expected else ""))
    else:
        print(f"{head.rstrip()}\n         accelnn  {seen}" + (f"\n         {expected}" if expected else ""))


def _shown(values: np.ndarray) -> str:
    """Return numbers with 12 digits at most, in one line."""
    return np.array2string(values, separator=", ", max_line_width=10_000, formatter=_FORMATS)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is given: use an integer >= 1")
    return int(text)
