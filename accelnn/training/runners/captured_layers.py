"""The layers of a network on a CUDA device: each starts its kernels and matrix products, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from accelnn_kernels import tables

from accelnn.training.runners.device_net import DeviceNet

Operation: TypeAlias = Callable[[DeviceNet, Any], None]
"""Takes the net and a record of its layers."""


def _dense_forward(net: DeviceNet, layer: Any) -> None:
    net.multiply(layer.x, layer.weight, layer.z, net.rows, layer.n_out, layer.n_in)
    net.start_number(layer.forward, layer.z, layer.bias, layer.a, net.rows, layer.n_out)


def _dense_backward(net: DeviceNet, layer: Any) -> None:
    activation_gradient(net, layer, layer.da)
    if layer.dx != 0:
        net.multiply(layer.da, layer.weight, layer.dx, net.rows, layer.n_in, layer.n_out, b_transposed=True)


def activation_gradient(net: DeviceNet, layer: Any, d: int) -> None:
    """Start d <- d g', from da to dz, and the sums of its rows."""
    place = (d, layer.z, layer.a, layer.bias_parts, net.rows, layer.n_out)
    net.start_number(layer.backward, *place, net.parts, net.counter)


def _activation_forward(net: DeviceNet, layer: Any) -> None:
    net.start("copy", "", layer.x, layer.z, net.rows * layer.n_out)
    net.start_number(layer.forward, layer.z, layer.bias, layer.a, net.rows, layer.n_out)


def _activation_backward(net: DeviceNet, layer: Any) -> None:
    net.start("copy", "", layer.da, layer.dx, net.rows * layer.n_out)
    activation_gradient(net, layer, layer.dx)


def _dropout_map(net: DeviceNet, layer: Any, source: int, target: int) -> None:
    """Start dropout, which is its own gradient: key_0 is the distance of this layer's keys from step to step."""
    keys = net.keys + 16 * layer.dropout_index
    threshold = int(np.uint32(layer.rate * 4294967296.0))
    place = (source, target, net.rows, layer.n_out, 0, 2 * net.n_dropout, 0, layer.rate)
    net.start("dropout", "", *place, keys, net.cursor, net.ahead, threshold, 1.0 / (1.0 - layer.rate))


def _rescaling_map(net: DeviceNet, layer: Any, source: int, target: int, offset: float) -> None:
    net.start("rescaling", "", source, target, net.rows * layer.n_out, layer.scale, offset)


def _batch_norm_forward(net: DeviceNet, layer: Any) -> None:
    n, scratch, mean = layer.n_out, (net.parts, net.counter), 1.0 / net.rows
    net.start("column_sums", "", layer.x, net.rows, n, layer.mean, *scratch)
    net.start("scale", "", layer.mean, n, mean)
    net.start("column_squares", "", layer.x, layer.mean, net.rows, n, layer.variance, *scratch)
    net.start("scale", "", layer.variance, n, mean)
    net.start("running_average", "", layer.running_mean, layer.mean, n, layer.momentum)
    net.start("running_average", "", layer.running_variance, layer.variance, n, layer.momentum)
    _batch_norm_apply(net, layer, layer.mean, layer.variance)


def _batch_norm_inference(net: DeviceNet, layer: Any) -> None:
    _batch_norm_apply(net, layer, layer.running_mean, layer.running_variance)


def _batch_norm_apply(net: DeviceNet, layer: Any, mean: int, variance: int) -> None:
    n = layer.n_out
    net.start("inverse_deviation", "", variance, n, layer.epsilon, layer.inverse)
    net.start("batch_norm", "", layer.x, mean, layer.inverse, layer.weight, layer.bias, layer.a, net.rows, n)


def _batch_norm_backward(net: DeviceNet, layer: Any) -> None:
    n, statistics, sums = layer.n_out, (layer.mean, layer.inverse), (layer.weight_parts, layer.bias_parts)
    place = (layer.da, layer.x, *statistics)
    net.start("batch_norm_sums", "", *place, *sums, net.rows, n, net.parts, net.counter)
    if layer.dx != 0:
        net.start("batch_norm_gradient", "", *place, layer.weight, *sums, layer.dx, net.rows, n, net.rows)


def _layer_norm_forward(net: DeviceNet, layer: Any) -> None:
    net.start("layer_norm", "", layer.x, layer.weight, layer.bias, layer.a, net.rows, layer.n_out, layer.epsilon)


def _layer_norm_backward(net: DeviceNet, layer: Any) -> None:
    dx = layer.dx if layer.dx != 0 else layer.z
    sums = (layer.weight_parts, layer.bias_parts)
    place = (layer.da, layer.x, layer.weight, dx, *sums, net.rows, layer.n_out, layer.epsilon)
    net.start("layer_norm_gradient", "", *place, net.parts, net.counter)


FORWARD: dict[int, Operation] = {
    tables.DENSE: _dense_forward,
    tables.ACTIVATION: _activation_forward,
    tables.DROPOUT: lambda net, layer: _dropout_map(net, layer, layer.x, layer.a),
    tables.BATCH_NORM: _batch_norm_forward,
    tables.BATCH_NORM_INFERENCE: _batch_norm_inference,
    tables.LAYER_NORM: _layer_norm_forward,
    tables.RESCALING: lambda net, layer: _rescaling_map(net, layer, layer.x, layer.a, layer.offset),
}

BACKWARD: dict[int, Operation] = {
    tables.DENSE: _dense_backward,
    tables.ACTIVATION: _activation_backward,
    tables.DROPOUT: lambda net, layer: _dropout_map(net, layer, layer.da, layer.dx),
    tables.BATCH_NORM: _batch_norm_backward,
    tables.LAYER_NORM: _layer_norm_backward,
    tables.RESCALING: lambda net, layer: _rescaling_map(net, layer, layer.da, layer.dx, 0.0),
}

WITH_PARAMETERS = frozenset({tables.DENSE, tables.BATCH_NORM, tables.LAYER_NORM})
