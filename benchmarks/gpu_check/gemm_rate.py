"""Section gemm_rate: floating-point operations per second of products through accelnn's cuBLAS handle."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import Any

from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.graph_gemm import Matrix, handle_on, product
from benchmarks.gpu_check.timing import as_stored, captured, event_times_us, noise, spread_of

LARGE = 8192
PRECISIONS = ("bf16", "tf32", "float32")
NETS = {"784-128-64-10": (784, 128, 64, 10), "784-2048-2048-10": (784, 2048, 2048, 10)}
BATCHES = (128, 2048, 16384)


def measure(task: Task) -> None:
    size = 1024 if task.quick else LARGE
    for precision in PRECISIONS:
        task.attempt(f"{size}_cubed_{precision}", lambda p=precision: large(size, p))
    for name, units in NETS.items():
        for batch in BATCHES:
            for precision in PRECISIONS:
                key = f"{name}_batch_{batch}_{precision}"
                task.attempt(key, lambda u=units, b=batch, p=precision: step_products(u, b, p))


def large(size: int, precision: str) -> dict[str, float]:
    """Return time and rate of a square product of random matrices."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream, handle_on(stream) as blas:
        a, b, c = (random_matrix((size, size), precision) for _ in range(3))
        one = product(a, b, c, precision)
        times = event_times_us(lambda _: blas.gemm(one), 10)
    return {**spread_of(times, "us"), "flops_per_s": 2e6 * size**3 / median(times)}


def step_products(units: tuple[int, ...], batch: int, precision: str) -> dict[str, float]:
    """Return time and rate of all matrix products of a training step, as one graph and nothing else in it."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream, handle_on(stream) as blas:
        products = list(products_of_step(units, batch, precision))

        def run() -> None:
            for one, *_ in products:
                blas.gemm(one)

        run()
        graph = captured(stream, run)
        times = event_times_us(lambda _: graph.launch(stream), 20)
    flops = sum(2 * one.rows * one.columns * one.inner for one, *_ in products)
    return {**spread_of(times, "us"), "flops_per_s": 1e6 * flops / median(times), "products": len(products)}


def products_of_step(units: tuple[int, ...], batch: int, precision: str) -> Any:
    """Yield each product with its matrices: forward, weight gradients, and input gradients but the first."""
    a = [random_matrix((batch, n), precision) for n in units]
    d = [random_matrix((batch, n), precision) for n in units]
    for i, (n_in, n_out) in enumerate(pairwise(units)):
        w, dw = random_matrix((n_in, n_out), precision), random_matrix((n_in, n_out), precision)
        yield product(a[i], w, a[i + 1], precision), a, w
        yield product(a[i], d[i + 1], dw, precision, a_transposed=True), d, dw
        if i:
            yield product(d[i + 1], w, d[i], precision, b_transposed=True), d, w


def random_matrix(shape: tuple[int, int], precision: str) -> Matrix:
    """Return a matrix of noise of variance 1 / columns; on zeros products are faster than on data."""
    matrix = Matrix(shape, precision)
    values = (noise(shape[0] * shape[1]) - 0.5) * math.sqrt(12 / shape[1])
    matrix.array[...] = as_stored(values, matrix.element).reshape(shape)
    return matrix
