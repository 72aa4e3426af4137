"""The operations of a training step on a CUDA device: each starts kernels and matrix products, and waits for none.

They work on a :class:`DeviceNet`; the names are those that :mod:`accelnn.training.step` calls. While a graph is
recorded, what they start becomes its nodes, so every number that changes from step to step is read from device memory
by the kernels themselves: only addresses and sizes may stand in an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from accelnn_kernels import tables
from accelnn_kernels.cuda.catalog import CudaKernel, cuda_kernel

from accelnn.arrays.cuda.cublas import Gemm
from accelnn.arrays.cuda.device import Device
from accelnn.training.device_memory import DeviceMemory
from accelnn.training.lowering import Program

N_COUNTERS = 4096
"""Counters for kernels that add up in two stages: one for each stripe of columns."""


@dataclass
class Inputs:
    """Rows on the device. ``x`` is the address of (n, n_in) elements of ``dtype``, ``stride`` the distance of rows.

    ``indices`` is the address of the row numbers, int64, in the order of the epoch.
    """

    x: int
    dtype: str
    stride: int
    indices: int


@dataclass
class Targets:
    """Targets on the device: addresses of labels (int64) or rows in the model's dtype, and of weights or 0.

    ``variant`` is that of the loss's kernel; a row counts ``scale`` times, divided by the rows of the batch, or by
    their weights, if the loss ``is_mean``. ``indices`` as in :class:`Inputs`.
    """

    variant: str
    targets: int
    weights: int
    indices: int
    scale: float
    is_mean: bool


@dataclass
class Updates:
    """What the update needs: the kernel's name, addresses of flat buffers of ``size`` and of their moments."""

    name: str
    values: int
    gradients: int
    moments: tuple[int, int]
    size: int
    hyper: int
    clip_norm: float
    clip_value: float


@dataclass
class DeviceNet:
    """A program on a device in the middle of a step of ``rows`` rows.

    ``cursor``, ``keys`` and ``losses`` are the addresses of the place in the tables, of the keys of the dropout layers
    (steps, n_dropout, 2) and of the losses of the steps. ``precision`` is that of matrix products.
    """

    device: Device
    program: Program
    precision: str
    rows: int
    inputs: Inputs
    cursor: int = 0
    keys: int = 0
    n_dropout: int = 0
    losses: int = 0
    targets: Targets | None = None
    updates: Updates | None = None
    ahead: int = 0

    def __post_init__(self) -> None:
        memory = self.program.memory
        assert isinstance(memory, DeviceMemory)
        self.memory = memory
        self.element = memory.element
        self.layers = [_record(layer) for layer in self.program.layers]
        self.parameters = [_record(parameter) for parameter in self.program.parameters]
        self.parts = memory.new(_scratch_elements(self), memory.dtype)
        self.counter = memory.new(N_COUNTERS, np.int64)
        self.sums = memory.new(2)  # the squares of all gradients; the weights of the batch

    def copy_parameters(self) -> None:
        """Start the kernel that writes all parameters once more as products read them, if they read a copy."""
        if self.memory.copy != 0 and self.updates is not None:
            self.start("copy_parameters", "", self.updates.values, self.memory.copy, self.updates.size)

    def start(self, kind: str, variant: str, *arguments: float) -> None:
        """Start a kernel by its name."""
        self.device.launch(cuda_kernel(kind, variant, self.element), arguments)

    def start_number(self, number: int, *arguments: float) -> None:
        """Start a kernel that a record names."""
        kernel: CudaKernel = self.memory.kernels[number]
        self.device.launch(kernel, arguments)

    def multiply(self, a: int, b: int, c: int, rows: int, columns: int, inner: int, **options: Any) -> None:
        """Start c (rows, columns) <- op(a) op(b); ``options`` are further fields of Gemm."""
        options = {"result": self.element} | options
        product = Gemm(a, b, c, rows, columns, inner, element=self.element, precision=self.precision, **options)
        self.device.gemm(product)


def load_batch(net: DeviceNet, step: int) -> None:
    """Gather the rows of the step that is ``step`` steps ahead of the cursor."""
    net.ahead = step
    program, inputs = net.program, net.inputs
    place = (inputs.indices, net.rows, net.rows, program.n_in, program.x_batch, program.scale, program.offset)
    net.start("gather_rows", inputs.dtype, inputs.x, inputs.stride, *place, net.cursor, step)


