"""Section grid_barrier: cooperative launch, and what a barrier of all thread blocks costs that is made of atomics.

A persistent kernel that keeps a small network on the chip would need some of these in every step.
"""

from __future__ import annotations

from typing import Any

from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.timing import captured, event_times_us, spread_of

SOURCE = r"""
// All blocks add 1 to the arrivals and wait until they are a multiple of the number of blocks: no reset is needed.
__device__ void barrier_fence(unsigned* arrivals, unsigned goal) {
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        atomicAdd(arrivals, 1u);
        while (*(volatile unsigned*)arrivals < goal) { }
        __threadfence();
    }
    __syncthreads();
}

// The same with the release and acquire instructions of the memory model instead of full fences.
__device__ void barrier_acquire(unsigned* arrivals, unsigned goal) {
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("red.release.gpu.global.add.u32 [%0], %1;" :: "l"(arrivals), "r"(1u) : "memory");
        unsigned seen;
        do {
            asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(arrivals) : "memory");
        } while (seen < goal);
    }
    __syncthreads();
}

// Each block writes a number that the next block reads behind the barrier: a barrier that lets one through is seen.
#define LOOP(name, barrier)                                                                                     \
    extern "C" __global__ void name(unsigned* arrivals, int* cells, int* errors, int count) {                   \
        for (int round = 0; round < count; ++round) {                                                           \
            if (threadIdx.x == 0) ((volatile int*)cells)[blockIdx.x] = round;                                   \
            barrier(arrivals, (2u * round + 1u) * gridDim.x);                                                   \
            if (threadIdx.x == 0 && ((volatile int*)cells)[(blockIdx.x + 1) % gridDim.x] != round)              \
                atomicAdd(errors, 1);                                                                           \
            barrier(arrivals, (2u * round + 2u) * gridDim.x);                                                   \
        }                                                                                                       \
    }
LOOP(loop_fence, barrier_fence)
LOOP(loop_acquire, barrier_acquire)
"""
THREADS = 256
ROUNDS = 1000
"""Each has two barriers."""


def measure(task: Task) -> None:
    import cupy

    multiprocessors = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["multiProcessorCount"]
    for name in ("loop_fence", "loop_acquire"):
        kernel = cupy.RawKernel(SOURCE, name, enable_cooperative_groups=True)
        for blocks in (multiprocessors, multiprocessors // 2, 16, 8, 1):
            task.attempt(f"{name}_{blocks}_blocks", lambda k=kernel, b=blocks: barrier_times(task, k, b))
        task.attempt(f"{name}_in_graph", lambda k=kernel: in_graph(task, k, multiprocessors))


class Loop:
    """A launch of a kernel of barriers, with its memory."""

    def __init__(self, kernel: Any, blocks: int) -> None:
        import cupy

        self.kernel, self.blocks = kernel, blocks
        self.arrivals, self.cells = cupy.zeros(1, cupy.uint32), cupy.zeros(blocks, cupy.int32)
        self.errors = cupy.zeros(1, cupy.int32)

    def __call__(self) -> None:
        import cupy

        self.arrivals.fill(0)
        self.kernel((self.blocks,), (THREADS,), (self.arrivals, self.cells, self.errors, cupy.int32(ROUNDS)))


def barrier_times(task: Task, kernel: Any, blocks: int) -> dict[str, Any]:
    """Return the time per barrier of so many blocks."""
    loop = Loop(kernel, blocks)
    times = [us / (2 * ROUNDS) for us in event_times_us(lambda _: loop(), 5, warm_up=2)]
    return {**spread_of(times, "us_per_barrier"), "errors": checked(task, loop)}


def in_graph(task: Task, kernel: Any, blocks: int) -> dict[str, Any]:
    """Capture a cooperative launch and replay it."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        loop = Loop(kernel, blocks)
        loop()
        graph = captured(stream, loop)
        times = event_times_us(lambda _: graph.launch(stream), 5, warm_up=1)
        stream.synchronize()
        return {**spread_of([us / (2 * ROUNDS) for us in times], "us_per_barrier"), "errors": checked(task, loop)}


def checked(task: Task, loop: Loop) -> int:
    """Return how often a block was let through too early, which is never."""
    errors, arrived = int(loop.errors[0]), int(loop.arrivals[0])
    if errors or arrived != 2 * ROUNDS * loop.blocks:
        task.wrong(f"the barrier of {loop.blocks} blocks let {errors} through, {arrived} arrivals")
    return errors
