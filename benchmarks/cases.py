"""Several works one after the other, each by all contenders, and the options that programs share."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Collection, Iterable, Mapping

from benchmarks.contenders import CONTENDERS
from benchmarks.interleave import interleave
from benchmarks.report import Case, case_lines, summary
from benchmarks.work import Work


def run_cases(names: Iterable[str], works: Mapping[str, Work], rounds: int, label: str) -> dict[str, Case]:
    """Let ``names`` do every work and print what came out; who could not even begin is not tried again."""
    names, cases = list(names), {}
    never_began: dict[str, str] = {}
    for title, work in works.items():
        contenders = interleave(names, work, rounds)
        cases[title] = summary(contenders)
        cases[title]["skipped"] |= never_began
        print("\n".join(case_lines(f"{label} {title}", cases[title])), flush=True)
        skipped = {c.name: str(c.why_skipped) for c in contenders if c.why_skipped is not None}
        for name, reason in skipped.items():
            print(f"  {name} is skipped: {reason}", flush=True)
        never_began |= {c.name: skipped[c.name] for c in contenders if c.name in skipped and not c.warm_up}
        names = [name for name in names if name not in never_began]
    return cases


def device_of(cases: Mapping[str, Case]) -> str:
    """Return "cuda" if a contender ran on a GPU, else "cpu"."""
    ran = {name for case in cases.values() for name in case["results"]}
    return "cuda" if any(CONTENDERS[name].device == "cuda" for name in ran) else "cpu"


def integers(text: str) -> list[int]:
    """Return the whole numbers of a list such as "10,32"."""
    return [int(part) for part in text.split(",")]


def known_contenders(text: str, known: Collection[str] = CONTENDERS) -> list[str]:
    """Return the names of a list such as "accelnn_fit,jax_scan"; all must be ``known``."""
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
    return names


def add_common_options(parser: argparse.ArgumentParser, contenders: Iterable[str], rounds: int) -> None:
    """Add --rounds, --contenders, --data and --output."""
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds that count, after two that do not")
    parser.add_argument("--contenders", type=known_contenders, default=",".join(contenders), metavar="NAME,...")
    parser.add_argument("--data", default="mnist", choices=["mnist", "synthetic"])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("benchmarks/results"), metavar="DIR")
