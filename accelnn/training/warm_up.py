"""Compile ahead: fill the cache of machine code, so that no training has to wait for the compiler."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelnn_kernels import notice

from accelnn.errors import AccelnnError, unknown_name
from accelnn.network.layers import Dense
from accelnn.network.network import DTYPES
from accelnn.training.sequential import Sequential

CHOICES = (*DTYPES, "all")

KernelName = tuple[str, str, str]


@dataclass(frozen=True)
class WarmUp:
    """What ``warmup`` did: how much machine code there is now, how much of it is new, and where it lies.

    ``n_kernels`` counts kernels and loops, ``n_compiled`` those that were not in the cache, ``seconds`` is the time it
    took, ``cache_directory`` the folder of the cache.
    """

    n_kernels: int
    n_compiled: int
    seconds: float
    cache_directory: Path


def warmup(dtype: str = "float32", *, progress: Callable[[int, int], None] | None = None) -> WarmUp:
    """Compile everything that training and predictions on the CPU can need, unless the cache has it already.

    All activations, losses, optimizers and layers are compiled; the sizes of a network, its depth, the batch size and
    the seed never need anything new. It takes about half a minute at the first time, and less than a second after that.

    Args:
        dtype: ``"float32"``, ``"float64"`` or ``"all"``: that of the models that will be trained.
        progress: called with how many are done and how many there are, after each of them.

    Raises:
        ArgumentError: another ``dtype``.
        AccelnnError: nothing can be kept, because no folder for it can be written, or Numba compiles nothing.

    """
    if dtype not in CHOICES:
        raise unknown_name("dtype", dtype, CHOICES)
    from accelnn_kernels import compiler, inventory

    reason = compiler.why_nothing_compiles()
    if reason is not None:
        raise AccelnnError(f"nothing to warm up: {reason}")
    directory = compiler.cache_directory()
    if directory is None:
        raise AccelnnError("nothing to warm up: set ACCELNN_CACHE_DIR to a directory that can be written")
    names = list(inventory.kernel_names(DTYPES if dtype == "all" else (dtype,)))
    start_s, n_before = time.perf_counter(), len(compiler.compiled_names)
    with notice.listening(lambda line: None):  # whoever warms up knows that it compiles
        _load_all(names, progress or (lambda done, total: None))
    n_compiled = len(compiler.compiled_names) - n_before
    return WarmUp(len(names) + len(_LOOPS), n_compiled, time.perf_counter() - start_s, directory)


def _load_all(names: Sequence[KernelName], progress: Callable[[int, int], None]) -> None:
    from accelnn_kernels.catalog import kernel

    total = len(names) + len(_LOOPS)
    for done, name in enumerate(names, 1):
        _ = kernel(*name).address
        progress(done, total)
    model, x = Sequential([Dense(1)], backend="cpu", seed=0), np.zeros((1, 1), np.float32)
    for done, run_loop in enumerate(_LOOPS, len(names) + 1):
        run_loop(model, x)
        progress(done, total)


def _train(model: Sequential, x: np.ndarray) -> None:
    model.fit(x, x, epochs=1, batch_size=1, verbose=0, runner="compiled")


def _predict(model: Sequential, x: np.ndarray) -> None:
    model.predict(x)


_LOOPS = (_train, _predict)
"""One loop serves all networks and dtypes, so the smallest one makes it ready."""
