"""``accelnn bench``: how fast a training step is on this machine, where its time goes, and what limits it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelnn.arrays.environment import cpu_model
from accelnn.cli import recipe as recipes
from accelnn.cli.failures import CommandError
from accelnn.cli.files import print_json
from accelnn.cli.options import BenchOptions, TrainOptions
from accelnn.data import Dataset
from accelnn.errors import AccelnnError, invalid
from accelnn.network import resolve_activation
from accelnn.plotting import plot_step
from accelnn.training import Sequential
from accelnn.training.arguments import checked_number
from accelnn.training.data import TrainingData
from accelnn.training.optimizers import optimizer_name

if TYPE_CHECKING:
    from accelnn.training.measurement.step_benchmark import PhaseTime, StepBenchmark

N_ROWS, N_FEATURES, N_CLASSES = 60_000, 784, 10
"""The shape of MNIST. The values are drawn: how long a step takes does not depend on them."""

WIDTH = 100


def run_bench(options: BenchOptions) -> None:
    """Measure, draw the picture that was asked for, and report on standard output."""
    training = _training_options(options)
    recipe = recipes.checked_recipe(training)
    checked_number("--seconds", options.seconds, above=0)
    activation, optimizer = resolve_activation(options.activation).name, optimizer_name(options.optimizer)
    options = replace(options, activation=activation, optimizer=optimizer)  # by their names here
    if recipe.backend.name != "cpu":
        raise invalid("--backend", options.backend, "only steps on the CPU are measured so far: use cpu")
    rows = drawn_rows(max(N_ROWS, options.batch_size))
    model = recipes.new_model(training, recipe, rows)
    from accelnn.training.measurement.step_benchmark import benchmark_step

    data = TrainingData(rows.x_train, rows.y_train)
    result = benchmark_step(
        model, data, "cross_entropy", recipe.optimizer, options.batch_size, options.seconds, threads=options.threads
    )
    if options.plot is not None:
        _draw(result, options, model)
    if options.as_json:
        print_json(_report(result, options, model))
    else:
        print("\n".join(_lines(result, options, model)))


def drawn_rows(n: int) -> Dataset:
    """Return ``n`` rows of random bytes with random labels, in the shape of MNIST."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, N_FEATURES), np.uint8)
    y = rng.integers(0, N_CLASSES, n)
    return Dataset("random bytes", x, y, x[:0], y[:0], scale=1 / 255, n_classes=N_CLASSES)


def _training_options(options: BenchOptions) -> TrainOptions:
    """Return the options of the training whose step is measured."""
    return TrainOptions(
        dataset="digits", data_dir=None, hidden=options.hidden, activation=options.activation,
        optimizer=options.optimizer, learning_rate=None, epochs=1, batch_size=options.batch_size, dropout=0.0, l2=0.0,
        schedule="constant", early_stopping=None, backend="cpu" if options.backend == "auto" else options.backend,
        dtype=options.dtype, runner="compiled", seed=0, save=None, plot=options.plot, as_json=options.as_json,
    )  # fmt: skip


def _draw(result: StepBenchmark, options: BenchOptions, model: Sequential) -> None:
    try:
        plot_step(result, options.plot or "", _model(result, options, model))
    except AccelnnError as error:  # the flag was fine: the disk is not
        raise CommandError(str(error)) from error


def _report(result: StepBenchmark, options: BenchOptions, model: Sequential) -> dict[str, Any]:
    """Return what ``--json`` prints. Work, rates and limits are those of all threads together."""
    rates = result.rates
    return {
        "cpu": cpu_model(),
        "backend": model.backend.name,
        "threads": rates.threads,
        "dtype": model.dtype,
        "units": model.units,
        "activation": options.activation,
        "optimizer": options.optimizer,
        "batch_size": result.batch_size,
        "rounds": result.rounds,
        "step_us": 1e6 * result.step_s,
        "fastest_step_us": 1e6 * result.fastest_step_s,
        "samples_per_s": result.samples_per_s,
        "gemm_limit_us": 1e6 * result.gemm_limit_s,
        "gemm_fraction": result.gemm_limit_s / result.step_s,
        "limit_us": 1e6 * result.limit_s,
        "fraction": result.limit_s / result.step_s,
        "profiled_step_us": 1e6 * result.profiled_step_s,
        "profile_slowdown": result.slowdown,
        "gemm_flops_per_s": rates.gemm_flops_per_s,
        "own_gemm_flops_per_s": rates.own_flops_per_s,
        "numpy_gemm_flops_per_s": rates.numpy_flops_per_s,
        "memory_copy_bytes_per_s": rates.memory_copy_bytes_per_s,
        "cache_copy_bytes_per_s": rates.cache_copy_bytes_per_s,
        "cache_bytes": rates.cache_bytes,
        "phases": [_phase(phase) for phase in result.phases],
    }