def count_layers(net: DeviceNet) -> int:
    """Return the number of layers."""
    return len(net.layers)


def forward(net: DeviceNet, index: int) -> None:
    """Compute the output of layer ``index``."""
    layer = net.layers[index]
    _FORWARD[layer.kind](net, layer)


def backward(net: DeviceNet, index: int) -> None:
    """Turn da of layer ``index`` into dz, gradients of vectors, and the dx below."""
    layer = net.layers[index]
    if layer.dx != 0 or layer.kind in _WITH_PARAMETERS:
        _BACKWARD[layer.kind](net, layer)


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
    if parameter.kind == tables.WEIGHT:
        shape = parameter.rows, parameter.columns, net.rows
        real = net.memory.dtype.name
        net.multiply(parameter.x, parameter.dz, parameter.gradients, *shape, a_transposed=True, result=real)
    if parameter.l1 or parameter.l2 or np.isfinite(limit):
        size = parameter.rows * parameter.columns
        place = (parameter.gradients, parameter.values, size, parameter.l1, parameter.l2, limit)
        net.start("penalize", "", *place, net.parts, net.counter, net.losses, net.cursor, net.ahead)


def _dense_forward(net: DeviceNet, layer: Any) -> None:
    net.multiply(layer.x, layer.weight, layer.z, net.rows, layer.n_out, layer.n_in)
    net.start_number(layer.forward, layer.z, layer.bias, layer.a, net.rows, layer.n_out)


def _dense_backward(net: DeviceNet, layer: Any) -> None:
    _activation_gradient(net, layer, layer.da)
    if layer.dx != 0:
        net.multiply(layer.da, layer.weight, layer.dx, net.rows, layer.n_in, layer.n_out, b_transposed=True)


def _activation_gradient(net: DeviceNet, layer: Any, d: int) -> None:
    place = (d, layer.z, layer.a, layer.bias_parts, net.rows, layer.n_out)
    net.start_number(layer.backward, *place, net.parts, net.counter)


def _activation_forward(net: DeviceNet, layer: Any) -> None:
    net.start("copy", "", layer.x, layer.z, net.rows * layer.n_out)
    net.start_number(layer.forward, layer.z, layer.bias, layer.a, net.rows, layer.n_out)


def _activation_backward(net: DeviceNet, layer: Any) -> None:
    net.start("copy", "", layer.da, layer.dx, net.rows * layer.n_out)
    _activation_gradient(net, layer, layer.dx)


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


Operation: TypeAlias = Callable[[DeviceNet, Any], None]

_FORWARD: dict[int, Operation] = {
    tables.DENSE: _dense_forward,
    tables.ACTIVATION: _activation_forward,
    tables.DROPOUT: lambda net, layer: _dropout_map(net, layer, layer.x, layer.a),
    tables.BATCH_NORM: _batch_norm_forward,
    tables.BATCH_NORM_INFERENCE: _batch_norm_inference,
    tables.LAYER_NORM: _layer_norm_forward,
    tables.RESCALING: lambda net, layer: _rescaling_map(net, layer, layer.x, layer.a, layer.offset),
}

_BACKWARD: dict[int, Operation] = {
    tables.DENSE: _dense_backward,
    tables.ACTIVATION: _activation_backward,
    tables.DROPOUT: lambda net, layer: _dropout_map(net, layer, layer.da, layer.dx),
    tables.BATCH_NORM: _batch_norm_backward,
    tables.LAYER_NORM: _layer_norm_backward,
    tables.RESCALING: lambda net, layer: _rescaling_map(net, layer, layer.da, layer.dx, 0.0),
}

_WITH_PARAMETERS = frozenset({tables.DENSE, tables.BATCH_NORM, tables.LAYER_NORM})


def _record(row: np.void) -> SimpleNamespace:
    """Return a record of a table with Python's own numbers."""
    return SimpleNamespace(**{name: row[name].item() for name in row.dtype.names or ()})


def _scratch_elements(net: DeviceNet) -> int:
    """Return the elements that the parts of any sum may need."""
    from accelnn_kernels.cuda.shapes import MAX_SUM_BLOCKS, part_rows

    widest = max((layer.n_out for layer in net.layers), default=1)
    return max(2 * part_rows(net.rows) * widest, 2 * MAX_SUM_BLOCKS)
