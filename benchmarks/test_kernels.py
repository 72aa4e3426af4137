"""Times of single kernels, one thread, float32: ``python -m pytest benchmarks/test_kernels.py --benchmark-only``.

Each benchmark calls its kernel ``CALLS`` times; divide by that for the time of one.
"""

from __future__ import annotations

from typing import Any

import pytest
from accelnn_kernels import activations, losses, optimizers

from benchmarks import kernel_calls as calls

CALLS = 20

CASES = [
    *((calls.gather_rows, source) for source in ("uint8", "float32")),
    (calls.matmul, ""),
    (calls.matmul_transposed, ""),
    (calls.weight_gradient, ""),
    *((calls.bias_activation, name) for name in (*activations.NAMES, "softmax")),
    *((calls.activation_gradient, name) for name in (*activations.NAMES, "softmax")),
    *((calls.loss, name) for name in (*losses.NAMES, "cross_entropy_rows")),
    *((calls.update, name) for name in optimizers.N_MOMENTS),
    (calls.dropout, ""),
    (calls.column_sums, ""),
    (calls.column_squares, ""),
    (calls.batch_norm, ""),
    (calls.batch_norm_sums, ""),
    (calls.batch_norm_gradient, ""),
    (calls.layer_norm, ""),
    (calls.layer_norm_gradient, ""),
]


def name_of(case: Any) -> str:
    return getattr(case, "__name__", case)


@pytest.mark.parametrize(("make", "variant"), CASES, ids=name_of)
def test_kernel(benchmark: Any, make: Any, variant: str) -> None:
    call = make(variant)
    call(CALLS)  # compiles
    benchmark.group = make.__name__ if variant else "kernels without variants"
    benchmark.extra_info["calls"] = CALLS
    benchmark(call, CALLS)
