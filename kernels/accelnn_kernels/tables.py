"""The tables that a program is made of: which kernels run on which memory, for which layer.

All addresses are those of the first row or element; ``(rows, n)`` buffers are row-major and without gaps. A program
holds no types: kernels know their dtype, the program knows only ``itemsize``. So one compiled program serves every
network.
"""

from __future__ import annotations

import numpy as np

DENSE, BANDED_DENSE, ACTIVATION, DROPOUT, BATCH_NORM, BATCH_NORM_INFERENCE, LAYER_NORM, RESCALING = range(8)

DENSE_KINDS = (DENSE, BANDED_DENSE)

WEIGHT, PARTS = range(2)
"""Kinds of parameters: a weight's gradient is a matrix product, any other's is the sum of the threads' parts."""


def _table(integers: str, doubles: str) -> np.dtype:
    names = [(name, np.int64) for name in integers.split()]
    return np.dtype(names + [(name, np.float64) for name in doubles.split()])


LAYER = _table(
    # what it is, and its kernels
    "kind n_in n_out forward backward"
    # input rows, gradient of the input (0: not needed), pre-activation, output, gradient of the output
    " x dx z a da"
    # W and b, or gamma and beta; per thread (size, n_out): parts of the gradients of both
    " weight bias weight_parts bias_parts"
    # inputs in bands: each thread's product, (size, batch_size, n_out) in parts
    # normalization: statistics and scratch, each (size, n_out); running statistics (n_out,)
    " mean variance inverse parts running_mean running_variance"
    # which of the dropout layers this is
    " dropout_index",
    "rate epsilon momentum scale offset",
)

PARAMETER = _table(
    # shape (rows, columns); the flat views in the arena and its moments
    "kind rows columns values gradients moments_1 moments_2"
    # a weight: the input and the gradient of the pre-activation; else the threads' parts
    " x dz parts"
    # the weight of a layer whose inputs are shared out in bands
    " banded",
    "l1 l2",
)

FRAME = _table(
    # the thread and its team
    "rank size counters yield_address abandoned"
    # the batch being worked on: its number of rows, and this thread's rows [first, last)
    " step rows first last"
    # the epoch: rows, rows of a batch, the permutation of the rows
    " n_rows batch_size permutation"
    # inputs: rows of the data set, distance of rows in elements, width; buffers of the batch
    " x x_stride n_in x_batch"
    # inputs in bands: this thread has n_in columns of all rows, from column band on; its buffer holds a block of rows
    " banded band block"
    # targets: labels (int64) or rows of n_targets, weights (float64 or 0: all are 1); buffers of the batch
    " targets n_targets target_batch labels weights weight_batch"
    # the last layer: its output, its gradient, its width; where predictions go
    " output d_output n_out predictions"
    # hyperparameters per step (steps, 6) float64; dropout keys per step (steps, layers, 2) int64
    " hyper dropout_keys n_dropout first_step"
    # memory of this thread for a transposed piece of a weight
    " scratch"
    # sums over threads, (size,) float64 on cache lines of their own: 8 apart
    " partial_sums"
    # flags: the loss is a mean over rows; plain gradient descent in one product; penalties or value clipping; penalties
    # are divided by the rows
    " mean_loss direct penalized penalty_per_row"
    # kernels
    " itemsize gemm matmul matmul_transposed weight_gradient gather_rows gather_targets gather_weights sum_weights"
    " loss update penalize sum_of_squares scale_values add_parts copy"
    " dropout column_sums column_squares inverse_deviation running_average"
    " batch_norm batch_norm_sums batch_norm_gradient layer_norm layer_norm_gradient rescaling",
    "scale offset loss_scale clip_norm clip_value",
)
