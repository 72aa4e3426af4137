"""Section graph_gemm: products through accelnn's own cuBLAS handle inside a capture, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.timing import captured, node_count

ROWS, INNER, COLUMNS = 128, 784, 128
TOLERANCES = {"float32": 1e-5, "tf32": 2e-3, "bf16": 2e-2, "float64": 1e-13}
"""Largest allowed distance from the product in float64, relative to its norm."""


def measure(task: Task) -> None:
    for precision in TOLERANCES:
        task.attempt(precision, lambda precision=precision: captured_product(task, precision))


def captured_product(task: Task, precision: str) -> dict[str, Any]:
    """Capture x W and x^T dz, replay the graph twice on other data than it was captured with, and compare."""
    import cupy

    rng = np.random.default_rng(0)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream, handle_on(stream) as blas:
        x, w, dz = (Matrix(shape, precision) for shape in ((ROWS, INNER), (INNER, COLUMNS), (ROWS, COLUMNS)))
        z, dw = Matrix((ROWS, COLUMNS), precision), Matrix((INNER, COLUMNS), precision)
        for matrix in (x, w, dz):
            matrix.fill(rng)

        def products() -> None:
            blas.gemm(product(x, w, z, precision))
            blas.gemm(product(x, dz, dw, precision, a_transposed=True))

        products()  # cuBLAS loads its kernels
        graph = captured(stream, products)
        errors = []
        for _ in range(2):
            for matrix in (x, w, dz):
                matrix.fill(rng)
            z.poison(), dw.poison()
            graph.launch(stream)
            stream.synchronize()
            errors += [distance(z.host(), x.host() @ w.host()), distance(dw.host(), x.host().T @ dz.host())]
    if not max(errors) <= TOLERANCES[precision]:
        task.wrong(f"{precision}: the captured product is off by {max(errors):.2e}")
    return {"relative_errors": errors, "nodes": node_count(graph)}


class handle_on:  # noqa: N801 - used like a function
    """A context with a cuBLAS handle of accelnn for a stream, and its workspace."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> Any:
        import cupy

        from accelnn.arrays.cuda.cublas import Cublas, workspace_bytes

        properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        size = workspace_bytes((properties["major"], properties["minor"]))
        self._workspace = cupy.empty(size, cupy.uint8)
        self._blas = Cublas(self._stream.ptr, self._workspace.data.ptr, size)
        return self._blas

    def __exit__(self, *_: object) -> None:
        self._stream.synchronize()
        self._blas.close()


class Matrix:
    """A matrix on the device in the storage of a precision; CuPy has no bfloat16, so its bits are held as uint16."""

    def __init__(self, shape: tuple[int, int], precision: str) -> None:
        import cupy

        self.shape, self.element = shape, ELEMENTS[precision]
        self.array = cupy.empty(shape, STORED[self.element])

    @property
    def address(self) -> int:
        return int(self.array.data.ptr)

    def fill(self, rng: np.random.Generator) -> None:
        """Write normal random numbers."""
        values = rng.standard_normal(self.shape)
        if self.element == "bfloat16":
            values = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        self.array.set(values.astype(STORED[self.element]))

    def poison(self) -> None:
        """Write NaN everywhere."""
        self.array.fill(0x7FC0 if self.element == "bfloat16" else np.nan)

    def host(self) -> np.ndarray:
        """Return the values as float64."""
        stored = self.array.get()
        if self.element == "bfloat16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float64)


ELEMENTS = {"float32": "float32", "tf32": "float32", "bf16": "bfloat16", "float64": "float64"}
STORED = {"float32": np.float32, "float64": np.float64, "bfloat16": np.uint16}


def product(a: Matrix, b: Matrix, c: Matrix, precision: str, **transposed: bool) -> Any:
    """Return the Gemm c <- op(a) op(b), for ``Cublas.gemm``."""
    from accelnn.arrays.cuda.cublas import Gemm

    rows, columns = c.shape
    inner = a.shape[0] if transposed.get("a_transposed") else a.shape[1]
    storage = {"element": a.element, "result": c.element, "precision": precision}
    return Gemm(a.address, b.address, c.address, rows, columns, inner, **transposed, **storage)


def distance(result: np.ndarray, expected: np.ndarray) -> float:
    """Return the norm of the difference relative to that of what is expected; NaN if there is any."""
    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))
