"""A lowered network on a CUDA device in the middle of a step: where everything lies, and how work is started."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from accelnn_kernels.cuda.catalog import CudaKernel, cuda_kernel
from accelnn_kernels.cuda.shapes import MAX_SUM_BLOCKS, part_rows

from accelnn.arrays.cuda.cublas import Gemm
from accelnn.arrays.cuda.device import Device
from accelnn.training.runners.device_memory import DeviceMemory
from accelnn.training.runners.lowering import Program

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
    (steps, n_dropout, 2) and of the losses of the steps. ``precision`` is that of matrix products. ``fused``: each
    dense layer is one launch forward and one backward, see :mod:`.fused_layers`. ``penalty_per_row``:
    penalties are divided by ``rows``.
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
    fused: bool = False
    penalty_per_row: bool = False

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


def _record(row: np.void) -> SimpleNamespace:
    """Return a record of a table with Python's own numbers."""
    return SimpleNamespace(**{name: row[name].item() for name in row.dtype.names or ()})


def _scratch_elements(net: DeviceNet) -> int:
    """Return the elements that the parts of any sum may need."""
    widest = max((layer.n_out for layer in net.layers), default=1)
    return max(2 * part_rows(net.rows) * widest, 2 * MAX_SUM_BLOCKS)
