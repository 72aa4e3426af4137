"""Memory of a program that runs on a CUDA device: buffers there, and kernels by number."""

from __future__ import annotations

from typing import Any

import numpy as np
from accelnn_kernels.cuda.catalog import CudaKernel, cuda_kernel

from accelnn.arrays.cuda.device import Device
from accelnn.arrays.typing import Array
from accelnn.network.network import Network
from accelnn.network.parameters import Variable
from accelnn.training.runners.lowering import Memory

STORAGE = {"float32": np.float32, "float64": np.float64, "bfloat16": np.uint16}


class DeviceMemory(Memory):
    """See :class:`accelnn.training.runners.lowering.Memory`; addresses are those of the device.

    element: dtype of the arrays of a batch, and of the weights as products read them: the model's dtype or
    ``"bfloat16"``. Then ``copy`` is the address of a copy of all parameters in it, else 0.
    """

    def __init__(self, device: Device, network: Network, batch_size: int, element: str) -> None:
        super().__init__(np.dtype(network.dtype), batch_size, threads=1)
        self.device, self.element = device, element
        self.kernels: list[CudaKernel] = []
        self._variants: list[str] = []
        self._values = device.address(network.arena.values)
        self.copy = 0
        if element != network.dtype:
            self.copy = self.new(int(network.arena.values.shape[0]), STORAGE[element])

    def rows(self, columns: int) -> int:
        """Return the address of a new buffer (batch_size, columns) of elements."""
        return self.new(self.batch_size * columns, STORAGE[self.element])

    def new(self, size: int, dtype: Any = None, value: float = 0.0) -> int:
        """Return the address of ``size`` new elements with this value."""
        buffer = self.device.zeros(max(1, size), dtype or self.dtype)
        if value != 0.0:
            self.device.upload(buffer, np.full(buffer.size, value, buffer.dtype))
        self.buffers.append(buffer)
        return self.device.address(buffer)

    def array_at(self, address: int) -> Array:
        """Return the buffer that begins at an address."""
        return next(buffer for buffer in self.buffers if self.device.address(buffer) == address)

    def kernel(self, kind: str, variant: str) -> int:
        """Return the place of a kernel in ``kernels``."""
        self.kernels.append(cuda_kernel(kind, variant, self.element))
        self._variants.append(variant)
        return len(self.kernels) - 1

    def variant(self, number: int) -> str:
        """Return the variant of a kernel by its place in ``kernels``: for layers, the name of the activation."""
        return self._variants[number]

    def address(self, array: Array) -> int:
        """Return the address of a parameter or of its gradient."""
        return self.device.address(array)

    def written(self, variable: Variable, array: Array) -> int:
        """Return the same: arrays of a device are never read-only or mapped from a file."""
        return self.address(array)

    def factor(self, weight: Array) -> int:
        """Return the address at which products read a weight: that of its copy where there is one."""
        place = self.address(weight)
        if self.copy == 0:
            return place
        first = (place - self._values) // self.dtype.itemsize
        return self.copy + first * np.dtype(STORAGE[self.element]).itemsize

    def sums(self, gradient: Array | None, columns: int) -> int:
        """Return where kernels write column sums: right into the gradient."""
        return self.new(columns) if gradient is None else self.address(gradient)
