"""``accelnn train``."""

from __future__ import annotations

import statistics
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

from accelnn.cli import recipe as recipes
from accelnn.cli.datasets import load, name_to_remember
from accelnn.cli.failures import INTERRUPTED, CommandError
from accelnn.cli.files import print_json
from accelnn.cli.options import TrainOptions
from accelnn.data import Dataset
from accelnn.errors import AccelnnError, AccelnnWarning
from accelnn.plotting import plot_history
from accelnn.training import Callback, EarlyStopping, History, Sequential
from accelnn.training.callbacks import TrainingPlan
from accelnn.training.evaluation import Evaluator
from accelnn.training.inputs import checked_data
from accelnn.training.metrics import resolve_metrics


@dataclass
class Run:
    """A training run: what goes in, and from ``train`` on what came out."""

    options: TrainOptions
    recipe: recipes.Recipe
    data: Dataset
    model: Sequential
    watch: Watch
    history: History
    stopping: EarlyStopping | None
    elapsed_s: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)


def run_training(options: TrainOptions) -> None:
    """Train as ``options`` say, report on standard output, and write the files that were asked for."""
    recipe = recipes.checked_recipe(options)
    data = load(options.dataset, options.data_dir)
    recipes.check_data(options, data)
    model = recipes.new_model(options, recipe, data)
    every_epoch = options.plot is not None or not options.as_json
    watch = Watch(data, every_epoch=every_epoch, threads=options.threads)
    run = Run(options, recipe, data, model, watch, History(), recipes.early_stopping(options))
    if not options.as_json:
        print(_opening(run), flush=True)
    _train(run)
    _write_files(run)
    if run.history.interrupted:
        raise CommandError(f"interrupted{_whereabouts(run)}", INTERRUPTED)
    run.scores = watch.test()
    results = _results(run)
    if options.as_json:
        print_json(results)
    else:
        print(_closing(run, results))


