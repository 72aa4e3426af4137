"""Memory-bound kernels move each array once, in whole sectors, as a device copy does; shared memory never waits."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_dense_kernels
import test_gradients_kernels
import test_softmax_kernels
from accelnn_kernels.cuda.catalog import cuda_kernel
from simulation import device_array

from ptx.effort import Effort
from ptx.snippets import run
from ptx.traffic import Banks, passes

ROWS, COLUMNS = 64, 256
SIZE = ROWS * COLUMNS

READ, WRITTEN, CHANGED = (1, 0), (0, 1), (1, 1)

MOVED: dict[tuple[str, str], dict[str, tuple[int, int]]] = {
    ("gather_rows", "uint8"): {"x": READ, "out": WRITTEN},
    ("gather_rows", "float32"): {"x": READ, "out": WRITTEN},
    ("copy", ""): {"source_values": READ, "target_values": WRITTEN},
    ("rescaling", ""): {"x": READ, "y": WRITTEN},
    ("dropout", ""): {"x": READ, "y": WRITTEN},
    ("bias_activation", "relu"): {"a": CHANGED},
    ("bias_activation", "gelu"): {"z": CHANGED, "a": WRITTEN},
    ("activation_gradient", "relu"): {"d": CHANGED, "a": READ},
    ("activation_gradient", "gelu"): {"d": CHANGED, "z": READ},
    ("activation_gradient", "identity"): {"d": READ},
    ("loss", "mse"): {"output": READ, "d": WRITTEN, "target": READ},
    ("column_sums", ""): {"x": READ},
    ("column_squares", ""): {"x": READ},
    ("batch_norm", ""): {"x": READ, "y": WRITTEN},
    ("batch_norm_sums", ""): {"dy": READ, "x": READ},
    ("batch_norm_gradient", ""): {"dy": READ, "x": READ, "dx": WRITTEN},
    ("update", "sgd"): {"parameters": CHANGED, "gradients": READ},
    ("update", "momentum"): {"parameters": CHANGED, "gradients": READ, "moments_1": CHANGED},
    ("update", "adam"): {"parameters": CHANGED, "gradients": READ, "moments_1": CHANGED, "moments_2": CHANGED},
    ("penalize", ""): {"gradients": CHANGED, "parameters": READ},
    ("sum_of_squares", ""): {"values": READ},
    ("scale", ""): {"values": CHANGED},
}
"""How often a kernel reads and writes its large arrays; those that are not named, never."""

ROW_AFTER_ROW: dict[tuple[str, str], dict[str, tuple[int, int]]] = {
    ("bias_activation", "softmax"): {"a": (3, 1)},
    ("activation_gradient", "softmax"): {"d": (3, 1), "a": (2, 0)},
    ("loss", "cross_entropy"): {"output": (3, 0), "d": WRITTEN},
    ("loss", "cross_entropy_rows"): {"output": (3, 0), "d": WRITTEN, "target": (2, 0)},
    ("layer_norm", ""): {"x": (3, 0), "y": WRITTEN},
    ("layer_norm_gradient", ""): {"dy": (2, 0), "x": (4, 0), "dx": WRITTEN},
}
"""Kernels that need sums over a row before they go on in it read the row again: it is in the L1 cache by then."""

LARGE = (
    "x", "out", "y", "d", "z", "a", "output", "target", "dy", "dx", "gradients", "parameters", "moments_1", "moments_2",
    "values", "source_values", "target_values",
)  # fmt: skip


def arguments_of(kernel: Any, variant: str) -> dict[str, Any]:
    """Return arguments for 64 rows of 256 columns, or as many elements."""
    rng, real = np.random.default_rng(0), "float32"
    known: dict[str, Any] = {name: device_array(rng.normal(size=(ROWS, COLUMNS)), real) for name in LARGE}
    vectors = ("bias", "db", "gamma", "beta", "mean", "inverse", "dgamma", "dbeta", "sums", "hyper", "result")
    known |= {name: device_array(rng.uniform(0.5, 1.0, COLUMNS), real) for name in vectors}
    known |= {"cursor": device_array([0, 0]), "counter": device_array(np.zeros(4096, np.int64))}
    known |= {"parts": device_array(np.zeros(16384), real), "indices": device_array(rng.permutation(ROWS))}
    known |= dict.fromkeys(("ahead", "total", "weights", "squares", "copy", "keys", "first_row", "clip_norm"), 0)
    known |= {"rows": ROWS, "columns": COLUMNS, "size": SIZE, "n": ROWS, "stride": COLUMNS, "n_indices": ROWS}
    known |= {"key_0": 1, "key_1": 2, "threshold": 1 << 31, "keep_scale": 2.0}
    known |= dict.fromkeys(("rate", "factor", "scale", "offset", "epsilon", "l1", "l2", "limit"), 0.5)
    if kernel.kind == "gather_rows":
        known["x"] = device_array(rng.integers(0, 256, (ROWS, COLUMNS)), variant)
    if variant == "cross_entropy":
        known["target"] = device_array(rng.integers(0, COLUMNS, ROWS))
    return {name: known[name] for name in kernel.parameters}


@pytest.mark.parametrize(("kind", "variant"), [*MOVED, *ROW_AFTER_ROW])
def test_every_array_is_moved_as_often_as_it_has_to_be(kind: str, variant: str, monkeypatch: Any) -> None:
    kernel = cuda_kernel(kind, variant, "float32")
    arguments = arguments_of(kernel, variant)
    found = passes(monkeypatch, kernel, arguments)
    large = {name: times for name, times in found.items() if name in LARGE and arguments[name].size == SIZE}
    assert {name: times for name, times in large.items() if times != (0, 0)} == (MOVED | ROW_AFTER_ROW)[kind, variant]


def test_neighbours_that_are_far_apart_move_more(monkeypatch: Any) -> None:
    """The count itself: a row of data that begins in the middle of a sector takes one more of them."""
    kernel = cuda_kernel("gather_rows", "float32", "float32")
    arguments = arguments_of(kernel, "float32")
    whole = device_array(np.zeros((ROWS, COLUMNS + 1)), "float32")
    found = passes(monkeypatch, kernel, arguments | {"x": whole, "stride": COLUMNS + 1})
    assert found["x"][0] > 1.02
    assert found["out"] == WRITTEN


def dense_shapes() -> None:
    for shape in ((128, 96, 64), (12, 100, 40), (7, 33, 10)):
        test_dense_kernels.test_forward(shape, "float32")
        test_dense_kernels.test_backward(shape, "float32")


def sums_over_rows_and_columns() -> None:
    test_softmax_kernels.test_forward((9, 40), "float32", {})
    test_gradients_kernels.test_gradient("silu", (33, 24), "float32")


@pytest.mark.parametrize("work", [dense_shapes, sums_over_rows_and_columns])
def test_no_thread_waits_for_a_bank_of_shared_memory(work: Callable[[], None], monkeypatch: Any) -> None:
    banks = Banks(monkeypatch)
    work()
    assert banks.accesses > 100
    assert banks.cycles == banks.accesses


def test_instructions_of_warps_are_counted(monkeypatch: Any) -> None:
    effort = Effort(monkeypatch)
    run("bar.sync 0; add.s32 %r1, %r30, 2;", block=64, grid=2)
    all_of_two_warps = effort.parts[0][0]
    assert effort.parts == {0: {0: all_of_two_warps, 1: all_of_two_warps}}
    run("bar.sync 0; setp.lt.s32 %p1, %r30, 32; @%p1 bra $end; add.s32 %r1, %r30, 2; $end:", block=64)
    assert effort.parts == {0: {0: all_of_two_warps + 4 - 1}}
    run("red.release.gpu.global.add.u64 [%rd30], 1; bar.sync 0; add.s32 %r1, %r30, 2;", device_array([0]), block=64)
    behind = 4  # add and ret, of two warps
    loads = 2  # of the address
    assert effort.parts == {0: {0: all_of_two_warps + 2 + loads - behind}, 1: {0: behind}}


def test_words_of_one_bank_take_a_cycle_each(monkeypatch: Any) -> None:
    banks, lanes = Banks(monkeypatch), np.arange(64)
    for size, stride, cycles in (
        *((4, 1, 2), (4, 2, 4), (4, 32, 64), (4, 33, 2), (4, 0, 2)),
        *((8, 1, 4), (8, 16, 64), (16, 1, 8), (16, 2, 16), (16, 8, 64), (16, 9, 8)),
    ):
        banks.cycles = 0
        banks._count(size, lanes, lanes * stride, SimpleNamespace(address=0))
        assert banks.cycles == cycles, (size, stride)
