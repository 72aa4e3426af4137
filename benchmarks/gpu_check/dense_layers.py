"""Section dense_layers: a step with one launch for each pass of a dense layer, beside a step with cuBLAS's products.

The results say where ``accelnn.training.runners.fused_layers.MAX_MULTIPLICATIONS`` belongs.
"""

from __future__ import annotations

import itertools
from statistics import median
from typing import Any

import numpy as np

from accelnn.training.runners import fused_layers
from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.step_anatomy import Replays, device_us, name_of
from benchmarks.work import load_rows, synthetic_rows

NETS = ((784, 128, 64, 10), (784, 512, 256, 10))
BATCHES = (10, 32, 128, 512, 2048)
ROUNDS = 7
FORMS = {"fused": 1 << 62, "products": 0}
"""What a step is made of: the largest product of a layer that may be a launch of its own."""


def measure(task: Task) -> None:
    x, y = synthetic_rows(4096) if task.quick else load_rows(task.options["data"])
    for units in NETS:
        for batch in BATCHES:
            key = f"{name_of(units)} batch {batch}"
            task.attempt(key, lambda u=units, b=batch: both(x[:32768], y[:32768], u, b))


def both(x: np.ndarray, y: np.ndarray, units: tuple[int, ...], batch_size: int) -> dict[str, Any]:
    """Return microseconds per step (median, smallest, largest) and nodes of both forms, timed in turns."""
    forms = {name: _replays(x, y, units, batch_size, limit) for name, limit in FORMS.items()}
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, replays in forms.items():
            times[name].append(device_us(replays) / replays.n_steps)
    largest = batch_size * max(a * b for a, b in itertools.pairwise(units))
    result: dict[str, Any] = {"largest_multiplications": largest}
    for name, own in times.items():
        result[name] = {"us_per_step": [median(own), min(own), max(own)], "nodes": forms[name].nodes_of_a_step}
    result["products_over_fused"] = median(times["products"]) / median(times["fused"])
    return result


def _replays(x: np.ndarray, y: np.ndarray, units: tuple[int, ...], batch_size: int, limit: int) -> Replays:
    before = fused_layers.MAX_MULTIPLICATIONS
    fused_layers.MAX_MULTIPLICATIONS = limit
    try:
        return Replays(x, y, units, batch_size)
    finally:
        fused_layers.MAX_MULTIPLICATIONS = before
