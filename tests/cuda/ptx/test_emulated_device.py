"""The device of these tests: what it does not let pass."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from accelnn_kernels.cuda.catalog import cuda_kernel

from ptx.emulated_device import EmulatedDevice
from ptx.faults import MemoryFault


def test_a_launch_runs_and_is_logged() -> None:
    device, kernel = EmulatedDevice(), cuda_kernel("advance", "", "float32")
    cursor = device.zeros(2, np.int64)
    device.upload(cursor, np.array([3, 90]))
    device.launch(kernel, (device.address(cursor), 16, 160))
    assert device.download(cursor, 2).tolist() == [19, 250]
    assert device.log == ["zeros", "upload", kernel.name, "download"]


def test_a_graph_runs_when_it_is_replayed() -> None:
    device, kernel = EmulatedDevice(), cuda_kernel("advance", "", "float32")
    cursor = device.zeros(2, np.int64)
    graph = device.record(lambda: device.launch(kernel, (device.address(cursor), 1, 2)))
    assert cursor.tolist() == [0, 0]
    graph.replay()
    graph.replay()
    assert cursor.tolist() == [2, 4]


def test_views_of_an_array_are_its_memory() -> None:
    device, kernel = EmulatedDevice(), cuda_kernel("advance", "", "float32")
    whole = np.zeros(6, np.int64)
    device.launch(kernel, (device.address(whole[2:4]), 1, 2))
    assert whole.tolist() == [0, 0, 1, 2, 0, 0]
    with pytest.raises(MemoryFault, match="outside of any allocation"):
        device.launch(kernel, (device.address(whole[5:]), 1, 2))


def test_products_of_memory_that_is_none() -> None:
    device = EmulatedDevice()
    a = device.address(device.zeros(4, np.float32))
    with pytest.raises(AssertionError, match="a product uses"):
        device.gemm(SimpleNamespace(a=a, b=a, c=a + 4096))  # type: ignore[arg-type]
