"""Dense layers of small networks on a CUDA device: one launch forward and one backward for each.

The step of a small network takes as long as its nodes in the graph are many. With these launches a network of L dense
layers needs 2 L + 2 nodes: the first layer gathers its inputs itself, the gradient of the layer below is finished with
its activation's derivative, and gradients of weight and bias come along. A large layer is better off with cuBLAS.
"""

from __future__ import annotations

from typing import Any

from accelnn_kernels import tables

from accelnn.training.runners.captured_layers import activation_gradient
from accelnn.training.runners.device_net import DeviceNet

MAX_MULTIPLICATIONS = 1 << 26
"""Multiplications of a layer's product up to which it is a launch of its own. A prediction; nothing was measured.

Its threads read 128 bytes per 64 multiplications, so a multiprocessor does at most half of what it could, and 2^26 take
about 5 us on an H100: what the launches take that cuBLAS needs beside it, for bias, activation and rows of the batch.
"""


def can_be_fused(net: DeviceNet) -> bool:
    """Return whether all of a net's layers are small dense ones whose products are as precise as its dtype."""
    if net.precision != net.memory.dtype.name or not net.layers:
        return False
    return all(_is_small_and_dense(net, layer) for layer in net.layers)


def _is_small_and_dense(net: DeviceNet, layer: Any) -> bool:
    if layer.kind != tables.DENSE or net.memory.variant(layer.forward) == "softmax":
        return False
    return bool(net.rows * layer.n_in * layer.n_out <= MAX_MULTIPLICATIONS)


def forward(net: DeviceNet, index: int) -> None:
    """Start a <- g(x W + b); the first layer gathers x."""
    layer, inputs = net.layers[index], net.inputs
    activation = net.memory.variant(layer.forward)
    place = (layer.weight, layer.bias, layer.z, layer.a, net.rows, layer.n_in, layer.n_out)
    if index > 0:
        net.start("dense_forward", activation, layer.x, *place)
        return
    source = (inputs.x, inputs.stride, inputs.indices)
    net.start("dense_forward_gathered", f"{activation}.{inputs.dtype}", *source, *place, *_of_gathering(net))


def backward(net: DeviceNet, index: int) -> None:
    """Start the gradients of weight and bias from dz, and dz of the layer below."""
    layer, inputs = net.layers[index], net.inputs
    d_bias = layer.bias_parts
    if index == len(net.layers) - 1 and net.memory.variant(layer.backward) != "identity":
        activation_gradient(net, layer, layer.da)  # that of the output: nobody above has done it
        d_bias = 0
    sums = (_d_weight(net, layer), d_bias, net.rows, layer.n_in, layer.n_out)
    if index > 0:
        below = net.layers[index - 1]
        place = (layer.da, layer.x, layer.weight, below.z, below.a, layer.dx)
        net.start("dense_backward", net.memory.variant(below.backward), *place, *sums)
        return
    source = (inputs.x, inputs.stride, inputs.indices)
    net.start("dense_backward_gathered", inputs.dtype, layer.da, *source, *sums, *_of_gathering(net))


def _of_gathering(net: DeviceNet) -> tuple[float, ...]:
    return net.program.scale, net.program.offset, net.cursor, net.ahead


def _d_weight(net: DeviceNet, layer: Any) -> int:
    """Return the address of the gradient of a layer's weight."""
    of_weights = (p for p in net.parameters if p.kind == tables.WEIGHT)
    return next(int(parameter.gradients) for parameter in of_weights if parameter.dz == layer.da)
