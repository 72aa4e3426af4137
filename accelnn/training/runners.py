"""Choose how the steps are executed. This is the only place that decides it, and it says why."""

from __future__ import annotations

import logging
from typing import Protocol

import numpy as np

from accelnn.arrays import FusedOps, PlainOps
from accelnn.arrays.typing import Array
from accelnn.errors import invalid, unknown_name
from accelnn.network.network import Network
from accelnn.training.data import TrainingData
from accelnn.training.optimizers import Optimizer
from accelnn.training.plain import PlainPredictor, PlainRunner

RUNNERS = ("auto", "compiled", "plain")

PREDICTION_ROWS = 256
"""Rows of a batch of predictions: enough for the matrix products, few enough to stay in the cache."""

logger = logging.getLogger("accelnn")


class Runner(Protocol):
    """Executes training steps; all runners give the same numbers up to rounding."""

    name: str

    @property
    def threads(self) -> int:
        """Number of threads that share a step."""
        ...

    def begin_epoch(self, permutation: np.ndarray) -> None:
        """Use ``permutation``, int64 (n_rows,), as the order of the rows from now on."""
        ...

    def train(self, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> np.ndarray:
        """Train on the mini-batches [first, last) of the epoch; return their losses, float64 (last - first,).

        ``hyper (last - first, H)`` holds the optimizer's hyperparameters of each step, ``dropout_keys
        (last - first, n_dropout, 2)`` its dropout keys.
        """
        ...


class Predictor(Protocol):
    """Computes the outputs of a network."""

    name: str

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (n, n_out) for ``x (n, n_in)``."""
        ...


def choose_runner(
    requested: str,
    network: Network,
    data: TrainingData,
    loss: str,
    optimizer: Optimizer,
    moments: tuple[Array, ...],
    batch_size: int,
    *,
    threads: int | None = None,
) -> Runner:
    """Return a runner: the compiled one if it can do the work, else the plain one.

    ``requested`` is ``"compiled"`` (a requirement), ``"plain"`` or ``"auto"``; ``threads`` limits the threads of the
    compiled one. Raises ArgumentError for another name, or if the compiled runner is required and cannot do it.
    """
    check_runner(requested)
    arguments = (network, data, loss, optimizer, moments, batch_size)
    if requested == "plain":
        return PlainRunner(*arguments, network.backend.ops)
    reason = _why_not_compiled(network)
    if reason is None:
        from accelnn.training.compiled import CompiledRunner

        return CompiledRunner(*arguments, threads=threads)
    _downgrade(requested, reason)
    return PlainRunner(*arguments, _fastest_ops(network))


def choose_predictor(network: Network, x: np.ndarray, *, scores: bool = False, threads: int | None = None) -> Predictor:
    """Return the fastest way to compute outputs for inputs of the dtype of ``x``, with at most ``threads`` threads."""
    rows = max(1, min(PREDICTION_ROWS, len(x)))
    if _why_not_compiled(network) is not None:
        return PlainPredictor(network, rows, _fastest_ops(network), scores=scores)
    from accelnn.training.compiled import CompiledPredictor

    return CompiledPredictor(network, x.dtype.name, rows, scores=scores, threads=threads)


def check_runner(requested: str) -> None:
    """Raise ArgumentError if there is no runner of this name."""
    if requested not in RUNNERS:
        raise unknown_name("runner", requested, RUNNERS)


def _why_not_compiled(network: Network) -> str | None:
    """Return why the compiled runner cannot execute this network, None if it can."""
    if network.backend.name != "cpu":
        return f"the compiled runner works on the CPU and this model is on {network.backend.device}"
    from accelnn.training.lowering import why_not_lowerable

    return why_not_lowerable(network)


def _fastest_ops(network: Network) -> PlainOps:
    """Return the operations for a network that only the plain runner can execute."""
    return FusedOps() if network.backend.name == "cpu" else network.backend.ops


def _downgrade(requested: str, reason: str) -> None:
    if requested == "compiled":
        raise invalid("runner", requested, f"{reason}; use runner='auto' or runner='plain'")
    logger.info("using the plain runner: %s", reason)
