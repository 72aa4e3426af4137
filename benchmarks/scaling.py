"""How training throughput grows with the width, the depth and the batch size: accelnn and its peers, interleaved."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping

from benchmarks.cases import add_common_options, device_of, integers, run_cases
from benchmarks.charts import draw_scaling
from benchmarks.record import Record, this_command
from benchmarks.report import Case, notes, table
from benchmarks.work import UNITS, Work

CONTENDERS = ("accelnn_fit", "jax_scan", "torch_eager", "sklearn_mlp")
WIDTHS = "64,128,256,512,1024,2048,4096"
DEPTHS = "1,2,4,8,16"
BATCHES = "1,4,16,64,256,1024,4096,16384"
USUAL_BATCH, USUAL_WIDTH = 128, 128

LEARNING_RATE = 0.01
"""Small enough that wide and deep networks and batches of one row learn instead of diverging."""

ROUND_S = 1.0
STEP_OVERHEAD_S = 1.5e-4
FLOPS_PER_S = 1.2e11
"""What a round should last, and what a typical contender on two cores needs for a step and for its products."""

LABELS = {"width": "units of the hidden layer", "depth": "hidden layers", "batch": "batch size"}


def main() -> None:
    options = _options()
    sweeps = {name: sweep(name, getattr(options, name), options.data) for name in LABELS}
    results = {
        name: run_cases(options.contenders, works, options.rounds, name) for name, works in sweeps.items() if works
    }
    devices = {device_of(cases) for cases in results.values()}
    record = Record(options.output, "scaling", this_command("benchmarks.scaling"), max(devices, default="cpu"))
    print("written to", write(record, results))


def sweep(name: str, values: list[int], data: str = "mnist") -> dict[str, Work]:
    """Return the works in which ``name``, one of "width", "depth" and "batch", takes the values; [0] means none."""
    works = {
        "width": lambda n: sized(USUAL_BATCH, (784, n, 10), data),
        "depth": lambda n: sized(USUAL_BATCH, (784, *[USUAL_WIDTH] * n, 10), data),
        "batch": lambda n: sized(n, UNITS, data),
    }
    return {str(value): works[name](value) for value in values if value > 0}


def sized(batch_size: int, units: tuple[int, ...], data: str = "mnist") -> Work:
    """Return work for plain gradient descent of as many steps as take about ``ROUND_S``, two at least."""
    one_step = Work(batch_size, "sgd", units, n_steps=1, learning_rate=LEARNING_RATE, data=data)
    step_s = STEP_OVERHEAD_S + one_step.step_flops / FLOPS_PER_S
    return Work(batch_size, "sgd", units, max(2, round(ROUND_S / step_s)), LEARNING_RATE, data)


def write(record: Record, results: Mapping[str, Mapping[str, Case]]) -> pathlib.Path:
    """Write JSON, chart and page; return the path of the page."""
    record.write_json({"sweeps": results})
    draw_scaling(record.chart_path(), "Scaling", {LABELS[name]: cases for name, cases in results.items()})
    body = [
        f"ReLU, float32, SGD with learning rate {LEARNING_RATE}; width: 784-W-10, batch {USUAL_BATCH}; depth: D hidden "
        f"layers of {USUAL_WIDTH}, batch {USUAL_BATCH}; batch: 784-128-64-10. Samples per second (median of the "
        "rounds), and in brackets how many times as fast accelnn was in the same round: median, smallest, largest."
    ]
    for name, cases in results.items():
        body += [f"## {name.capitalize()}", table(cases, name), notes(cases, name)]
    return record.write_page("Scaling of width, depth and batch size", "\n\n".join(body))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--width", type=integers, default=WIDTHS, help="units of the hidden layer; 0 leaves this out")
    parser.add_argument("--depth", type=integers, default=DEPTHS, help="hidden layers; 0 leaves this out")
    parser.add_argument("--batch", type=integers, default=BATCHES, help="batch sizes; 0 leaves this out")
    add_common_options(parser, CONTENDERS, rounds=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
