"""The device through CuPy: which calls it makes, on which stream, in which order."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
from fake_cublas import FakeCublas
from fake_cupy import RESIDENT_BLOCKS, FakeCupy, FakeDevice

from accelnn.arrays.backend import Backend
from accelnn.arrays.cuda import cublas, device
from accelnn.arrays.cuda.cublas import Gemm
from accelnn.errors import BackendError


class Kernel:
    """A kernel whose machine code is its name."""

    name = "scale.float32"
    argument_dtypes = (np.dtype(np.int64), np.dtype(np.float32))

    def launch_shape(self, *arguments: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (2, 3), (32, 8)

    def image(self, compute_capability: tuple[int, int]) -> bytes:
        return f"{self.name} for {compute_capability}".encode()


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> FakeCupy:
    library = FakeCublas()
    monkeypatch.setattr(cublas, "load_library", lambda: library)
    return FakeCupy()


@pytest.fixture
def gpu(cupy: FakeCupy) -> device.CudaDevice:
    made = device.CudaDevice(Backend("cuda", "cuda:0", cupy))
    cupy.log.clear()
    return made


def test_the_stream_is_its_own_and_the_handle_works_on_it(cupy: FakeCupy) -> None:
    made = device.CudaDevice(Backend("cuda", "cuda:0", cupy))
    (stream,) = cupy.streams
    assert stream.non_blocking
    assert made.compute_capability == (9, 0)
    assert made._workspace.nbytes == cublas.workspace_bytes((9, 0))


def test_the_handle_is_given_back_with_the_device(cupy: FakeCupy) -> None:
    made = device.CudaDevice(Backend("cuda", "cuda:0", cupy))
    library = made._cublas._library
    assert len(library.handles) == 1
    del made
    gc.collect()
    assert not library.handles


def test_zeros_are_written_on_the_stream_that_uses_them(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    array = gpu.zeros(4, "float32")
    assert cupy.log == ["use stream", "zeros", "leave stream"]
    assert gpu.address(array) == array.data.ptr
    assert gpu.holds(array)
    assert not gpu.holds(np.zeros(4))


def test_values_go_there_and_come_back(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    array = gpu.zeros(5, "float32")
    gpu.upload(array, np.arange(4, dtype=np.float32)[::2])
    assert gpu.download(array, 3).tolist() == [0.0, 2.0, 0.0]
    assert cupy.log[-3:] == ["copy to the device", "copy to the host", "wait for the stream"]


def test_a_large_copy_has_left_the_host_before_the_call_returns(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    gpu.upload(gpu.zeros(1 << 20, "uint8"), np.zeros(1 << 20, np.uint8))
    assert cupy.log[-2:] == ["copy to the device", "wait for the stream"]


@pytest.mark.parametrize("values", [np.zeros(6, np.float32), np.zeros(2, np.float64)])
def test_values_that_do_not_fit(gpu: device.CudaDevice, values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="do not fit into 5 float32"):
        gpu.upload(gpu.zeros(5, "float32"), values)


def test_a_kernel_is_loaded_once_and_gets_typed_arguments(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    for _ in range(2):
        gpu.launch(Kernel(), (123, 0.5))
    launch = "launch scale.float32 for (9, 0) (2, 3) (32, 8) (int64,float32)"
    assert cupy.log == ["load scale.float32 for (9, 0)", launch, launch]


def test_a_kernel_that_cannot_be_compiled(gpu: device.CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Kernel, compute_capability: tuple[int, int]) -> bytes:
        raise AttributeError("module 'numpy' has no attribute 'row_stack'\nand more")

    monkeypatch.setattr(Kernel, "image", fail)
    with pytest.raises(BackendError, match=r"kernel scale.float32 .* sm_90: AttributeError: module .* 'row_stack'$"):
        gpu.launch(Kernel(), (1, 1.0))


def test_blocks_that_wait_for_each_other(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    assert gpu.cooperative_shape(512) == (RESIDENT_BLOCKS, 512)
    gpu.launch(Kernel(), (1, 1.0), cooperative=True)
    assert cupy.log[-1].endswith("together")
    cupy.attributes[cupy.cuda.runtime.cudaDevAttrCooperativeLaunch] = 0
    assert gpu.cooperative_shape(512) == (0, 512)


def test_a_launch_that_is_refused(gpu: device.CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kernel, "launch_shape", lambda *arguments: ((RESIDENT_BLOCKS + 1,), (32,)))
    with pytest.raises(BackendError, match=r"kernel scale.float32 could not be launched: The grid size is too large"):
        gpu.launch(Kernel(), (1, 1.0), cooperative=True)


def test_recording(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    gpu.launch(Kernel(), (1, 1.0))
    cupy.log.clear()
    collecting = []

    def launches() -> None:
        collecting.append(gc.isenabled())
        gpu.launch(Kernel(), (1, 1.0))
        gpu.gemm(Gemm(8, 8, 8, 0, 1, 1))

    graph = gpu.record(launches)
    assert collecting == [False]
    assert gc.isenabled()
    graph.replay()
    assert [entry.partition(" scale")[0] for entry in cupy.log] == [
        "begin capture 1",
        "launch",
        "end capture",
        "launch graph",
    ]


def test_a_recording_that_the_driver_refuses(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    cupy.streams[0].fails = True
    with pytest.raises(BackendError, match="could not be recorded as a CUDA graph: cudaErrorStreamCaptureInvalidated"):
        gpu.record(lambda: None)


def test_a_launch_that_fails_ends_the_recording(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    def launches() -> None:
        raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    with pytest.raises(BackendError, match="cudaErrorStreamCaptureUnsupported"):
        gpu.record(launches)
    assert cupy.log == ["begin capture 1", "end capture"]
    assert gc.isenabled()


@pytest.mark.parametrize(("limit", "free"), [(0, 1050), (120, 20), (5000, 1050)])
def test_free_memory_counts_what_the_pool_holds_and_may_take(
    gpu: device.CudaDevice, cupy: FakeCupy, limit: int, free: int
) -> None:
    cupy.pool.limit = limit
    assert gpu.free_bytes() == free


def test_a_transfer_waits_for_those_who_read_its_buffer(gpu: device.CudaDevice, cupy: FakeCupy) -> None:
    transfer = gpu.transfer(6, "float32")
    cupy.log.clear()
    transfer.await_free()[:] = np.arange(6)
    transfer.send(2, 4)
    transfer.await_copy()
    transfer.mark_used()
    assert transfer.target.values.tolist() == [0, 0, 2, 3, 0, 0]
    copied, used = (transfer._copied.number, transfer._used.number)
    assert cupy.log == [
        f"host waits for event {copied}",
        f"wait for event {used}",
        "copy to the device",
        f"record event {copied}",
        f"wait for event {copied}",
        f"record event {used}",
    ]


def test_synchronizing_waits_for_the_whole_device(gpu: device.CudaDevice) -> None:
    before = FakeDevice.waits
    gpu.synchronize()
    assert FakeDevice.waits == before + 1


def test_every_thread_has_its_own_device_and_keeps_it(cupy: FakeCupy) -> None:
    backend = Backend("cuda", "cuda:0", cupy)
    made: list[Any] = []
    for _ in range(2):
        thread = threading.Thread(
            target=lambda: made.append((device.cuda_device(backend), device.cuda_device(backend)))
        )
        thread.start()
        thread.join()
    assert all(first is second for first, second in made)
    assert made[0][0] is not made[1][0]
