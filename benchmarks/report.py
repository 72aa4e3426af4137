"""What the rounds say: rates, ratios within a round, whether the losses agree; and their table."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any, TypeAlias

from benchmarks.contenders import FIRST
from benchmarks.interleave import Contender

LOSS_TOLERANCE = 0.02
"""How far the mean loss of the first round may be from that of the others, relative to it."""

Spread: TypeAlias = tuple[float, float, float]
"""Median, minimum and maximum."""

Case: TypeAlias = dict[str, Any]
"""One run of all contenders, for one batch size or one network; see :func:`summary`."""


def spread(values: list[float]) -> Spread:
    """Return median, minimum and maximum."""
    return median(values), min(values), max(values)


def ratios(one: Contender, other: Contender) -> list[float]:
    """Return how many times faster ``one`` was than ``other``, round by round."""
    return [mine / theirs for mine, theirs in zip(one.rates, other.rates, strict=True)]


def summary(contenders: list[Contender]) -> Case:
    """Return the results of one run of all contenders, JSON-able.

    Keys: "results" (by name: samples_per_s and ratio as median, minimum, maximum; rates; mean_loss of every round, the
    warm-up included), "skipped" (reasons by name), "disagreeing" (by name: relative distance of the first loss).
    """
    finished = [c for c in contenders if c.why_skipped is None]
    first = next((c for c in finished if c.name == FIRST), None)
    return {
        "results": {c.name: _result(c, first) for c in finished},
        "skipped": {c.name: c.why_skipped for c in contenders if c.why_skipped is not None},
        "disagreeing": disagreeing({c.name: c.first_loss for c in finished}),
    }


def _result(contender: Contender, first: Contender | None) -> dict[str, Any]:
    return {
        "samples_per_s": spread(contender.rates),
        "ratio": None if first is None else spread(ratios(first, contender)),
        "rates": contender.rates,
        "mean_loss": [answer["mean_loss"] for answer in contender.warm_up + contender.answers],
    }


def disagreeing(losses: Mapping[str, float], tolerance: float = LOSS_TOLERANCE) -> dict[str, float]:
    """Return the contenders whose loss is off, with its distance from the median loss, relative to that unless it is 0.

    Only losses of the first round are compared: rounding errors grow from step to step, so that later rounds differ
    however exact a library is. NaN agrees with nothing.
    """
    finite = [value for value in losses.values() if value == value]
    usual = median(finite) if finite else float("nan")
    off = {name: abs(value - usual) / (abs(usual) or 1.0) for name, value in losses.items()}
    return {name: distance for name, distance in off.items() if not distance <= tolerance}


def agreement(case: Case) -> str:
    """Return in words whether the losses agree."""
    if not case["disagreeing"]:
        return "losses agree"
    return "losses DIFFER: " + ", ".join(f"{name} by {off:.1%}" for name, off in case["disagreeing"].items())


def case_lines(title: str, case: Case) -> list[str]:
    """Return what to print about one run: a line per contender."""
    lines = [f"{title}: {agreement(case)}"]
    for name, result in case["results"].items():
        ratio = result["ratio"]
        times = "" if ratio is None else f"   accelnn is {ratio[0]:5.2f} ({ratio[1]:.2f}..{ratio[2]:.2f})"
        lines.append(f"  {name:16s} {result['samples_per_s'][0]:10,.0f} samples/s{times}")
    return lines


def table(cases: Mapping[str, Case], label: str) -> str:
    """Return a Markdown table: a row per contender, a column per case, named ``label`` and the case."""
    names = list(dict.fromkeys(name for case in cases.values() for name in case["results"]))
    heads = " | ".join(f"{label} {case}" for case in cases)
    lines = [f"| contender | {heads} |", "|---" * (len(cases) + 1) + "|"]
    for name in names:
        cells = " | ".join(_cell(case["results"].get(name)) for case in cases.values())
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _cell(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "-"
    rate, ratio = result["samples_per_s"][0], result["ratio"]
    times = "" if ratio is None else f" ({ratio[0]:.2f}: {ratio[1]:.2f} to {ratio[2]:.2f})"
    return f"{short_rate(rate)}{times}"


def short_rate(rate: float) -> str:
    """Return a rate with three figures: 1.23 M, 340 k, 8.15 k, 97."""
    unit, name = next((pair for pair in ((1e6, " M"), (1e3, " k")) if rate >= pair[0]), (1.0, ""))
    rounded = float(f"{rate / unit:.3g}")
    return f"{rounded:g}{name}"


def notes(cases: Mapping[str, Case], label: str) -> str:
    """Return a Markdown list: whether the losses agree, and who was skipped and why."""
    lines = [f"- {label} {name}: {agreement(case)}." for name, case in cases.items() if case["disagreeing"]]
    lines = lines or ["- The losses of the first round agree in every column."]
    skipped = {name: reason for case in cases.values() for name, reason in case["skipped"].items()}
    lines += [f"- {name} was skipped: {reason}." for name, reason in skipped.items()]
    return "\n".join(lines)
