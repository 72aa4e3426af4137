"""The training step, written once. Every runner executes this source.

The operations are looked up by name. As it stands, the names are those of the plain runner; the compiled runner binds
a copy of these functions to its compiled operations of the same names. ``net`` is whatever the operations work on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelnn.training.runners.plain_operations import (
    abandoned,
    backward,
    count_layers,
    forward,
    load_batch,
    output_gradient,
    store_output,
    synchronize,
    update,
)


def train_step(net: Any, step: int) -> float:
    """Train on mini-batch ``step`` of the epoch; return its loss, penalties included, before the update.

    Where several threads run this, each works on its own rows of the batch, then on its own share of the parameters,
    and returns its part of the loss.
    """
    load_batch(net, step)
    for layer in range(count_layers(net)):
        forward(net, layer)
    loss = output_gradient(net)
    for layer in range(count_layers(net) - 1, -1, -1):
        backward(net, layer)
    synchronize(net)
    penalty = update(net, step)
    synchronize(net)
    return loss + penalty


def train_steps(net: Any, first: int, last: int, losses: np.ndarray) -> None:
    """Train on the mini-batches [first, last) of the epoch and write their losses, float64 (last - first,)."""
    for step in range(first, last):
        losses[step - first] = train_step(net, step)
        if abandoned(net):
            break


def predict_steps(net: Any, first: int, last: int) -> None:
    """Compute the outputs for the batches [first, last)."""
    for step in range(first, last):
        load_batch(net, step)
        for layer in range(count_layers(net)):
            forward(net, layer)
        store_output(net, step)
        synchronize(net)  # a last, partial batch is shared out differently: its rows must not be filled too early
