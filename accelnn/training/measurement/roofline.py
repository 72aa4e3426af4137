"""What one training step has to compute and to move, phase by phase, and how long that takes at the least.

The roofline of Williams, Waterman and Patterson ("Roofline: an insightful visual performance model for multicore
architectures", CACM 2009): a phase can be no faster than its floating-point operations at the best rate of a matrix
product, and no faster than its bytes at the rate of a copy, whichever takes longer. Bytes move at the rate of a copy
in main memory if they come from the data set or are more than a last-level cache holds, else at that of one in a cache.

Counted is what the algorithm needs: every operand is read once and every result written once. Dense layers,
activations, the loss and the update are counted; dropout, normalization, penalties and clipping are timed only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from accelnn_kernels import tables

from accelnn.training.data import TrainingData
from accelnn.training.measurement.machine_rates import MachineRates
from accelnn.training.measurement.profiling import WAIT
from accelnn.training.optimizers import Optimizer
from accelnn.training.runners.compiled import is_direct
from accelnn.training.runners.lowering import Program

PHASES = {
    "gather": ("gather_rows", "gather_targets", "gather_weights", "sum_weights"),
    "forward_gemm": ("matmul",),
    "bias_activation": ("forward",),
    "loss": ("loss",),
    "backward_gemm": ("matmul_transposed",),
    "weight_gradient_gemm": ("weight_gradient",),
    "derivative_bias_gradient": ("backward", "add_parts"),
    "update": ("update", "penalize", "sum_of_squares", "scale_values"),
    "dropout": ("dropout",),
    "normalization": (
        "column_sums", "column_squares", "inverse_deviation", "running_average",
        "batch_norm", "batch_norm_sums", "batch_norm_gradient", "layer_norm", "layer_norm_gradient",
    ),
    "waiting": (WAIT,),
}  # fmt: skip
"""The phases of a step in their order, and the kernels of each by the fields of :mod:`.profiling`.

