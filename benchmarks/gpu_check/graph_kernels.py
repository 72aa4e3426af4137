"""Section graph_kernels: kernels compiled by Numba and loaded with CuPy, launched inside a capture.

The road of accelnn's kernels in short: Python -> PTX (numba-cuda) -> cubin (nvjitlink through cuda.core) -> a function
of CuPy -> a node of a graph.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.timing import captured, node_count

ROWS, COLUMNS = 128, 100
"""Not a multiple of a launch's elements, so that the last thread block is not full."""


def measure(task: Task) -> None:
    task.attempt("in_graph", lambda: bias_relu_in_graph(task))


def bias_relu_in_graph(task: Task) -> dict[str, Any]:
    """Capture relu(z + bias) twice in place, replay, and compare with NumPy."""
    import cupy

    start_s = time.perf_counter()
    function, launch = loaded("bias_activation", "relu", "float32")
    ready_s = time.perf_counter() - start_s
    rng = np.random.default_rng(0)
    host, host_bias = rng.standard_normal((ROWS, COLUMNS), np.float32), rng.standard_normal(COLUMNS, np.float32)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        a, bias = cupy.asarray(host), cupy.asarray(host_bias)
        addresses = (0, bias.data.ptr, a.data.ptr, ROWS, COLUMNS)
        graph = captured(stream, lambda: [launch(function, addresses, stream) for _ in range(2)])
        stream.synchronize()
        untouched = bool((a.get() == host).all())  # a capture runs nothing
        graph.launch(stream)
        stream.synchronize()
        result = a.get()
    expected = np.maximum(np.maximum(host + host_bias, 0) + host_bias, 0)
    if not np.array_equal(result, expected):
        task.wrong(f"the replayed kernels are off by {np.abs(result - expected).max():.2e}")
    if not untouched:
        task.wrong("the kernels ran while they were captured")
    return {"compile_and_load_s": ready_s, "nodes": node_count(graph), "ran_while_capturing": not untouched}


def loaded(kind: str, variant: str, element: str) -> tuple[Any, Any]:
    """Return a kernel as CuPy's function, and ``launch(function, arguments, stream)`` for it."""
    import cupy
    from accelnn_kernels.cuda.catalog import cuda_kernel
    from cupy.cuda.function import Module

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    kernel = cuda_kernel(kind, variant, element)
    module = Module()
    module.load(kernel.image((properties["major"], properties["minor"])))
    function = module.get_function("kernel")

    def launch(function: Any, arguments: tuple[float, ...], stream: Any) -> None:
        grid, block = kernel.launch_shape(*arguments)
        pairs = zip(kernel.argument_dtypes, arguments, strict=True)
        function(grid, block, tuple(dtype.type(value) for dtype, value in pairs), stream=stream)

    return function, launch
