"""The operations of a training step on a CUDA device: each starts kernels and matrix products, and waits for none.

They work on a :class:`DeviceNet`; the names are those that :mod:`accelnn.training.runners.step` calls. While a graph is
recorded, what they start becomes its nodes, so every number that changes from step to step is read from device memory
by the kernels themselves: only addresses and sizes may stand in an argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from accelnn_kernels import tables

from accelnn.training.runners import fused_layers
from accelnn.training.runners.captured_layers import BACKWARD, FORWARD, WITH_PARAMETERS
from accelnn.training.runners.device_net import DeviceNet


def load_batch(net: DeviceNet, step: int) -> None:
    """Gather the rows of the step that is ``step`` steps ahead of the cursor, unless the first layer does it."""
    net.ahead = step
    if net.fused:
        return
    program, inputs = net.program, net.inputs
    place = (inputs.indices, net.rows, net.rows, program.n_in, program.x_batch, program.scale, program.offset)
    net.start("gather_rows", inputs.dtype, inputs.x, inputs.stride, *place, net.cursor, step)


def count_layers(net: DeviceNet) -> int:
    """Return the number of layers."""
    return len(net.layers)


def forward(net: DeviceNet, index: int) -> None:
    """Compute the output of layer ``index``."""
    if net.fused:
        fused_layers.forward(net, index)
        return
    layer = net.layers[index]
    FORWARD[layer.kind](net, layer)


def backward(net: DeviceNet, index: int) -> None:
    """Turn da of layer ``index`` into dz, gradients of vectors, and the dx below."""
    if net.fused:
        fused_layers.backward(net, index)
        return
    layer = net.layers[index]
    if layer.dx != 0 or layer.kind in WITH_PARAMETERS:
        BACKWARD[layer.kind](net, layer)


def output_gradient(net: DeviceNet) -> float:
    """Write the gradient of the loss; the loss itself goes to its slot on the device, and 0 is returned."""
    t, program = net.targets, net.program
    assert t is not None
    total = 0
    if t.is_mean and t.weights != 0:
        total = net.sums + net.memory.dtype.itemsize
        net.start("sum_weights", "", t.weights, t.indices, net.rows, net.cursor, net.ahead, total)
    factor = t.scale / net.rows if t.is_mean and t.weights == 0 else t.scale
    place = (program.output, program.d_output, t.targets, t.weights, factor, net.rows, program.n_out)
    scratch = (t.indices, net.cursor, net.ahead, total, net.parts, net.counter, net.losses)
    net.start("loss", t.variant, *place, *scratch)
    return 0.0


def update(net: DeviceNet, step: int) -> float:
    """Compute the gradients of weights, add penalties, clip, and take the optimizer's step on the arena."""
    u = net.updates
    assert u is not None
    for parameter in net.parameters:
        _finish_gradient(net, parameter, u.clip_value)
    squares = net.sums if u.clip_norm > 0.0 else 0
    if squares != 0:
        net.start("sum_of_squares", "", u.gradients, u.size, net.parts, net.counter, squares)
    place = (u.values, u.gradients, *u.moments, u.hyper, u.size, net.cursor, step)
    net.start("update", u.name, *place, squares, u.clip_norm, net.memory.copy)
    return 0.0


def store_output(net: DeviceNet, step: int) -> None:
    """Leave the output where it is: whoever wants it fetches it from the device."""


def synchronize(net: DeviceNet) -> None:
    """Do nothing: the stream keeps the order."""


def abandoned(net: DeviceNet) -> bool:
    """Return False: there is no team that could give up."""
    return False


def _finish_gradient(net: DeviceNet, parameter: Any, limit: float) -> None:
    if parameter.kind == tables.WEIGHT and not net.fused:
        shape = parameter.rows, parameter.columns, net.rows
        real = net.memory.dtype.name
        net.multiply(parameter.x, parameter.dz, parameter.gradients, *shape, a_transposed=True, result=real)
    if parameter.l1 or parameter.l2 or np.isfinite(limit):
        size, share = parameter.rows * parameter.columns, net.rows if net.penalty_per_row else 1
        place = (parameter.gradients, parameter.values, size, parameter.l1 / share, parameter.l2 / share, limit)
        net.start("penalize", "", *place, net.parts, net.counter, net.losses, net.cursor, net.ahead)
