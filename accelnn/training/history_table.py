"""A history as a small table: what it prints as."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelnn.training.history import History

TIMING = ("seconds", "samples_per_s")
"""Columns about the machine."""

FIRST, LAST = 5, 5
"""So many epochs at the beginning and at the end are shown of a history that is longer by more than one."""


def history_table(history: History) -> str:
    """Return one line for each epoch, counted from 1, and one that says how the run ended."""
    if not len(history):
        return f"History of no epochs{_ending(history)}"
    names = sorted(history.keys(), key=lambda name: name in TIMING)
    columns = [history[name] for name in names]
    rows = [[str(epoch + 1), *(_number(column[epoch]) for column in columns)] for epoch in _shown(len(history))]
    if len(rows) < len(history):
        rows.insert(FIRST, ["...", *([""] * len(names))])
    table = [["epoch", *names], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(names) + 1)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([*lines, f"{len(history)} epoch{'s' if len(history) > 1 else ''}{_ending(history)}"])


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def _shown(n_epochs: int) -> list[int]:
    if n_epochs <= FIRST + LAST + 1:
        return list(range(n_epochs))
    return [*range(FIRST), *range(n_epochs - LAST, n_epochs)]


def _ending(history: History) -> str:
    """Return who trained and why it ended early, as ``", compiled runner, 2 threads; interrupted"``."""
    runner = f", {history.runner} runner" if history.runner else ""
    threads = f", {history.threads} threads" if history.threads > 1 else ""
    stopped = "interrupted" if history.interrupted else history.stopped_because
    return f"{runner}{threads}" + (f"; {stopped}" if stopped else "")
