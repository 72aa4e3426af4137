"""The emulated GPU finds what it is there to find: mistakes that a GPU may forgive today and punish tomorrow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from accelnn import Dense, Sequential
from accelnn.arrays.cuda import device
from accelnn.training import pace
from accelnn.training.runners import captured

pytestmark = pytest.mark.gpu

N = 4096


@pytest.fixture(autouse=True)
def cupy() -> Any:
    if "emulated_gpu.start" not in sys.modules:
        pytest.skip("the GPU is not an emulated one: make emulated-gpu builds it and runs these tests")
    import cupy

    return cupy


@pytest.fixture
def stream(cupy: Any) -> Iterator[Any]:
    with cupy.cuda.Stream(non_blocking=True) as stream:
        yield stream
        stream.synchronize()


def pinned(cupy: Any, value: float) -> np.ndarray:
    array = np.frombuffer(cupy.cuda.alloc_pinned_memory(8 * N), np.float64, N)
    array[:] = value
    return array


def test_a_copy_reads_memory_of_the_host_as_late_as_it_may(cupy: Any, stream: Any) -> None:
    target, host = cupy.zeros(N), pinned(cupy, 1.0)
    target.data.copy_from_host_async(host.ctypes.data, host.nbytes, stream)
    host[:] = 2.0  # too early
    assert target.get()[0] == 2.0
    target.data.copy_from_host_async(host.ctypes.data, host.nbytes, stream)
    stream.synchronize()
    host[:] = 3.0
    assert target.get()[0] == 2.0


def test_a_stream_that_does_not_wait_reads_old_numbers(cupy: Any, stream: Any) -> None:
    numbers, other, event = cupy.zeros(N), cupy.cuda.Stream(non_blocking=True), cupy.cuda.Event()
    stream.synchronize()
    numbers += 1.0
    with other:
        assert numbers.get()[0] == 0.0
        event.record(stream)
        other.wait_event(event)
        assert numbers.get()[0] == 1.0


def test_new_memory_is_full_of_nan(cupy: Any, stream: Any) -> None:
    cupy.get_default_memory_pool().free_all_blocks()
    assert np.isnan(cupy.empty(N).get()).all()


def test_an_allocation_spoils_a_capture(cupy: Any, stream: Any) -> None:
    stream.begin_capture(cupy.cuda.runtime.streamCaptureModeThreadLocal)
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureUnsupported"):
        cupy.cuda.runtime.malloc(8)
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureInvalidated"):
        stream.end_capture()


def test_a_graph_runs_when_it_is_launched(cupy: Any, stream: Any) -> None:
    numbers = cupy.zeros(N)
    numbers += 0.0  # loads the kernel
    stream.begin_capture()
    numbers += 1.0
    graph = stream.end_capture()
    assert numbers.get()[0] == 0.0
    for _ in range(3):
        graph.launch(stream)
    assert numbers.get()[0] == 3.0


def test_a_copy_to_what_is_no_memory_of_the_device(cupy: Any, stream: Any) -> None:
    host = np.zeros(N)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidValue"):
        cupy.cuda.runtime.memcpy(host.ctypes.data, host.ctypes.data, 8, cupy.cuda.runtime.memcpyHostToDevice)


def test_a_kernel_that_writes_behind_an_allocation(cupy: Any, stream: Any) -> None:
    kernel = cupy.RawKernel('extern "C" __global__ void k(double* x) { x[threadIdx.x << 20] = 1.0; }', "k")
    kernel((1,), (32,), (cupy.zeros(N),))
    with pytest.raises(RuntimeError, match="cudaErrorLaunchFailure"):
        stream.synchronize()


def streamed_weights(monkeypatch: pytest.MonkeyPatch, *, early: bool) -> list[np.ndarray]:
    from emulated_gpu import streams

    monkeypatch.setattr(captured, "RESIDENT_SHARE", 0.0)
    monkeypatch.setattr(streams, "EARLY_COPIES", early)
    monkeypatch.setattr(pace, "CHUNK_S", 1e6)  # nobody waits in the middle of an epoch
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 9)).astype(np.float32), rng.integers(0, 3, 256)
    model = Sequential([Dense(5, "relu"), Dense(3, "softmax")], seed=0, backend="cuda")
    model.fit(x, y, epochs=2, batch_size=16, verbose=0)
    return model.get_weights()


def test_streamed_rows_come_neither_too_early_nor_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    late, early = (streamed_weights(monkeypatch, early=early) for early in (False, True))
    for a, b in zip(late, early, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("forgotten", "early"), [("mark_used", True), ("await_copy", False), ("await_free", False)])
def test_a_transfer_that_forgets_to_wait_is_found(monkeypatch: pytest.MonkeyPatch, forgotten: str, early: bool) -> None:
    right = streamed_weights(monkeypatch, early=early)
    monkeypatch.setattr(device._CudaTransfer, forgotten, lambda self: getattr(self, "_host", None))
    wrong = streamed_weights(monkeypatch, early=early)
    assert any(not np.array_equal(a, b) for a, b in zip(right, wrong, strict=True))
