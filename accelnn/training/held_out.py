"""What a run is measured on: rows that are held out of its data or given besides, and those that it trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelnn.arrays.sparse_rows import SparseRows
from accelnn.errors import about, invalid, wrong_type
from accelnn.network.network import Network
from accelnn.training.arguments import checked_number
from accelnn.training.data import TrainingData
from accelnn.training.evaluation import Evaluator
from accelnn.training.inputs import checked_data, classes_of

if TYPE_CHECKING:
    from accelnn.training.fit import Settings

COPIED_BYTES = 64 << 20
"""Of larger data the rows to train on are not copied where metrics are to be measured on them."""


def split_rows(
    network: Network, data: TrainingData, validation_data: Any, validation_split: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and the rows to hold out, integers in order; the arguments are those of ``fit``.

    Of a classification every class is held out in proportion to its rows.
    """
    n_rows = len(data)
    fraction = checked_number("validation_split", validation_split, at_least=0.0, below=1.0)
    if fraction == 0.0:
        return np.arange(n_rows), np.arange(0)
    if validation_data is not None:
        raise invalid("validation_split", validation_split, "leave it out where validation_data is given")
    n_held_out = round(fraction * n_rows)
    if not 0 < n_held_out < n_rows:
        raise invalid("validation_split", validation_split, f"of {n_rows} rows it leaves one part empty")
    is_held_out = np.zeros(n_rows, np.bool_)
    is_held_out[_drawn(_classes(network, data), n_rows, n_held_out, generator)] = True
    parts = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    _check_parts(data, validation_split, *parts)
    return parts


def _classes(network: Network, data: TrainingData) -> np.ndarray | None:
    """Return the class of each row, None where what is learned is no classification or rows have several classes."""
    if network.output_activation not in ("softmax", "sigmoid"):
        return None
    return classes_of(network.backend.to_host(data.y))


def _drawn(classes: np.ndarray | None, n_rows: int, n_held_out: int, generator: np.random.Generator) -> np.ndarray:
    """Return so many rows, integers, drawn at random; fewer where each that is left is the last one of its class.

    The rows of a class get their turns at equal distances, the first before all others: so every class has its share,
    rounded as Webster's method does, and the small ones have a row where there are enough for all classes.
    """
    order = generator.permutation(n_rows)
    if classes is None:
        return order[:n_held_out]
    by_class, counts = np.argsort(classes[order], kind="stable"), np.bincount(classes)
    sizes = np.repeat(counts, counts)
    ranks = np.arange(n_rows) - np.repeat(np.cumsum(counts) - counts, counts)
    turns = (ranks + 0.5) / sizes - (ranks == 0)
    turns[ranks == sizes - 1] = np.inf
    n_available = n_rows - np.count_nonzero(counts)
    return order[by_class[np.lexsort((by_class, turns))[: min(n_held_out, n_available)]]]


def _check_parts(data: TrainingData, validation_split: float, trained: np.ndarray, held_out: np.ndarray) -> None:
    if not len(held_out):
        fix = "each class has a single row, which stays in training; give validation_data"
        raise invalid("validation_split", validation_split, fix)
    check_weights(data, trained, held_out, "validation_split", validation_split)


def check_weights(
    data: TrainingData, trained: np.ndarray, held_out: np.ndarray, argument: str, fraction: float
) -> None:
    """Raise ArgumentError, naming ``argument``, where the rows of one of the parts all weigh 0."""
    if data.weights is None:
        return
    for rows, what in ((trained, "learn from"), (held_out, "validate on")):
        if not data.weights[rows].any():
            fix = f"of the {len(rows)} rows to {what} all weights are 0; give weights to more rows, or validation data"
            raise invalid(argument, fraction, fix)


def validation_rows(
    network: Network, data: TrainingData, held_out: np.ndarray, validation_data: Any, loss: str
) -> TrainingData | None:
    """Return the rows that are held out or those of ``validation_data``; None if there are neither."""
    if len(held_out):
        return data.rows(held_out)
    if validation_data is None:
        return None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise wrong_type("validation_data", validation_data, "use (x, y) or (x, y, sample_weight)")
    with about("validation_data"):
        return checked_data(validation_data[0], validation_data[1], network, loss, *validation_data[2:])


def evaluators_of(
    network: Network, data: TrainingData, settings: Settings, validation: TrainingData | None, metrics: dict[str, Any]
) -> dict[str, Evaluator]:
    """Return what measures a network after each epoch: ``"train"`` where there are metrics, and ``"validation"``."""
    evaluators, loss, threads = {}, settings.loss, settings.threads
    if metrics:
        trained, rows = data, None
        if len(settings.rows) < len(data):
            is_small = isinstance(data.x, SparseRows) or len(data) * data.row_bytes <= COPIED_BYTES
            trained, rows = (data.rows(settings.rows), None) if is_small else (data, settings.rows)
        evaluators["train"] = Evaluator(network, trained, loss, metrics, with_loss=False, threads=threads, rows=rows)
    if validation is not None:
        evaluators["validation"] = Evaluator(network, validation, loss, metrics, prefix="val_", threads=threads)
    return evaluators
