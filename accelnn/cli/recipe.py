"""From the flags of ``accelnn train`` to what training needs. All flags are checked before any data is read."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from accelnn.arrays import Backend
from accelnn.cli.datasets import check_dataset_name
from accelnn.cli.files import check_outputs
from accelnn.cli.models import usable_backend
from accelnn.cli.options import TrainOptions
from accelnn.data import Dataset
from accelnn.data.atomic_file import check_writable
from accelnn.data.catalog import dataset_files
from accelnn.data.files import as_path
from accelnn.errors import invalid, unknown_name
from accelnn.network import Dense, Dropout, Layer, Rescaling, resolve_activation
from accelnn.network.network import DTYPES
from accelnn.plotting import check_plot_path
from accelnn.training import Checkpoint, EarlyStopping, Optimizer, Sequential
from accelnn.training.arguments import checked_number
from accelnn.training.checkpoints.checkpoint import checked_every
from accelnn.training.checkpoints.folder import CheckpointFolder
from accelnn.training.optimizers import resolve_optimizer
from accelnn.training.runners.choice import RUNNERS
from accelnn.training.runners.precision import checked_precision
from accelnn.training.schedules import resolve_schedule

DEFAULT_BATCH_SIZE = 128
HELD_OUT = 0.1
"""Fraction of the training rows that early stopping watches."""

_WIDTH = re.compile("[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Recipe:
    """The checked flags that are not used as they stand. ``widths`` are those of the hidden layers."""

    widths: tuple[int, ...]
    optimizer: Optimizer
    backend: Backend
    seed: int
    checkpoint: Checkpoint | None = None


def checked_recipe(options: TrainOptions) -> Recipe:
    """Return the recipe; raises errors of ``accelnn.errors`` that name the flag, the value and the fix."""
    check_dataset_name(options.dataset)
    resolve_activation(options.activation, "--activation")
    _check_name("--dtype", options.dtype, DTYPES)
    _check_name("--runner", options.runner, RUNNERS)
    checked_precision(options.precision, options.dtype, "--precision")
    checked_number("--dropout", options.dropout, at_least=0, below=1)
    checked_number("--l2", options.l2, at_least=0)
    checkpoint = _checkpoint(options)
    _check_files(options, checkpoint)
    widths, optimizer, backend = _widths(options.hidden), _optimizer(options), usable_backend(options.backend)
    return Recipe(widths, optimizer, backend, _seed(options, checkpoint), checkpoint)


def new_model(options: TrainOptions, recipe: Recipe, data: Dataset) -> Sequential:
    """Return an untrained model for ``data``; it takes the rows as they are in the file."""
    hidden = [layer for width in recipe.widths for layer in _hidden_layers(options, width)]
    output = Dense(data.n_outputs, "identity" if data.n_classes is None else "softmax", l2=options.l2)
    scaling = [] if data.scale == 1.0 else [Rescaling(data.scale)]
    return Sequential(
        [*scaling, *hidden, output],
        n_in=data.n_features,
        dtype=options.dtype,  # type: ignore[arg-type]  # checked above
        backend=recipe.backend,
        seed=recipe.seed,
    )


def check_data(options: TrainOptions, data: Dataset) -> None:
    """Raise ArgumentError if there is nothing to learn from ``data``."""
    n_rows = len(data.x_train)
    if n_rows == 0:
        raise invalid("--dataset", options.dataset, "it has no training rows")
    if data.n_classes is not None and data.n_classes < 2:
        raise invalid("--dataset", options.dataset, "all its rows have the same class, so there is nothing to learn")
    if options.early_stopping is not None and round(HELD_OUT * n_rows) == 0:
        fix = f"leave it out, the {n_rows} training rows are too few to hold out a tenth"
        raise invalid("--early-stopping", options.early_stopping, fix)


def batch_size(options: TrainOptions, data: Dataset) -> int:
    """Return the rows of a mini-batch."""
    n_rows = len(data.x_train)
    if options.early_stopping is not None:
        n_rows -= round(HELD_OUT * n_rows)
    return min(DEFAULT_BATCH_SIZE, n_rows) if options.batch_size is None else options.batch_size


def early_stopping(options: TrainOptions) -> EarlyStopping | None:
    """Return the callback that ``--early-stopping`` asks for."""
    return None if options.early_stopping is None else EarlyStopping("val_loss", patience=options.early_stopping)


def _checkpoint(options: TrainOptions) -> Checkpoint | None:
    if options.checkpoint is None:
        if options.resume:
            raise invalid("--resume", True, "say from where, with --checkpoint DIR")
        return None
    check_writable("--checkpoint", options.checkpoint, as_path("--checkpoint", options.checkpoint))
    checkpoint = Checkpoint(options.checkpoint, checked_every(options.checkpoint_every, "--checkpoint-every"))
    if checkpoint.exists() and not options.resume:
        fix = "the folder has checkpoints already: add --resume to go on with that run, or give another folder"
        raise invalid("--checkpoint", options.checkpoint, fix)
    return checkpoint


def _check_files(options: TrainOptions, checkpoint: Checkpoint | None) -> None:
    """Raise ArgumentError or DataError for files that cannot be written, or that would be in each other's way."""
    check_plot_path("--plot", options.plot)
    outputs = {"--save": options.save, "--plot": options.plot}
    if any(path is not None for path in outputs.values()):
        data = dataset_files(options.dataset, options.data_dir)
        folder = None if checkpoint is None else CheckpointFolder(checkpoint.directory)
        check_outputs(outputs, {"--dataset": data}, folder)


def _seed(options: TrainOptions, checkpoint: Checkpoint | None) -> int:
    """Return the seed: the one of the flag, else that of the run to go on with, else a new one."""
    if options.seed is not None:
        return options.seed
    saved = checkpoint.saved_seed() if checkpoint is not None and options.resume else None
    return secrets.randbits(32) if saved is None else saved


def _hidden_layers(options: TrainOptions, width: int) -> list[Layer]:
    dense = Dense(width, options.activation, l2=options.l2)
    return [dense, Dropout(options.dropout)] if options.dropout else [dense]


def _check_name(flag: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise unknown_name(flag, value, known)


def _widths(text: str) -> tuple[int, ...]:
    if text.strip().lower() in ("", "none"):
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(_WIDTH.fullmatch(part) for part in parts):
        raise invalid("--hidden", text, "use widths such as 128,64, or none")
    return tuple(int(part) for part in parts)


def _optimizer(options: TrainOptions) -> Optimizer:
    optimizer = resolve_optimizer(options.optimizer, argument="--optimizer")
    given = options.learning_rate
    rate = optimizer.learning_rate if given is None else checked_number("--learning-rate", given, above=0)
    schedule = resolve_schedule(options.schedule, float(rate), "--schedule")  # type: ignore[arg-type]  # a number
    return resolve_optimizer(optimizer, schedule)
