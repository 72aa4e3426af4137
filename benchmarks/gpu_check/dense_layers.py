"""Section dense_layers: a step of the persistent kernel, of a launch for each pass of a layer, of cuBLAS's products.

The results say where ``accelnn.training.runners.fused_layers.MAX_MULTIPLICATIONS`` belongs, and the limits in
``accelnn.training.runners.persistent``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np

from accelnn.training.runners import fused_layers, persistent
from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.step_anatomy import Steps, device_us, name_of
from benchmarks.work import load_rows, synthetic_rows

NETS = ((784, 128, 64, 10), (784, 512, 256, 10))
BATCHES = (10, 32, 128, 512, 2048)
ROUNDS = 7
MORE = 1 << 62
FORMS = {"persistent": (MORE, MORE, MORE), "fused": (MORE, 0, 0), "products": (0, 0, 0)}
"""What a step is made of: the largest product of a launch; the rows and inner weights of the persistent kernel."""

LIMITS = ((fused_layers, "MAX_MULTIPLICATIONS"), (persistent, "MAX_ROWS"), (persistent, "MAX_INNER_WEIGHTS"))


def measure(task: Task) -> None:
    x, y = synthetic_rows(4096) if task.quick else load_rows(task.options["data"])
    for units in NETS:
        for batch in BATCHES:
            key = f"{name_of(units)} batch {batch}"
            task.attempt(key, lambda u=units, b=batch: all_forms(x[:32768], y[:32768], u, b))


def all_forms(x: np.ndarray, y: np.ndarray, units: tuple[int, ...], batch_size: int) -> dict[str, Any]:
    """Return microseconds per step (median, smallest, largest) and nodes of all forms, timed in turns."""
    forms = {name: _steps(x, y, units, batch_size, limits) for name, limits in FORMS.items()}
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, steps in forms.items():
            times[name].append(device_us(steps) / steps.n_steps)
    largest = batch_size * max(a * b for a, b in itertools.pairwise(units))
    result: dict[str, Any] = {"largest_multiplications": largest}
    for name, own in times.items():
        form = {"us_per_step": [median(own), min(own), max(own)], "nodes": forms[name].nodes_of_a_step}
        result[name] = form | {"form": forms[name].form}
    result["products_over_fused"] = median(times["products"]) / median(times["fused"])
    result["fused_over_persistent"] = median(times["fused"]) / median(times["persistent"])
    return result


def _steps(x: np.ndarray, y: np.ndarray, units: tuple[int, ...], batch_size: int, limits: tuple[int, ...]) -> Steps:
    with _limits(limits):
        return Steps(x, y, units, batch_size)


@contextmanager
def _limits(limits: tuple[int, ...]) -> Iterator[None]:
    before = [getattr(module, name) for module, name in LIMITS]
    _set(limits)
    try:
        yield
    finally:
        _set(tuple(before))


def _set(limits: tuple[int, ...]) -> None:
    for (module, name), limit in zip(LIMITS, limits, strict=True):
        setattr(module, name, limit)
