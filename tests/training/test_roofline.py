"""What a step has to do, counted by hand; the limits that follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from accelnn_kernels import optimizers, tables

from accelnn import SGD, Adam, Dense, Rescaling, Sequential
from accelnn.training.data import TrainingData
from accelnn.training.fit import OptimizerState
from accelnn.training.measurement.machine_rates import MachineRates
from accelnn.training.measurement.profiling import FRAME_KERNELS, LAYER_KERNELS, WAIT
from accelnn.training.measurement.roofline import (
    DIRECT_TITLES,
    OTHER,
    PHASES,
    TITLES,
    UPDATE_FLOPS,
    Work,
    count_work,
    limit_of,
    title_of,
)
from accelnn.training.optimizers import Optimizer, resolve_optimizer
from accelnn.training.runners.compiled import CompiledRunner

BATCH_SIZE = 5
RATES = MachineRates(1, 100.0, 50.0, memory_copy_bytes_per_s=10.0, cache_copy_bytes_per_s=40.0, cache_bytes=1000)


def work_of(optimizer: Optimizer, activation: str = "relu", threads: int = 1) -> dict[str, Work]:
    """Count the work of a 4-3-2 network in float32 on rows of bytes with labels."""
    program, data = lowered(optimizer, activation)
    program.memory.threads = threads
    return count_work(program, data, optimizer)


def lowered(optimizer: Optimizer, activation: str = "relu") -> tuple[Any, TrainingData]:
    model = Sequential([Rescaling(1 / 255), Dense(3, activation), Dense(2, "softmax")], n_in=4, seed=0)
    data = TrainingData(np.zeros((9, 4), np.uint8), np.zeros(9, np.int64))
    moments = OptimizerState.fresh(optimizer, model).moments
    return CompiledRunner(model, data, "cross_entropy", optimizer, moments, BATCH_SIZE).machine.program, data


def test_the_work_of_plain_gradient_descent() -> None:
    assert work_of(SGD(0.1)) == {
        # 5 rows of 4 bytes, a label of 8; out come 4 floats and the label; the number of the row is read too
        "gather": Work(5 * 2 * 4, 5 * (4 + 8 + 16 + 8 + 8), 5 * (4 + 8)),
        # two FLOPs for each row and weight; x, W, z of both layers
        "forward_gemm": Work(2 * 5 * (12 + 6), 4 * (20 + 12 + 15) + 4 * (15 + 6 + 10)),
        # z is read and overwritten by a, b is read
        "bias_activation": Work(2 * 25, 4 * (2 * 15 + 3) + 4 * (2 * 10 + 2)),
        "loss": Work(4 * 10, 4 * 2 * 10 + 5 * (8 + 8)),
        # only of the second layer: nothing below the first is trained
        "backward_gemm": Work(2 * 5 * 6, 4 * (15 + 6 + 10)),
        # W is read and written, dW never
        "weight_gradient_gemm": Work(2 * 5 * (12 + 6), 4 * (20 + 15 + 2 * 12) + 4 * (15 + 10 + 2 * 6)),
        # da and a are read, dz written; db is written as a part, and its parts are added up
        "derivative_bias_gradient": Work(3 * 25, 4 * (3 * 15 + 3 * 3) + 4 * (3 * 10 + 3 * 2)),
        "update": Work(2 * 5, 4 * 3 * 5),
    }


def test_the_work_of_adam() -> None:
    plain, work = work_of(SGD(0.1)), work_of(Adam())
    assert work["weight_gradient_gemm"] == Work(2 * 5 * 18, 4 * (20 + 15 + 12) + 4 * (15 + 10 + 6))
    assert work["update"] == Work(14 * 23, 4 * 7 * 23)
    same = set(plain) - {"weight_gradient_gemm", "update"}
    assert {phase: work[phase] for phase in same} == {phase: plain[phase] for phase in same}


def test_an_activation_that_keeps_z_has_one_array_more() -> None:
    in_place, kept = work_of(SGD(0.1)), work_of(SGD(0.1), "silu")
    for phase in ("bias_activation", "derivative_bias_gradient"):
        assert kept[phase].bytes - in_place[phase].bytes == 4 * 15


def test_every_thread_has_a_part_of_the_bias_gradient() -> None:
    one, three = (work_of(SGD(0.1), threads=n)["derivative_bias_gradient"] for n in (1, 3))
    assert three.bytes - one.bytes == 2 * 2 * 4 * 5


def test_work_adds_up() -> None:
    assert Work(1, 2, 3) + Work(10, 20, 30) == Work(11, 22, 33)


@pytest.mark.parametrize(
    ("work", "time_s", "limited_by"),
    [
        (Work(1000, 40), 10.0, "arithmetic"),
        (Work(10, 400), 10.0, "memory"),
        (Work(10, 400, 200), 25.0, "memory"),
        (Work(10, 2000), 200.0, "memory"),
    ],
    ids=["arithmetic", "in the cache", "half from the data set", "more than the cache"],
)
def test_the_slower_of_arithmetic_and_memory_is_the_limit(work: Work, time_s: float, limited_by: str) -> None:
    limit = limit_of(work, RATES)
    assert limit.time_s == pytest.approx(time_s)
    assert limit.limited_by == limited_by


def test_every_kernel_of_a_frame_can_be_timed() -> None:
    names = tables.FRAME.names
    assert names is not None
    kernels = names[names.index("gemm") + 1 : names.index("scale")]
    assert set(kernels) == set(FRAME_KERNELS), "name a new kernel in FRAME_KERNELS, and its phase in PHASES"


def test_every_kernel_belongs_to_one_phase() -> None:
    listed = [name for names in PHASES.values() for name in names]
    assert len(listed) == len(set(listed))
    known = {*FRAME_KERNELS, *LAYER_KERNELS, WAIT}
    assert set(listed) <= known
    assert known - set(listed) == {"copy", "rescaling"}  # of layers on their own: these times are part of the rest


def test_every_optimizer_is_counted() -> None:
    assert set(UPDATE_FLOPS) == set(optimizers.N_MOMENTS)


@pytest.mark.parametrize(("name", "special"), [("sgd", DIRECT_TITLES), ("momentum", {})])
def test_titles(name: str, special: dict[str, str]) -> None:
    optimizer = resolve_optimizer(name)
    parameters = lowered(optimizer)[0].parameters
    titles = {phase: title_of(phase, parameters, optimizer) for phase in (*PHASES, OTHER)}
    assert titles == {phase: phase for phase in (*PHASES, OTHER)} | TITLES | special
