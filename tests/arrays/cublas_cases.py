"""Products to try a cuBLAS with, the NumPy one or a real one.

The numbers in the matrices are small integers, so that every precision gives the exact result.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from fake_cublas import bfloat16_bits, from_bfloat16

from accelnn.arrays.cuda.cublas import Gemm

PRECISIONS = [
    ("float32", "float32", "float32"),
    ("tf32", "float32", "float32"),
    ("bf16", "bfloat16", "bfloat16"),
    ("bf16", "bfloat16", "float32"),
    ("float64", "float64", "float64"),
]
SHAPES = [(3, 5, 4), (1, 7, 2), (6, 1, 3), (2, 3, 1), (8, 16, 32), (17, 10, 33)]
FACTORS = [(1.0, 0.0), (1.0, 1.0), (-0.5, 0.25), (0.0, 2.0)]


def to_storage(values: np.ndarray, element: str) -> np.ndarray:
    return bfloat16_bits(values) if element == "bfloat16" else np.ascontiguousarray(values, element)


def from_storage(stored: np.ndarray, element: str) -> np.ndarray:
    return (from_bfloat16(stored) if element == "bfloat16" else stored).astype(np.float64)


def address(array: Any) -> int:
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def multiply(start: Any, a: np.ndarray, b: np.ndarray, c: np.ndarray, xp: Any = np, **options: Any) -> np.ndarray:
    """Return c <- alpha op(a) op(b) + beta c for float64 operands stored as ``options`` say, computed by ``start``."""
    element, result = options.get("element", "float32"), options.get("result", "float32")
    rows, columns = c.shape
    stored_a, stored_b = (xp.asarray(to_storage(x, element)) for x in (a, b))
    # One row more on both sides: nothing outside c may change.
    framed = np.full((rows + 2, columns), 7.0)
    framed[1:-1] = c
    memory = xp.asarray(to_storage(framed, result))
    inner = a.shape[0] if options.get("a_transposed") else a.shape[1]
    start(Gemm(address(stored_a), address(stored_b), address(memory[1:]), rows, columns, inner, **options))
    seen = from_storage(memory if xp is np else memory.get(), result)
    assert np.all(seen[[0, -1]] == 7.0)
    return seen[1:-1]


def check(start: Any, shape: tuple[int, int, int], xp: Any = np, **options: Any) -> None:
    rows, columns, inner = shape
    rng = np.random.default_rng(rows + 100 * columns + 10000 * inner)
    op_a, op_b = (rng.integers(-8, 9, s).astype(float) for s in ((rows, inner), (inner, columns)))
    c = rng.integers(-8, 9, (rows, columns)).astype(float)
    expected = options["alpha"] * (op_a @ op_b) + options["beta"] * c
    if options["beta"] == 0:
        c[:] = np.nan  # not read, or it would show
    a, b = (op.T if flag else op for op, flag in ((op_a, options["a_transposed"]), (op_b, options["b_transposed"])))
    seen = multiply(start, a, b, c, xp, **options)
    result = options["result"]
    np.testing.assert_array_equal(seen, from_storage(to_storage(expected, result), result))


def cases() -> list[dict[str, Any]]:
    return [
        {
            "precision": precision,
            "element": element,
            "result": result,
            "a_transposed": a_transposed,
            "b_transposed": b_transposed,
            "alpha": alpha,
            "beta": beta,
        }
        for (precision, element, result), a_transposed, b_transposed, (alpha, beta) in itertools.product(
            PRECISIONS, (False, True), (False, True), FACTORS
        )
    ]


def name_of(case: dict[str, Any]) -> str:
    flags = "".join("NT"[case[x]] for x in ("a_transposed", "b_transposed"))
    return f"{case['precision']}-{case['result']}-{flags}-{case['alpha']}-{case['beta']}"


def fine_product(start: Any, precision: str, xp: Any = np) -> float:
    """Return the sum of two products, whose operands TF32 rounds to 1."""
    fine = np.full((1, 2), 1 + 2.0**-12)
    return multiply(start, fine, fine.T, np.zeros((1, 1)), xp, precision=precision)[0, 0]
