"""Choose how the steps are executed. This is the only place that decides it, and it says why."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from accelnn_kernels.signals import signals_held

from accelnn.arrays import FusedOps, PlainOps
from accelnn.arrays.sparse_rows import SparseRows
from accelnn.arrays.typing import Array
from accelnn.errors import BackendError, invalid, unknown_name
from accelnn.messages import warn
from accelnn.network.network import Network
from accelnn.training.data import TrainingData
from accelnn.training.objective import USUAL, Objective
from accelnn.training.optimizers import Optimizer
from accelnn.training.runners.plain import PlainPredictor, PlainRunner
from accelnn.training.runners.row_blocks import BlockPredictor, BlockRunner

RUNNERS = ("auto", "compiled", "captured", "plain")

PREDICTION_ROWS = 256
"""Rows of a batch of predictions: enough for the matrix products, few enough to stay in the cache."""

DEVICE_PREDICTION_ROWS = 8192
"""The same on a CUDA device: enough rows to fill it."""

_FAST_RUNNERS = {"cpu": "compiled", "cuda": "captured"}
"""The runner that is made for a backend."""

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


@runtime_checkable
class WaitingRunner(Protocol):
    """A runner whose device works beside the host."""

    meanwhile: Callable[[], None] | None
    """What to call once, when all of the next steps are started and before anything waits for them."""


class Predictor(Protocol):
    """Computes the outputs of a network."""

    name: str

    def predict(self, x: Array) -> np.ndarray:
        """Return the outputs (n, n_out) for ``x (n, n_in)``, on the host or on the network's device, on the host."""
        ...

    def predict_on_backend(self, x: Array) -> Array:
        """Return them as an array of the network's backend."""
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
    precision: str | None = None,
    objective: Objective = USUAL,
) -> Runner:
    """Return a runner: the one that is made for the network's backend if it can do the work, else the plain one.

    ``requested`` is ``"compiled"`` (for a CPU) or ``"captured"`` (for CUDA), which are requirements, ``"plain"`` or
    ``"auto"``; ``threads`` limits the threads of the compiled one, ``precision`` is that of matrix products on CUDA.
    ``objective``: what a step minimises. Raises ArgumentError for another name, or if a runner is required and cannot
    do it.
    """
    check_runner(requested)
    network.check_arrays(to_train=True)
    arguments = (network, data, loss, optimizer, moments, batch_size)
    if requested == "plain":
        return PlainRunner(*arguments, network.backend.ops, objective)
    fast = _FAST_RUNNERS.get(network.backend.name, "plain")
    reason = _why_not(fast if requested == "auto" else requested, network)
    if reason is None and fast == "captured":
        from accelnn.training.runners.captured import CapturedRunner

        try:
            return CapturedRunner(*arguments, precision=precision or network.dtype, objective=objective)
        except BackendError as error:
            reason = str(error)
    elif reason is None:
        return _compiled_runner(*arguments, threads=threads, objective=objective)
    _downgrade(requested, reason)
    return PlainRunner(*arguments, _fastest_ops(network), objective)


def _compiled_runner(
    network: Network,
    data: TrainingData,
    loss: str,
    optimizer: Optimizer,
    moments: tuple[Array, ...],
    batch_size: int,
    **options: Any,
) -> Runner:
    from accelnn.training.runners.compiled import CompiledRunner

    def make(dense: TrainingData) -> CompiledRunner:
        return CompiledRunner(network, dense, loss, optimizer, moments, batch_size, **options)

    return BlockRunner(data, batch_size, make) if isinstance(data.x, SparseRows) else make(data)


def choose_predictor(network: Network, x: Array, *, scores: bool = False, threads: int | None = None) -> Predictor:
    """Return the fastest way to compute outputs for inputs of the dtype of ``x``, with at most ``threads`` threads."""
    network.check_arrays(to_train=False)
    dense = _dense_predictor(network, x, scores, threads)
    return BlockPredictor(network, dense) if isinstance(x, SparseRows) else dense


def _dense_predictor(network: Network, x: Array, scores: bool, threads: int | None) -> Predictor:
    fast = _FAST_RUNNERS.get(network.backend.name, "plain")
    rows = max(1, min(DEVICE_PREDICTION_ROWS if fast == "captured" else PREDICTION_ROWS, len(x)))
    if _why_not(fast, network) is not None:
        return PlainPredictor(network, rows, _fastest_ops(network), scores=scores)
    if fast == "captured":
        from accelnn.training.runners.captured import CapturedPredictor

        return CapturedPredictor(network, x.dtype.name, rows, scores=scores)
    from accelnn.training.runners.compiled import CompiledPredictor

    return CompiledPredictor(network, x.dtype.name, rows, scores=scores, threads=threads, steps=-(-len(x) // rows))


def check_runner(requested: str) -> None:
    """Raise ArgumentError if there is no runner of this name."""
    if requested not in RUNNERS:
        raise unknown_name("runner", requested, RUNNERS)


def _why_not(runner: str, network: Network) -> str | None:
    """Return why a runner other than the plain one cannot execute this network, None if it can."""
    if _FAST_RUNNERS.get(network.backend.name) != runner:
        place = {"compiled": "the CPU", "captured": "CUDA devices"}.get(runner)
        device = network.backend.device
        return f"no other works on {device}" if place is None else f"that one works on {place}, this model on {device}"
    _import_compiler()
    from accelnn_kernels.compiler import why_nothing_compiles

    from accelnn.training.runners.lowering import why_not_lowerable

    reason = why_nothing_compiles() if runner == "compiled" else None
    return reason or why_not_lowerable(network)


@cache
def _import_compiler() -> None:
    """Import Numba, once, while signals wait: an import that is interrupted leaves a half of it behind."""
    with signals_held():
        import accelnn.training.runners.lowering  # noqa: F401


def _fastest_ops(network: Network) -> PlainOps:
    """Return the operations for a network that only the plain runner can execute."""
    from accelnn_kernels.compiler import why_nothing_compiles

    if network.backend.name != "cpu":
        return network.backend.ops
    reason = why_nothing_compiles()
    if reason is None:
        return FusedOps()
    if not _slowness_told.is_set():
        _slowness_told.set()
        message = f"{reason}: models train and predict with NumPy alone, slower"
        warn(message)
    return PlainOps()


_slowness_told = threading.Event()


def _downgrade(requested: str, reason: str) -> None:
    if requested != "auto":
        raise invalid("runner", requested, f"{reason}; use runner='auto' or runner='plain'")
    logger.info("using the plain runner: %s", reason)
