"""A device for tests: as the simulated one, but its kernels are compiled, and every access of theirs is checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from simulated_device import SimulatedDevice, SimulatedTransfer, is_legal

from accelnn.arrays.cuda.cublas import Gemm
from ptx.compiled import execute
from ptx.memory import Memory


class EmulatedDevice(SimulatedDevice):
    """See ``accelnn.arrays.cuda.device.Device``. Launches have as many blocks and threads as on a GPU.

    blocks: how many of a cooperative launch there are at the same time. seed: of the first launch's turns.
    """

    def __init__(self, capacity_bytes: int = 1 << 40, blocks: int = 5, seed: int = 0) -> None:
        super().__init__(capacity_bytes)
        self._memory, self._blocks, self._seed = Memory(), blocks, seed

    def zeros(self, size: int, dtype: Any) -> np.ndarray:
        return self._known(super().zeros(size, dtype))

    def address(self, array: np.ndarray) -> int:
        """Arrays of the model lie on the host here, as views into a few larger ones: they count as on the device."""
        address = super().address(array)
        found = self._memory.at(address)
        if found is None or address >= found.end:
            self._known(_whole(array))
        return address

    def transfer(self, size: int, dtype: Any) -> SimulatedTransfer:
        transfer = super().transfer(size, dtype)
        self._known(transfer.target)
        return transfer

    def cooperative_shape(self, threads: int) -> tuple[int, int]:
        return self._blocks, threads

    def launch(self, kernel: Any, arguments: tuple[float, ...], *, cooperative: bool = False) -> None:
        grid, block = kernel.launch_shape(*arguments)
        assert is_legal(grid, block), f"{kernel.name} {grid} {block}"

        def run() -> None:
            self._seed += 1
            execute(kernel, arguments, grid, block, self._memory, is_cooperative=cooperative, seed=self._seed)

        self._start(kernel.name, run)

    def gemm(self, product: Gemm) -> None:
        for address in (product.a, product.b, product.c):
            found = self._memory.at(address)
            assert found is not None, f"a product uses {address:#x}"
            assert address < found.end, f"a product uses {address:#x}: {self._memory.near(address, 1)}"
        super().gemm(product)

    def _known(self, array: np.ndarray) -> np.ndarray:
        if array.size:
            self._memory.add_array(array)
        return array


def _whole(array: np.ndarray) -> np.ndarray:
    """Return the array whose memory a view uses."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
