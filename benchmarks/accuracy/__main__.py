"""Seconds until 97.5 % and 98 % of MNIST's test images are recognised, from a cold process and from a warm one."""

from __future__ import annotations

import argparse
import functools
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from benchmarks.accuracy import TARGETS
from benchmarks.accuracy.trials import run_trials, trial_summary
from benchmarks.cases import known_contenders
from benchmarks.charts import draw_bars
from benchmarks.record import Record, this_command
from benchmarks.report import Spread

CONTENDERS = ("accelnn_fit", "jax_scan", "torch_eager", "sklearn_mlp", "keras_jax")
TITLE = "Time to accuracy on MNIST"
EXPLANATION = """784-512-256-10, ReLU, float32, Adam with a constant rate of 0.001, batches of 100, from the same
weights in all contenders (another seed in each round). Seconds, median of the rounds with the smallest and the
largest. *Cold* counts from the start of a new process: importing, loading the data, compiling from a warm cache on
disk. *Warm* counts training only, in a process that has trained for an epoch before. Evaluating the test images after
each epoch counts in both."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        runners = run_trials(options.contenders, options.rounds, pathlib.Path(folder))
    results = {runner.name: trial_summary(runner) for runner in runners if runner.why_skipped is None}
    skipped = {runner.name: runner.why_skipped for runner in runners if runner.why_skipped is not None}
    body = "\n".join([accuracy_table(results), "", *(f"- {name} was skipped: {why}." for name, why in skipped.items())])
    print(body)
    record = Record(options.output, "accuracy", this_command("benchmarks.accuracy"))
    record.write_json({"results": results, "skipped": skipped})
    draw_bars(record.chart_path(), TITLE, panels(results), "seconds")
    print("written to", record.write_page(TITLE, f"{EXPLANATION}\n\n{body}"))


def panels(results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Spread | None]]]:
    """Return the times by target, kind and contender."""
    return {
        target: {kind: {name: result[kind][target] for name, result in results.items()} for kind in ("cold", "warm")}
        for target in (f"{target:.1%}" for target in TARGETS)
    }


def accuracy_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table: a row per contender."""
    columns = [(kind, f"{target:.1%}") for kind in ("cold", "warm") for target in TARGETS]
    heads = [f"{kind}, {target}" for kind, target in columns]
    lines = ["| " + " | ".join(["contender", *heads, "epochs", "s per epoch"]) + " |", "|---" * (len(heads) + 3) + "|"]
    for name, result in results.items():
        cells = [_cell(result[kind][target]) for kind, target in columns]
        lines.append(f"| {name} | {' | '.join(cells)} | {result['epochs']:g} | {result['epoch_s']:.2f} |")
    return "\n".join(lines)


def _cell(times_s: Spread | None) -> str:
    return "not in every round" if times_s is None else "{:.2f} ({:.2f} to {:.2f})".format(*times_s)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    known = functools.partial(known_contenders, known=CONTENDERS)
    parser.add_argument("--contenders", type=known, default=",".join(CONTENDERS), metavar="NAME,...")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("benchmarks/results"), metavar="DIR")
    return parser.parse_args()


if __name__ == "__main__":
    main()