Whatever is in no kernel, or in one that is not listed, belongs to the phase ``OTHER``.
"""

OTHER = "other"

TITLES = {
    "gather": "gather the batch",
    "forward_gemm": "forward GEMM",
    "bias_activation": "bias + activation",
    "backward_gemm": "backward GEMM (dx)",
    "weight_gradient_gemm": "weight-gradient GEMM",
    "derivative_bias_gradient": "derivative + bias gradient",
    "waiting": "waiting for other threads",
}
"""What to call a phase where people read it, if its name is not enough."""

DIRECT_TITLES = {"weight_gradient_gemm": "weight-gradient GEMM + update", "update": "update of the biases"}
"""The same for plain gradient descent, where W - learning_rate * x^T dz is one product."""

GEMMS = ("forward_gemm", "backward_gemm", "weight_gradient_gemm")

UPDATE_FLOPS = {"sgd": 2, "momentum": 4, "nesterov": 7, "rmsprop": 9, "adam": 14, "accumulate": 2}
"""Floating-point operations per parameter of the formulas of :mod:`accelnn_kernels.optimizers`, a root being one."""

# Per element. An activation, its derivative and an exponential count as one operation: it is not they that limit.
BIAS_ACTIVATION_FLOPS, DERIVATIVE_FLOPS, LOSS_FLOPS, GATHER_FLOPS = 2, 3, 4, 2
INT64_BYTES = 8


@dataclass(frozen=True)
class Work:
    """What a phase has to do in one step of one batch, all threads together.

    flops: floating-point operations, a multiplication with an addition being two. bytes: read and written.
    data_set_bytes: those of ``bytes`` that are read from rows of the data set, which lie in main memory.
    """

    flops: int = 0
    bytes: int = 0
    data_set_bytes: int = 0

    def __add__(self, other: Work) -> Work:
        data_set_bytes = self.data_set_bytes + other.data_set_bytes
        return Work(self.flops + other.flops, self.bytes + other.bytes, data_set_bytes)


@dataclass(frozen=True)
class Limit:
    """The shortest time of a phase, and what it is limited by: ``"arithmetic"`` or ``"memory"``."""

    time_s: float
    limited_by: str


def limit_of(work: Work, rates: MachineRates) -> Limit:
    """Return the limit of a phase on a machine with these rates."""
    arithmetic_s = work.flops / rates.gemm_flops_per_s
    fits = work.bytes - work.data_set_bytes <= rates.cache_bytes
    rate = rates.cache_copy_bytes_per_s if fits else rates.memory_copy_bytes_per_s
    memory_s = work.data_set_bytes / rates.memory_copy_bytes_per_s + (work.bytes - work.data_set_bytes) / rate
    return max(Limit(arithmetic_s, "arithmetic"), Limit(memory_s, "memory"), key=lambda limit: limit.time_s)


def count_work(program: Program, data: TrainingData, optimizer: Optimizer) -> dict[str, Work]:
    """Return the work of each phase of one training step on a full batch; phases without kernels are left out."""
    work: dict[str, Work] = {}
    for phase, part in _parts(program, data, optimizer):
        work[phase] = work.get(phase, Work()) + part
    return {phase: work[phase] for phase in PHASES if phase in work}


def title_of(phase: str, parameters: np.ndarray, optimizer: Optimizer) -> str:
    """Return what to call a phase where people read it."""
    special = DIRECT_TITLES if is_direct(parameters, optimizer) else {}
    return special.get(phase, TITLES.get(phase, phase))


def _parts(program: Program, data: TrainingData, optimizer: Optimizer) -> Iterator[tuple[str, Work]]:
    rows, element = program.memory.batch_size, program.memory.dtype.itemsize
    yield "gather", _gather(program, data)
    for layer in program.layers:
        if layer["kind"] in (*tables.DENSE_KINDS, tables.ACTIVATION):
            yield from _elementwise(layer, rows, element, program.memory.threads)
    for layer in program.layers[np.isin(program.layers["kind"], tables.DENSE_KINDS)]:
        yield from _products(layer, rows, element)
    yield "loss", _loss(program, data)
    yield from _weights(program, optimizer)


def _gather(program: Program, data: TrainingData) -> Work:
    """Rows and targets from the data set to the batch, by the numbers of the rows."""
    rows, element = program.memory.batch_size, program.memory.dtype.itemsize
    source = data.x.itemsize * program.n_in + data.y.itemsize * (data.y.size // len(data))
    target = element * program.n_in + data.y.itemsize * (data.y.size // len(data)) + INT64_BYTES
    return Work(rows * GATHER_FLOPS * program.n_in, rows * (source + target), rows * source)


def _elementwise(layer: np.void, rows: int, element: int, threads: int) -> Iterator[tuple[str, Work]]:
    """Bias and activation of z, and back: an activation in place keeps one array, else z and a are two."""
    n_out, extra = int(layer["n_out"]), int(layer["z"] != layer["a"])
    size = rows * n_out
    yield "bias_activation", Work(BIAS_ACTIVATION_FLOPS * size, element * ((2 + extra) * size + n_out))
    parts = n_out * (2 * threads + 1)  # written, read again and added up
    yield "derivative_bias_gradient", Work(DERIVATIVE_FLOPS * size, element * ((3 + extra) * size + parts))


def _products(layer: np.void, rows: int, element: int) -> Iterator[tuple[str, Work]]:
    """Products with the weights: x W, and dz W^T where something below is trained."""
    n_in, n_out = int(layer["n_in"]), int(layer["n_out"])
    work = Work(2 * rows * n_in * n_out, element * (rows * n_in + n_in * n_out + rows * n_out))
    yield "forward_gemm", work
    if layer["dx"] != 0:
        yield "backward_gemm", work


def _loss(program: Program, data: TrainingData) -> Work:
    """The outputs, the targets and the weights of the rows, and the gradient of the outputs."""
    rows, element = program.memory.batch_size, program.memory.dtype.itemsize
    per_row = 2 * element * program.n_out + data.y.itemsize * (data.y.size // len(data)) + INT64_BYTES
    return Work(rows * LOSS_FLOPS * program.n_out, rows * per_row)


def _weights(program: Program, optimizer: Optimizer) -> Iterator[tuple[str, Work]]:
    """x^T dz of each weight, and the update: of plain gradient descent, that of a weight is part of the product."""
    rows, element = program.memory.batch_size, program.memory.dtype.itemsize
    direct = is_direct(program.parameters, optimizer)
    flops, arrays = UPDATE_FLOPS[optimizer.update_name], 3 + 2 * optimizer.n_moments
    for parameter in program.parameters:
        n_in, n_out = int(parameter["rows"]), int(parameter["columns"])
        size = n_in * n_out
        is_weight = parameter["kind"] == tables.WEIGHT
        if is_weight:
            written = 2 * size if direct else size
            moved = element * (rows * (n_in + n_out) + written)
            yield "weight_gradient_gemm", Work(2 * rows * size, moved)
        if not (is_weight and direct):
            yield "update", Work(flops * size, element * arrays * size)
