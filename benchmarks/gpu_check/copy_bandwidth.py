"""Section copy_bandwidth: how fast device memory is copied, the measure of kernels that are bound by memory."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.environment import gpu_state
from benchmarks.gpu_check.timing import event_times_us, spread_of

SOURCE = r"""
extern "C" __global__ void copy(const float4* __restrict__ x, float4* __restrict__ y, long long count) {
    long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) y[i] = x[i];
}
"""
SIZES_MIB = (256, 1024, 4096)
REPEATS = 20


def measure(task: Task) -> None:
    for size in SIZES_MIB:
        task.attempt(f"memcpy_{size}_mib", lambda size=size: copied(size << 20, memcpy))
        task.attempt(f"kernel_{size}_mib", lambda size=size: copied(size << 20, copy_kernel()))
    task.attempt("nvidia_smi_behind_it", gpu_state)


def device_copy_bytes_per_s(size_bytes: int) -> float:
    """Return bytes read plus bytes written per second by copies of so many bytes: the faster of memcpy and kernel."""
    return max(copied(size_bytes, how)["bytes_per_s"] for how in (memcpy, copy_kernel()))


def copied(size_bytes: int, copy: Any) -> dict[str, float]:
    """Return time and rate of ``copy(source, target)``, in turn over pairs of buffers that no cache holds together."""
    import cupy

    pairs = [[cupy.zeros(size_bytes // 4, cupy.float32) for _ in range(2)] for _ in range(2)]
    for source, _ in pairs:
        source += cupy.arange(len(source), dtype=cupy.float32)
    times = event_times_us(lambda i: copy(*pairs[i % len(pairs)]), REPEATS)
    return {**spread_of(times, "us"), "bytes_per_s": 2e6 * size_bytes / median(times)}


def memcpy(source: Any, target: Any) -> None:
    """Copy as the driver does."""
    import cupy

    target.data.copy_from_device_async(source.data, source.nbytes, cupy.cuda.get_current_stream())


def copy_kernel() -> Any:
    """Return a function that copies by a kernel with 16-byte accesses."""
    import cupy

    kernel = cupy.RawKernel(SOURCE, "copy")

    def copy(source: Any, target: Any) -> None:
        kernel((132 * 16,), (256,), (source, target, cupy.int64(source.nbytes // 16)))

    return copy
