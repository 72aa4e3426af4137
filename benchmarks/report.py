"""Write what was measured: JSON with everything, Markdown with the table."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import pathlib
import subprocess
from typing import Any

from benchmarks.interleave import Contender, ratios, spread

FIRST = "accelnn_fit"
"""The contender whose ratios to the others are reported."""


PEERS = ("jax", "jaxlib", "torch", "scikit-learn")
"""Packages whose versions are written down."""


def summary(contenders: list[Contender]) -> dict[str, Any]:
    """Return rates, losses and ratios of one run of all contenders."""
    first = next((c for c in contenders if c.name == FIRST), contenders[0])
    return {
        c.name: {
            "samples_per_s": spread(c.rates),
            "ratio": spread(ratios(first, c)),
            "mean_loss": [answer["mean_loss"] for answer in c.answers],
        }
        for c in contenders
    }


def losses_agree(contenders: list[Contender], tolerance: float = 0.02) -> bool:
    """Return whether all contenders compute the same: their mean losses of the first round, relative to the first's.

    Only of the first: rounding errors grow from step to step, so that later rounds differ however exact a library is.
    """
    first = [(c.warm_up + c.answers)[0]["mean_loss"] for c in contenders]
    return max(abs(value - first[0]) for value in first) <= tolerance * abs(first[0])


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return a Markdown table: a row per contender, a column per batch size."""
    batches = list(results)
    names = list(results[batches[0]])
    lines = ["| contender | " + " | ".join(f"batch {b}" for b in batches) + " |", "|---" * (len(batches) + 1) + "|"]
    for name in names:
        cells = [_cell(results[b].get(name)) for b in batches]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return "-"
    rate, ratio = result["samples_per_s"], result["ratio"]
    return f"{rate[0] / 1e3:.0f} k ({ratio[0]:.2f}: {ratio[1]:.2f} to {ratio[2]:.2f})"


def write(folder: pathlib.Path, optimizer: str, results: dict[str, dict[str, Any]], command: str) -> pathlib.Path:
    """Write ``DATE-OPTIMIZER.json`` and ``.md`` to ``folder``; return the path of the latter."""
    from accelnn import describe_environment

    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    environment = describe_environment()
    for library in environment.get("blas", []):
        library.pop("file", None)  # a path of this machine
    stem = folder / f"{date}-cpu-{optimizer}"
    about = {"date": date, "revision": _revision(), "command": command, "environment": environment}
    about["peers"] = {name: _version(name) for name in PEERS}
    stem.with_suffix(".json").write_text(json.dumps(about | {"results": results}, indent=1) + "\n")
    cpu = environment["cpu"]
    page = stem.with_suffix(".md")
    page.write_text(
        f"# MNIST 784-128-64-10, ReLU, float32, {optimizer}\n\n"
        f"{date}, {cpu['model']}, {cpu['usable_threads']} threads, revision {_revision()}. `{command}`\n\n"
        "Samples per second (median of the rounds), and in brackets how many times as fast accelnn was in the same "
        f"round: median, smallest and largest ratio.\n\n{table(results)}\n"
    )
    return page


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _revision() -> str:
    answer = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"