class Watch(Callback):
    """Tests the model, after every epoch if asked to, so that whoever watches sees it learn.

    ``metric`` is what is computed besides the loss, ``epochs_before`` the epochs that a resumed run had before. What is
    found goes into the record of the epoch, with ``test_`` in front; nothing of it has an influence on the training.
    """

    def __init__(self, data: Dataset, *, every_epoch: bool, threads: int | None = None) -> None:
        self.loss, self.metric = ("mse", "r2") if data.n_classes is None else ("cross_entropy", "accuracy")
        self.batch_size = self.epochs_before = 0
        self._data, self._every_epoch, self._threads = data, every_epoch, threads
        self._evaluator: Evaluator | None = None

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Prepare the test, and remember the rows of a mini-batch, which may be fewer than were asked for."""
        self.batch_size, self.epochs_before = plan.batch_size, plan.initial_epoch
        if len(self._data.x_test):
            rows = checked_data(self._data.x_test, self._data.y_test, model, self.loss)
            metrics = resolve_metrics(self.metric)
            self._evaluator = Evaluator(model, rows, self.loss, metrics, prefix="test_", threads=self._threads)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        """Add the scores on the test rows to the record."""
        if self._every_epoch:
            record |= self.test()

    def test(self) -> dict[str, float]:
        """Return ``test_loss`` and the metric on the test rows; nothing if there are none."""
        return {} if self._evaluator is None else self._evaluator.evaluate()


def _train(run: Run) -> None:
    options = run.options
    start_s = time.perf_counter()
    with warnings.catch_warnings():
        # The exit code and the last line say it.
        warnings.filterwarnings("ignore", message="training was interrupted", category=AccelnnWarning)
        run.history = run.model.fit(
            run.data.x_train,
            run.data.y_train,
            loss=run.watch.loss,
            optimizer=run.recipe.optimizer,
            epochs=options.epochs,
            batch_size=recipes.batch_size(options, run.data),
            validation_split=0.0 if run.stopping is None else recipes.HELD_OUT,
            callbacks=[run.watch] if run.stopping is None else [run.watch, run.stopping],
            verbose=0 if options.as_json else 1,
            runner=options.runner,
            threads=options.threads,
            precision=options.precision,
            checkpoint=run.recipe.checkpoint,
            resume=options.resume,
        )
    run.elapsed_s = time.perf_counter() - start_s


def _write_files(run: Run) -> None:
    """Write model and curves, also those of an interrupted run."""
    try:
        if run.options.save is not None:
            run.model.save(run.options.save, extra=_extra(run))
        if run.options.plot is not None and len(run.history):
            plot_history(run.history, run.options.plot)
    except AccelnnError as error:  # the flags were fine: the disk or the weights are not
        raise CommandError(str(error)) from error


def _extra(run: Run) -> dict[str, Any]:
    """Return what a saved model has to know about its data."""
    data = run.data
    return {
        "dataset": name_to_remember(run.options.dataset, data),
        "class_names": None if data.class_names is None else list(data.class_names),
        "feature_names": None if data.feature_names is None else list(data.feature_names),
    }


def _results(run: Run) -> dict[str, Any]:
    """Return what ``--json`` prints.

    ``train_loss`` is that of the epoch whose weights were kept; ``samples_per_s`` is the median over the epochs, since
    the first one may have compiled something.
    """
    kept = -1 if run.stopping is None or run.stopping.best_epoch is None else run.stopping.best_epoch
    return {
        "dataset": run.data.name,
        "backend": run.model.backend.name,
        "device": run.model.backend.device,
        "runner": run.history.runner,
        "dtype": run.model.dtype,
        "units": run.model.units,
        "epochs": len(run.history),
        "epochs_before": run.watch.epochs_before,
        "batch_size": run.watch.batch_size,
        "train_loss": run.history["loss"][kept],
        "test_loss": run.scores.get("test_loss"),
        "test_accuracy": run.scores.get("test_accuracy"),
        "samples_per_s": statistics.median(run.history["samples_per_s"]),
        "elapsed_s": run.elapsed_s,
        "seed": run.recipe.seed,
    }


def _opening(run: Run) -> str:
    data, model = run.data, run.model
    widths = "-".join(str(width) for width in model.units)
    rows = f"{len(data.x_train):,} rows to train on, {len(data.x_test):,} to test with"
    targets = f"{data.n_outputs} classes" if data.n_classes is not None else f"{data.n_outputs} values to predict"
    return (
        f"data   {data.name}: {rows}, {data.n_features} features, {targets}\n"
        f"model  {widths}, {model.count_parameters():,} parameters, {model.dtype}, on {model.backend.device}, "
        f"seed {run.recipe.seed}"
    )


def _closing(run: Run, results: dict[str, Any]) -> str:
    lines = [
        _scores(run, results),
        f"speed  {results['samples_per_s']:,.0f} samples/s ({_runner(run.history)}), "
        f"{_epochs(results)} in {results['elapsed_s']:.2f} s",
    ]
    if run.history.stopped_because:
        lines.append(f"early  {run.history.stopped_because}; the best weights are kept")
    lines += [f"saved  {path}" for path in (run.options.save, run.options.plot) if path is not None]
    return "\n".join(lines)


def _scores(run: Run, results: dict[str, Any]) -> str:
    if not run.scores:
        return f"score  training loss {results['train_loss']:.4g}; there are no rows to test with"
    metric = run.watch.metric
    return f"score  test {metric} {run.scores[f'test_{metric}']:.4f}, test loss {run.scores['test_loss']:.4g}"


def _runner(history: History) -> str:
    return f"{history.runner} runner" + (f", {history.threads} threads" if history.threads > 1 else "")


def _epochs(results: dict[str, Any]) -> str:
    count, before = results["epochs"], results["epochs_before"]
    return f"{count} epoch{'s' if count != 1 else ''}" + (f", {before} of them before," if before else "")


def _whereabouts(run: Run) -> str:
    model = f"; the model so far is in {run.options.save}" if run.options.save is not None else ""
    return model + ("" if run.options.checkpoint is None else "; --resume goes on with the run")
