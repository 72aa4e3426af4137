"""Section persistent_phases: what the parts of a step of the persistent kernel cost, by leaving parts out.

The kernel is made of whatever step it is given, so it is made of steps that lack something as well. What these compute
is of no use. The parts overlap, so their times do not add up to that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from accelnn.training.runners import persistent, step
from accelnn.training.runners.plain_operations import (
    backward,
    count_layers,
    forward,
    load_batch,
    output_gradient,
    synchronize,
    update,
)
from benchmarks.gpu_check.child import Skipped, Task
from benchmarks.gpu_check.step_anatomy import Steps, device_us, name_of
from benchmarks.work import load_rows, synthetic_rows

UNITS = (784, 128, 64, 10)
BATCHES = (128, 10)
ROUNDS = 7


def barriers(net: Any, number: int) -> Any:
    """Meet twice, as a step does, and do nothing but look up the rows of the batch."""
    load_batch(net, number)
    backward(net, 0)
    backward(net, 0)
    return net.limits[0] - net.limits[0]  # 0 as one of the kernel's reals


def first_layer(net: Any, number: int) -> Any:
    """Multiply by the first layer's weight, and add up what all blocks have."""
    load_batch(net, number)
    forward(net, 0)
    backward(net, 0)
    return net.limits[0] - net.limits[0]  # 0 as one of the kernel's reals


def without_rows(net: Any, number: int) -> Any:
    """Leave out the other layers and the loss."""
    load_batch(net, number)
    forward(net, 0)
    backward(net, 0)
    penalty = update(net, number)
    synchronize(net)
    return penalty


def without_update(net: Any, number: int) -> Any:
    """Leave out the gradients of the weights and the update."""
    load_batch(net, number)
    for layer in range(count_layers(net)):
        forward(net, layer)
    loss = output_gradient(net)
    for layer in range(count_layers(net) - 1, -1, -1):
        backward(net, layer)
    return loss


STEPS: dict[str, Callable[[Any, int], Any]] = {
    "whole": step.train_step,
    "barriers": barriers,
    "first_layer": first_layer,
    "without_rows": without_rows,
    "without_update": without_update,
}


def measure(task: Task) -> None:
    x, y = synthetic_rows(4096) if task.quick else load_rows(task.options["data"])
    for batch in BATCHES:
        task.attempt(f"{name_of(UNITS)} batch {batch}", lambda b=batch: all_steps(x[:32768], y[:32768], b))


def all_steps(x: np.ndarray, y: np.ndarray, batch_size: int) -> dict[str, Any]:
    """Return microseconds per step (median, smallest, largest), timed in turns."""
    made = {}
    for name, train_step in STEPS.items():
        with made_of(train_step):
            made[name] = Steps(x, y, UNITS, batch_size)
        if made[name].form != "PersistentSteps":
            raise Skipped("the steps are no persistent kernel here")
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, steps in made.items():
            times[name].append(device_us(steps) / steps.n_steps)
    return {name: {"us_per_step": [median(own), min(own), max(own)]} for name, own in times.items()}


@contextmanager
def made_of(train_step: Callable[[Any, int], Any]) -> Iterator[None]:
    """Let persistent kernels be made of another step."""
    before = persistent.step
    persistent.step = SimpleNamespace(train_step=train_step)  # type: ignore[assignment]
    try:
        yield
    finally:
        persistent.step = before