def _phase(phase: PhaseTime) -> dict[str, Any]:
    return {
        "phase": phase.phase,
        "time_us": 1e6 * phase.time_s,
        "share": phase.share,
        "calls_per_step": phase.calls,
        "flops": phase.work.flops if phase.work else None,
        "bytes": phase.work.bytes if phase.work else None,
        "limit_us": 1e6 * phase.limit.time_s if phase.limit else None,
        "limited_by": phase.limit.limited_by if phase.limit else None,
        "fraction": phase.fraction,
    }


def _lines(result: StepBenchmark, options: BenchOptions, model: Sequential) -> Iterator[str]:
    threads = result.rates.threads
    yield f"cpu    {cpu_model()}, {threads} thread{'s' if threads > 1 else ''}"
    yield f"model  {_model(result, options, model)}"
    yield f"step   {_time(result.step_s)}, {result.samples_per_s:,.0f} samples/s"
    yield f"       (the median of {result.rounds} rounds; in the fastest, {_time(result.fastest_step_s)})"
    yield (
        f"limit  {_time(result.gemm_limit_s)} for its matrix products alone at this machine's best rate, "
        f"which is {result.gemm_limit_s / result.step_s:.0%} of the step"
    )
    yield ""
    yield from _table(result)
    yield ""
    for text in _explanations(result):
        yield from textwrap.wrap(text, WIDTH)


def _model(result: StepBenchmark, options: BenchOptions, model: Sequential) -> str:
    widths = "-".join(str(width) for width in model.units)
    return f"{widths}, {options.activation}, {options.optimizer}, {model.dtype}, batches of {result.batch_size:,} rows"


def _table(result: StepBenchmark) -> Iterator[str]:
    yield _row("phase", "time", "share", "limit", "reached", "limited by")
    for phase in result.phases:
        limits = ("", "", "")
        if phase.limit and phase.fraction is not None:
            limits = (_time(phase.limit.time_s), f"{phase.fraction:.0%}", phase.limit.limited_by)
        yield _row(phase.title, _time(phase.time_s), f"{phase.share:.1%}", *limits)
    reached = f"{result.limit_s / result.profiled_step_s:.0%}"
    yield _row("the whole step", _time(result.profiled_step_s), "100.0%", _time(result.limit_s), reached, "")


def _row(phase: str, time: str, share: str, limit: str, reached: str, limited_by: str) -> str:
    return f"{phase:<30}{time:>12}{share:>9}{limit:>12}{reached:>10}   {limited_by}".rstrip()


def _explanations(result: StepBenchmark) -> Iterator[str]:
    rates = result.rates
    yield (
        "A GEMM is a product of two matrices. limit: the time that a phase takes at least on this machine, for its "
        "multiplications and additions at the rate of a matrix product (arithmetic) or for the bytes it reads and "
        "writes at the rate of a copy (memory), whichever is longer. reached: limit / time; at 100% there is nothing "
        "left to gain, and a little more says that its data lay in a nearer cache than those of the copy."
    )
    yield (
        f"matrix product: {_giga(rates.gemm_flops_per_s)} GFLOP/s, the better of accelnn's own for small matrices "
        f"({_giga(rates.own_flops_per_s)}) and NumPy's for large ones ({_giga(rates.numpy_flops_per_s)})."
    )
    yield (
        f"copy: {_giga(rates.cache_copy_bytes_per_s)} GB/s within a cache; {_giga(rates.memory_copy_bytes_per_s)} GB/s "
        "in main memory, which counts for rows of the data set and for phases that move more than the largest cache "
        f"holds ({rates.cache_bytes / 2**20:,.0f} MiB)."
    )
    whose = f"The phases are those of one of {rates.threads} threads. " if rates.threads > 1 else ""
    yield (
        f"{whose}Taking their times slowed the step down by {max(result.slowdown, 0.0):.1%}; the first lines are "
        "without it. The data are random bytes in the shape of MNIST."
    )


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:,.1f} us" if seconds < 0.01 else f"{1e3 * seconds:,.1f} ms"


def _giga(rate: float) -> str:
    return f"{rate / 1e9:,.3g}"
