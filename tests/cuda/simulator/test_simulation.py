"""The simulator finds what it is there for: writing outside an array, and threads that miss each other."""

from __future__ import annotations

import numpy as np
import pytest
import simulation
from accelnn_kernels import optimizers
from accelnn_kernels.compiler import bind
from accelnn_kernels.cuda import target
from accelnn_kernels.cuda.catalog import CudaKernel, cuda_kernel
from simulation import check_guards, device_array, host_values, poisoned, simulate


def test_arrays_begin_where_a_device_would_put_them():
    for size in (1, 3, 100):
        array = device_array(np.ones(size), "float32")
        assert array.ctypes.data % 256 == 0
        assert array.dtype == np.float32
        assert (array == 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_arrays_for_results_are_poisoned(dtype):
    assert np.isnan(host_values(poisoned((2, 3), dtype), dtype)).all()


def test_numbers_survive_as_bfloat16():
    values = np.array([0.0, -1.5, 2.0**100, np.inf, np.nan])
    np.testing.assert_array_equal(host_values(device_array(values, "bfloat16"), "bfloat16"), values)


def test_a_write_behind_an_array_is_found():
    bias, a = device_array(np.zeros(4), "float32"), poisoned((2, 4), "float32")
    simulate(cuda_kernel("bias_activation", "relu", "float32"), (a, bias, a, 2, 4))
    check_guards()
    simulate(cuda_kernel("bias_activation", "relu", "float32"), (a, bias, a, 3, 4))
    with pytest.raises(AssertionError, match="behind an array"):
        check_guards()
    simulation.forget_arrays()


def test_a_wide_access_that_a_device_would_refuse_is_an_error():
    bias, a = device_array(np.zeros(4), "float32"), device_array(np.zeros((2, 4)), "float32")
    with pytest.raises(ValueError, match="no multiple of 16"):
        simulate(cuda_kernel("bias_activation", "relu", "float32"), (0, bias, a.ctypes.data + 4, 1, 4))


def test_launches_are_small_unless_told_otherwise(monkeypatch):
    launches = []
    monkeypatch.setattr(target, "simulate", lambda function, grid, block, arguments: launches.append((grid, block)))
    kernel = cuda_kernel("bias_activation", "relu", "float64")
    for shape in {}, {"grid": (3,), "block": (2,)}:
        simulate(kernel, (0, 0, 0, 5000, 100), **shape)
    assert launches == [((3,), (64,)), ((3,), (2,))]


def test_arguments_have_the_dtypes_that_the_kernel_declares(monkeypatch):
    passed = []
    monkeypatch.setattr(target, "simulate", lambda function, grid, block, arguments: passed.extend(arguments))
    simulate(cuda_kernel("update", "sgd", "bfloat16"), (0, 0, 0, 0, 0, 5, 0, 0, 0, 0.5, 0))
    assert {type(item) for item in passed} == {np.int64, np.float32}


def last_of_blocks(results, counter):
    me = thread_of_block()  # noqa: F821
    total = block_sum(real(me))  # noqa: F821
    last = is_last_block(counter, cuda.gridDim.x)  # noqa: F821
    store(results, 2 * first_element(), total)  # noqa: F821
    store(results, 2 * first_element() + 1, real(last))  # noqa: F821


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_a_block_adds_up_and_one_block_is_the_last(threads):
    scope = cuda_kernel("update", "sgd", "float32").python.__globals__
    results, counter = poisoned((3, threads, 2), "float32"), device_array([0])
    kernel = CudaKernel(bind(last_of_blocks, scope, "last_of_blocks"), "update", "float32")
    target.simulate(kernel.python, (3,), (threads,), (results.ctypes.data, counter.ctypes.data))
    assert (results[..., 0] == threads * (threads - 1) // 2).all()
    assert (results[..., 1] == np.array([0, 0, 1])[:, None]).all()
    assert counter[0] == 0


def test_formulas_are_those_of_the_other_target():
    kernel = cuda_kernel("update", "sgd", "float32")
    assert kernel.python.__globals__["update"].__code__ is optimizers.sgd.__code__
