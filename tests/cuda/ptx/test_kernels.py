"""Every kind of kernel, compiled and executed with the blocks and threads that it has on a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import test_batch_kernels
import test_dense_gathered_kernels
import test_dense_kernels
import test_dropout_kernels
import test_elementwise_kernels
import test_gradients_kernels
import test_losses_kernels
import test_normalization_kernels
import test_optimizer_kernels
import test_softmax_kernels
from accelnn_kernels.cuda import kinds
from accelnn_kernels.cuda.catalog import cuda_kernel
from simulation import device_array, poisoned, simulate

from ptx import compiled

Case = tuple[Callable[..., None], tuple[Any, ...]]

SOFTMAX = test_softmax_kernels.LAUNCHES[1:]
SEEDS = 3
"""Interleavings of the blocks in which each case runs."""


def copy_parameters(size: int) -> None:
    values, copy = device_array(np.random.default_rng(size).normal(size=size), "float32"), poisoned(size, "bfloat16")
    simulate(cuda_kernel("copy_parameters", "", "bfloat16"), (values, copy, size))
    np.testing.assert_array_equal(copy, device_array(values, "bfloat16"))


CASES: dict[str, list[Case]] = {
    "gather_rows": [
        (test_batch_kernels.test_gather_rows, ("uint8", "float32", 40)),
        (test_batch_kernels.test_gather_rows, ("float32", "bfloat16", 7)),
        (test_batch_kernels.test_rows_that_lie_apart_or_begin_anywhere, ("uint8", "float32")),
    ],
    "copy": [(test_batch_kernels.test_copy_and_rescaling, ("float32", 45))],
    "rescaling": [(test_batch_kernels.test_copy_and_rescaling, ("bfloat16", 300))],
    "dense_forward": [
        *((test_dense_kernels.test_forward, (shape, "float32")) for shape in test_dense_kernels.SHAPES),
        (test_dense_kernels.test_forward, ((10, 20, 8), "float64")),
        (test_dense_kernels.test_forward, ((3, 7, 5), "bfloat16")),
        (test_dense_kernels.test_every_launch_does_all_tiles, ((9, 20, 12), (2, 2, 8), 1)),
        (test_dense_kernels.test_every_launch_does_all_tiles, ((6, 13, 10), (1, 2, 4), 3)),
        *((test_dense_kernels.test_blocks_as_large_as_on_a_device, case) for case in test_dense_kernels.LARGE),
    ],
    "dense_forward_gathered": [
        (test_dense_gathered_kernels.test_rows_of_the_data, ((5, 20, 8), "uint8", "float32")),
        (test_dense_gathered_kernels.test_rows_of_the_data, ((6, 7, 5), "uint8", "float32")),
    ],
    "dense_backward": [
        *((test_dense_kernels.test_backward, (shape, "float32")) for shape in test_dense_kernels.SHAPES),
        (test_dense_kernels.test_backward, ((6, 40, 36), "float64")),
        (test_dense_kernels.test_weights_that_begin_anywhere, ()),
    ],
    "dense_backward_gathered": [
        (test_dense_gathered_kernels.test_rows_that_lie_apart_or_begin_anywhere, ("uint8",)),
        (test_dense_gathered_kernels.test_rows_of_a_later_step, (2,)),
    ],
    "dropout": [
        (test_dropout_kernels.test_results_are_those_of_the_cpu, ("float32", (9, 16), 0.5)),
        (test_dropout_kernels.test_element_numbers_wrap_around, (2**32 - 2, 7)),
    ],
    "bias_activation": [
        (test_elementwise_kernels.test_forward, ("gelu", (41, 24), "float32")),
        (test_elementwise_kernels.test_forward, ("gelu", (3, 5), "float64")),
        (test_elementwise_kernels.test_forward_of_bfloat16, ("relu", (5, 16))),
        *((test_softmax_kernels.test_forward, (shape, "float32", {})) for shape in test_softmax_kernels.SHAPES[3:]),
        *((test_softmax_kernels.test_forward, ((5, 33), "float32", launch)) for launch in SOFTMAX),
    ],
    "activation_gradient": [
        *((test_gradients_kernels.test_gradient, ("gelu", shape, "float32")) for shape in ((33, 24), (17, 70), (9, 1))),
        (test_gradients_kernels.test_gradient_of_bfloat16, ("relu", (33, 24))),
        (test_gradients_kernels.test_a_sum_of_many_rows_is_as_accurate_as_a_tree, ()),
        (test_gradients_kernels.test_every_launch_gives_the_same, ("identity", (37, 24), (2, 4), (2, 2))),
        (test_softmax_kernels.test_gradient, ((9, 10), "float32", {})),
        *(
            (test_softmax_kernels.test_gradient, ((7, 16), "float32", launch | {"grid": (1, *launch["grid"])}))
            for launch in SOFTMAX
        ),
    ],
    "loss": [
        *((test_losses_kernels.test_value_and_gradient, ("cross_entropy", (n, 10), "float32")) for n in (5, 21)),
        *(
            (test_losses_kernels.test_every_launch_gives_the_same, ("cross_entropy", shape, launch))
            for shape in ((13, 10), (3, 130))
            for launch in test_losses_kernels.LAUNCHES
        ),
        (test_losses_kernels.test_value_and_gradient, ("cross_entropy", (9, 1), "float64")),
        (test_losses_kernels.test_bfloat16, ("cross_entropy", (6, 8))),
        (test_losses_kernels.test_a_loss_of_many_rows_is_as_accurate_as_a_tree, ()),
    ],
    "sum_weights": [(test_losses_kernels.test_sum_of_weights, (700, 32))],
    **{
        kind: [
            (test_normalization_kernels.test_batch_norm, (shape, element, None))
            for shape, element in (((300, 17), "float32"), ((21, 16), "float32"), ((5, 7), "float64"))
        ]
        for kind in ("column_sums", "column_squares", "inverse_deviation", "batch_norm")
    },
    **{
        kind: [
            (test_normalization_kernels.test_batch_norm_gradient, (shape, "float32", None))
            for shape in ((300, 17), (6, 40))
        ]
        for kind in ("batch_norm_sums", "batch_norm_gradient")
    },
    "running_average": [(test_normalization_kernels.test_running_average, ("float32",))],
    "layer_norm": [
        (test_normalization_kernels.test_layer_norm, ((6, 40), "float32", None)),
        (test_normalization_kernels.test_layer_norm, ((21, 16), "float32", ((2,), (32, 2)))),
    ],
    "layer_norm_gradient": [
        *(
            (test_normalization_kernels.test_layer_norm_gradient, ((21, 16), "float32", launch))
            for launch in test_normalization_kernels.ROW_LAUNCHES
        ),
        (test_normalization_kernels.test_layer_norm_gradient, ((33, 40), "float32", None)),
        (test_normalization_kernels.test_layer_norm_gradient, ((5, 7), "float32", None)),
        (test_normalization_kernels.test_many_blocks_add_up_in_two_rounds, (17,)),
    ],
    "update": [
        *((test_optimizer_kernels.test_a_step, (name, 61, "float32")) for name in ("sgd", "adam")),
        (test_optimizer_kernels.test_a_step, ("sgd", 61, "float64")),
        (test_optimizer_kernels.test_the_copy_holds_the_new_parameters, ("bfloat16",)),
    ],
    "copy_parameters": [(copy_parameters, (301,))],
    "penalize": [(test_optimizer_kernels.test_penalize, ("float32", 3, 0.3, 0.1, 0.5))],
    "sum_of_squares": [(test_optimizer_kernels.test_sum_of_squares, ("float32", 300, 3))],
    "scale": [(test_optimizer_kernels.test_scale, ("float32", 1))],
    "add_parts": [(test_optimizer_kernels.test_add_parts_in_their_order, (5,))],
    "advance": [(test_optimizer_kernels.test_the_cursor_advances, ())],
}
"""Of each kind, tests of the simulator with their arguments: odd columns, wide ones, several blocks."""


def test_no_kind_is_forgotten() -> None:
    assert set(CASES) == set(kinds.KINDS)


@pytest.mark.parametrize("kind", CASES)
def test_a_kind_of_kernel(kind: str) -> None:
    for seed in range(SEEDS):
        compiled.restart_seeds(1000 * seed)
        for case, arguments in CASES[kind]:
            case(*arguments)
    assert kind in compiled.launched
