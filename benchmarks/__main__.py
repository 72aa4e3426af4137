"""Compare accelnn with its peers: training throughput on MNIST, all contenders interleaved in one run."""

from __future__ import annotations

import argparse
import pathlib

from benchmarks.cases import add_common_options, device_of, integers, run_cases
from benchmarks.charts import draw_comparison
from benchmarks.contenders import CONTENDERS
from benchmarks.record import Record, this_command
from benchmarks.report import Case, notes, table
from benchmarks.work import Work

OTHERS = """
other programs, each with --help:
  python -m benchmarks.scaling           width, depth and batch size
  python -m benchmarks.accuracy          seconds to 97.5 % and to 98 % test accuracy, cold and warm
  python -m benchmarks.endurance         300 epochs of Adam: the last ten against the first ten
  python -m benchmarks.interpreter_lock  how fast other Python code runs while a model trains
  python -m benchmarks.options           the cost of float64, dropout, normalization, activations, ...
  python -m benchmarks.first_step        from a fresh process to the first trained step, with and without a cache
  python -m pytest benchmarks --benchmark-only    kernels and whole steps
"""

EXPLANATION = (
    "Samples per second (median of the rounds), and in brackets how many times as fast accelnn was in the same round: "
    "median, smallest and largest ratio."
)


def main() -> None:
    options = _options()
    works = {str(size): Work(size, options.optimizer, data=options.data) for size in options.batches}
    cases = run_cases(options.contenders, works, options.rounds, "batch")
    record = Record(options.output, options.optimizer, this_command("benchmarks"), device_of(cases))
    print("written to", write(record, cases, options))


def write(record: Record, cases: dict[str, Case], options: argparse.Namespace) -> pathlib.Path:
    """Write JSON, chart and page; return the path of the page."""
    title = f"{options.data}, 784-128-64-10, ReLU, float32, {options.optimizer}"
    record.write_json({"cases": cases})
    draw_comparison(record.chart_path(), title, cases)
    body = [EXPLANATION, table(cases, "batch"), notes(cases, "batch")]
    return record.write_page(title, "\n\n".join(body))


def _options() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks", None, __doc__, OTHERS, formatter_class=layout)
    parser.add_argument("--batches", type=integers, default="10,32,128,512,2048", help="batch sizes")
    parser.add_argument("--optimizer", default="sgd", choices=["sgd", "adam"])
    add_common_options(parser, CONTENDERS, rounds=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
