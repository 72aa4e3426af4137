"""The operations of a training step in plain array code: any backend, any layer, no compiler.

They work on a :class:`PlainNet`. The names are those that :mod:`accelnn.training.runners.step` calls; their compiled
counterparts are in ``accelnn_kernels.program``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accelnn.arrays import PlainOps, reference
from accelnn.arrays.sparse_rows import SparseRows
from accelnn.arrays.typing import Array
from accelnn.network.layers.base import ActivatedLayer, ForwardContext
from accelnn.network.network import Network
from accelnn.training.objective import USUAL, Objective


@dataclass
class PlainNet:
    """A network in the middle of a step.

    ``x``, ``y`` and ``weights`` are the data set on the backend; ``weights`` may be None, ``x`` sparse on the host.
    ``hyper`` and ``dropout_keys`` have one row per step, beginning with step ``first_step``. ``scores`` says that the
    loss, or the caller, wants the values before the output activation. ``ops`` are the operations of layers and loss.
    """

    network: Network
    x: Array
    batch_size: int
    scores: bool
    ops: PlainOps
    y: Array = None
    weights: Array = None
    loss: str = ""
    update_name: str = ""
    moments: tuple[Array, ...] = ()
    clip_norm: float | None = None
    clip_value: float | None = None
    objective: Objective = USUAL
    permutation: Array = None
    hyper: np.ndarray | None = None
    dropout_keys: np.ndarray | None = None
    first_step: int = 0
    predictions: Array = None
    context: ForwardContext | None = None
    rows: Array = None
    values: Array = None
    first_trained: int = field(init=False)

    def __post_init__(self) -> None:
        trained = [i for i, layer in enumerate(self.network.layers) if layer.parameters]
        self.first_trained = trained[0] if trained else 0


def load_batch(net: PlainNet, step: int) -> None:
    """Take the rows of mini-batch ``step`` and this step's dropout masks."""
    start = step * net.batch_size
    net.rows = net.permutation[start : min(start + net.batch_size, net.permutation.shape[0])]
    net.values = _inputs(net)
    keys = None if net.dropout_keys is None else net.dropout_keys[step - net.first_step]
    net.context = net.network.context(training=net.y is not None, dropout_keys=keys, ops=net.ops)


def _inputs(net: PlainNet) -> Array:
    """Return the inputs of the batch in the model's dtype."""
    backend = net.network.backend
    if isinstance(net.x, SparseRows) or (isinstance(net.x, np.ndarray) and backend.xp is not np):
        return backend.asarray(net.x[backend.to_host(net.rows)], dtype=net.network.dtype)
    return reference.gather(net.x, net.rows, net.network.dtype)


def count_layers(net: PlainNet) -> int:
    """Return the number of layers."""
    return len(net.network.layers)


def forward(net: PlainNet, index: int) -> None:
    """Replace ``values``, the output of the layer below, by the output of layer ``index``."""
    layer: Any = net.network.layers[index]
    if net.scores and index == count_layers(net) - 1 and isinstance(layer, ActivatedLayer):
        net.values = layer.forward(net.values, net.context, activate=False)  # type: ignore[arg-type]
    else:
        net.values = layer.forward(net.values, net.context)


def output_gradient(net: PlainNet) -> float:
    """Replace ``values``, the output, by the gradient of the loss with respect to it; return the loss."""
    xp = net.network.backend.xp
    weights = None if net.weights is None else xp.take(net.weights, net.rows, axis=0)
    loss, net.values = net.ops.loss_and_gradient(net.loss, net.values, xp.take(net.y, net.rows, axis=0), weights)
    if net.objective.loss_scale == 1.0:
        return float(loss)
    net.values = net.values * net.objective.loss_scale
    return float(loss) * net.objective.loss_scale


def backward(net: PlainNet, index: int) -> None:
    """Replace ``values``, the gradient of the output of layer ``index``, by that of its input."""
    layer = net.network.layers[index]
    if index > net.first_trained:
        net.values = layer.backward(net.values)
    elif index == net.first_trained:
        layer.backward_parameters(net.values)


def update(net: PlainNet, step: int) -> float:
    """Add penalties, clip, and take the optimizer's step on the flat arena; return the penalty before the step."""
    penalty, share = 0.0, _penalty_share(net)
    for parameter in net.network.arena.parameters:
        if parameter.l1 or parameter.l2:
            factors = share * parameter.l1, share * parameter.l2
            penalty += float(reference.penalty(parameter.values, *factors))
            parameter.gradients[...] = reference.penalized_gradient(parameter.gradients, parameter.values, *factors)
    _take_step(net, _clipped(net), step)
    return penalty


def _penalty_share(net: PlainNet) -> float:
    """Return the part of the penalties that belongs to this batch."""
    if not net.objective.penalty_per_row:
        return 1.0
    if net.weights is None:
        return 1.0 / len(net.rows)
    total = float(net.network.backend.xp.sum(net.network.backend.xp.take(net.weights, net.rows, axis=0)))
    return 1.0 / total if total > 0.0 else 0.0


def _clipped(net: PlainNet) -> Array:
    """Return all gradients, flat, kept within ``clip_value`` or scaled to the norm ``clip_norm``."""
    gradients = net.network.arena.gradients
    if net.clip_value is not None:
        gradients = reference.clip_by_value(gradients, net.clip_value)
    if net.clip_norm is not None:
        gradients = gradients * reference.clip_scale(reference.global_norm([gradients]), net.clip_norm)
    return gradients


def _take_step(net: PlainNet, gradients: Array, step: int) -> None:
    arena = net.network.arena
    hyper = [float(h) for h in net.hyper[step - net.first_step]]  # type: ignore[index]
    formula = reference.UPDATES[net.update_name]
    arena.values[...], moments = formula.update(arena.values, gradients, net.moments, hyper)
    for kept, new in zip(net.moments, moments, strict=True):
        kept[...] = new


def store_output(net: PlainNet, step: int) -> None:
    """Copy the output to its rows of the predictions, which lie on the host or on the backend."""
    start = step * net.batch_size
    output = net.network.backend.to_host(net.values) if isinstance(net.predictions, np.ndarray) else net.values
    net.predictions[start : start + output.shape[0]] = output


def synchronize(net: PlainNet) -> None:
    """Do nothing: there is one thread."""


def abandoned(net: PlainNet) -> bool:
    """Return False: there is no team that could give up."""
    return False
