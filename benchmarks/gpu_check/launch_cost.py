"""Section launch_cost: what a node of a graph costs if its kernel does nothing: the floor of a captured step."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.timing import captured, event_times_us, node_count, spread_of

SOURCE = 'extern "C" __global__ void add_one(float* x) { if (threadIdx.x == 0) x[blockIdx.x] += 1.0f; }'
NODES = (20, 100, 1000)
BLOCKS = (1, 132)
REPLAYS = 30


def measure(task: Task) -> None:
    import cupy

    kernel = cupy.RawKernel(SOURCE, "add_one")
    for blocks in BLOCKS:
        for nodes in NODES:
            task.attempt(f"{nodes}_nodes_of_{blocks}_blocks", lambda n=nodes, b=blocks: replayed(task, kernel, n, b))
    task.attempt("launched_one_by_one", lambda: launched(kernel))


def replayed(task: Task, kernel: Any, nodes: int, blocks: int) -> dict[str, Any]:
    """Return the time of a replay of ``nodes`` kernels, each of which waits for the one before."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        x = cupy.zeros(blocks, cupy.float32)
        kernel((blocks,), (32,), (x,))  # compiles
        graph = captured(stream, lambda: [kernel((blocks,), (32,), (x,)) for _ in range(nodes)])
        graph.launch(stream)
        times = event_times_us(lambda _: graph.launch(stream), REPLAYS)
        start_s = time.perf_counter()
        for _ in range(REPLAYS):
            graph.launch(stream)
        host_us = 1e6 * (time.perf_counter() - start_s) / REPLAYS
        stream.synchronize()
        ran = float(x[0])
    expected = 1 + nodes * (1 + 3 + 2 * REPLAYS)
    if ran != expected:
        task.wrong(f"{expected} kernels should have run in a graph of {nodes}, and {ran:.0f} did")
    result = spread_of(times, "us")
    result |= {"us_per_node": result["median_us"] / nodes, "nodes": node_count(graph), "host_us_per_replay": host_us}
    return result


def launched(kernel: Any) -> dict[str, float]:
    """Return the time per kernel without a graph, launched from Python: of the host and of the device."""
    import cupy

    count = 1000
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        x = cupy.zeros(1, cupy.float32)
        kernel((1,), (32,), (x,))
        stream.synchronize()
        start_s = time.perf_counter()
        for _ in range(count):
            kernel((1,), (32,), (x,))
        host_us = 1e6 * (time.perf_counter() - start_s) / count
        stream.synchronize()
        total_us = 1e6 * (time.perf_counter() - start_s) / count
    return {"host_us_per_kernel": host_us, "us_per_kernel": total_us}
