"""FusedOps gives what PlainOps gives, for arrays in any order of memory, and does not touch its inputs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import array_api_strict
import numpy as np
import pytest

from accelnn.arrays import FusedOps, PlainOps, reference
from accelnn.errors import ArgumentError, ArgumentTypeError, ShapeError

SHAPES = [(1, 1), (1, 6), (7, 1), (13, 9), (300, 70)]
OPERATIONS = sorted(name for name in dir(PlainOps) if not name.startswith("_"))
KEY = (123, 4_000_000_000)


@dataclass
class Call:
    """One call of an operation: its name and arguments."""

    operation: str
    arguments: tuple[Any, ...]

    def on(self, ops, change=lambda array: array):
        arguments = [change(item) if isinstance(item, np.ndarray) else item for item in self.arguments]
        result = getattr(ops, self.operation)(*arguments)
        return result if isinstance(result, tuple) else (result,)


def loss_calls(rng, dtype, rows, columns):
    output = rng.normal(size=(rows, columns)).astype(dtype)
    weight = (rng.uniform(size=rows) * (rng.uniform(size=rows) < 0.7)).astype(dtype)
    for name in reference.LOSSES:
        target = rng.integers(0, 2, (rows, columns))
        for one_weight in (None, weight, np.zeros(rows, dtype)):
            yield Call("loss_and_gradient", (name, output, target.astype(dtype), one_weight))
        yield Call("loss_and_gradient", (name, output, target))
    labels = rng.integers(-1, columns + 1, rows)
    for kind in (np.int64, np.int8, dtype):
        yield Call("loss_and_gradient", ("cross_entropy", output, labels.astype(kind), weight))
    if columns == 1:
        yield Call("loss_and_gradient", ("mse", output, rng.normal(size=rows)))


def calls(dtype, shape):
    """Return calls of every operation on arrays of this shape."""
    rows, columns = shape
    rng = np.random.default_rng(rows)

    def normal(*size):
        return rng.normal(size=size).astype(dtype)

    for name in reference.ACTIVATIONS:
        z = normal(rows, columns)
        yield Call("bias_activation", (z, normal(columns), name))
        yield Call("bias_activation", (z, None, name))
        yield Call("activation_gradient", (normal(rows, columns), z, reference.ACTIVATIONS[name](z), name))
    yield from loss_calls(rng, dtype, rows, columns)
    x, dy, gamma, beta = normal(rows, columns), normal(rows, columns), normal(columns), normal(columns)
    mean, var = normal(columns), normal(columns) ** 2
    for rate in (0.0, 0.3):
        yield Call("dropout", (x, rate, KEY))
    yield Call("dropout", (x, 0.5, np.array(KEY, np.uint32), 2**32 + 77))
    yield Call("batch_norm", (x, gamma, beta, 1e-2))
    yield Call("batch_norm_gradient", (dy, x, mean, var, gamma, 1e-2))
    yield Call("batch_norm_inference", (x, mean, var, gamma, beta, 1e-2))
    yield Call("layer_norm", (x, gamma, beta, 1e-2))
    yield Call("layer_norm_gradient", (dy, x, gamma, 1e-2))
    for source in (x, rng.integers(0, 256, (rows, 3, columns)).astype(np.uint8), normal(rows)):
        yield Call("gather", (source, rng.integers(0, rows, 5), dtype.name, 0.25, 1.0))
    yield Call("gather", (x, np.zeros(0, np.int32), dtype.name))


def same(array):
    return array


def fortran_ordered(array):
    return np.asfortranarray(array)


def with_gaps(array):
    """Return the same values as every second element of every second, reversed row."""
    large = np.zeros([2 * size for size in array.shape], array.dtype)
    view = large[tuple(slice(None, None, -2) if axis == 0 else slice(None, None, 2) for axis in range(array.ndim))]
    view[...] = array
    return view


def off_alignment(array):
    """Return the same values at an address that is no multiple of the size of an element."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS = [same, fortran_ordered, with_gaps, off_alignment, read_only]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results_of_the_plain_operations(dtype, shape, layout):
    eps = float(np.finfo(dtype).eps)
    for call in calls(dtype, shape):
        expected, actual = call.on(PlainOps()), call.on(FusedOps(), layout)
        assert len(actual) == len(expected), call.operation
        for ours, plain in zip(actual, expected, strict=True):
            assert isinstance(ours, np.ndarray)
            assert (ours.shape, ours.dtype) == (plain.shape, plain.dtype), call
            size = float(np.abs(plain).max(initial=1.0))
            tolerance = eps * (32 + shape[0]) * size
            np.testing.assert_allclose(ours, plain, rtol=32 * eps, atol=tolerance, err_msg=str(call))


def test_inputs_are_not_modified_and_results_are_new(dtype):
    for call in calls(dtype, (13, 9)):
        arrays = [item for item in call.arguments if isinstance(item, np.ndarray)]
        before = [array.copy() for array in arrays]
        results = call.on(FusedOps())
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy, err_msg=str(call))
        for number, result in enumerate(results):
            others = [*arrays, *results[:number]]
            assert not any(np.shares_memory(result, other) for other in others), call
            assert result.flags.writeable


def test_of_two_dtypes_the_wider_one_is_the_result():
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(3, 4))
    for ops in (PlainOps(), FusedOps()):
        assert ops.bias_activation(narrow, wide[0], "relu")[1].dtype == np.float64
        assert ops.bias_activation(wide, narrow[0], "relu")[1].dtype == np.float64
        assert ops.activation_gradient(narrow, wide, wide, "silu")[0].dtype == np.float64
        assert ops.layer_norm(wide, narrow[0], narrow[1], 1e-3).dtype == np.float64


def test_labels_without_a_class_are_not_written_to(dtype):
    """The kernel would take any label for a position in memory."""
    output = np.zeros((4, 3), dtype)
    labels = np.array([-1, 3, 2**40, -(2**40)])
    loss, gradient = FusedOps.loss_and_gradient("cross_entropy", output, labels)
    assert loss == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_signatures_are_those_of_the_plain_operations(name):
    assert inspect.signature(getattr(FusedOps, name)) == inspect.signature(getattr(PlainOps, name))
    assert inspect.getdoc(getattr(FusedOps, name))


def test_every_operation_is_fused():
    assert {name for name in vars(FusedOps) if not name.startswith("_")} == set(OPERATIONS)
    assert {call.operation for call in calls(np.dtype(np.float32), (2, 3))} == set(OPERATIONS)


WRONG_ARRAYS = {
    "half": lambda array: array.astype(np.float16),
    "integer": lambda array: array.astype(np.int64),
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "list": lambda array: array.tolist(),
    "array_api_strict": lambda array: array_api_strict.asarray(array.tolist()),
}


@pytest.mark.parametrize("wrong", WRONG_ARRAYS)
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "gather"])
def test_other_arrays_and_dtypes_are_an_error(operation, wrong):
    call = next(call for call in calls(np.dtype(np.float64), (3, 4)) if call.operation == operation)
    with pytest.raises(ArgumentTypeError, match=r"NumPy|float32"):
        call.on(FusedOps(), WRONG_ARRAYS[wrong])


def test_gather_of_other_dtypes_is_an_error():
    x = np.ones((3, 4))
    for wrong in (x.astype(np.int16), x.astype(bool), x.tolist()):
        with pytest.raises(ArgumentTypeError, match=r"^x is"):
            FusedOps.gather(wrong, np.arange(2), "float32")
    with pytest.raises(ArgumentError, match="dtype"):
        FusedOps.gather(x, np.arange(2), "float16")


@pytest.mark.parametrize("indices", [[0, 3], [-1], [0.0, 1.0], [[0, 1]]])
def test_rows_that_do_not_exist_are_an_error(indices):
    with pytest.raises(ArgumentError, match="indices"):
        FusedOps.gather(np.ones((3, 2)), np.array(indices), "float64")


def test_unknown_names_are_an_error():
    z = np.ones((2, 3))
    for call in (
        lambda: FusedOps.bias_activation(z, None, "tahn"),
        lambda: FusedOps.activation_gradient(z, z, z, "tahn"),
        lambda: FusedOps.loss_and_gradient("msee", z, z),
    ):
        with pytest.raises(ArgumentError, match="did you mean"):
            call()


ROW, SQUARE = np.ones(3), np.ones((2, 3))


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("bias_activation", (ROW, ROW, "relu")),
        ("bias_activation", (SQUARE, np.ones(2), "relu")),
        ("bias_activation", (np.ones((0, 3)), ROW, "relu")),
        ("bias_activation", (np.ones((2, 0)), None, "softmax")),
        ("activation_gradient", (SQUARE, SQUARE, np.ones((2, 4)), "relu")),
        ("loss_and_gradient", ("mse", SQUARE, np.ones((3, 2)))),
        ("loss_and_gradient", ("cross_entropy", SQUARE, np.zeros(3, np.int64))),
        ("loss_and_gradient", ("mse", SQUARE, SQUARE, np.ones(3))),
        ("dropout", (np.ones((2, 2, 2)), 0.5, KEY)),
        ("batch_norm", (SQUARE, np.ones(2), ROW, 1e-3)),
        ("batch_norm_gradient", (SQUARE, SQUARE, ROW, np.ones(1), ROW, 1e-3)),
        ("batch_norm_inference", (SQUARE, ROW, ROW, np.ones((1, 3)), ROW, 1e-3)),
        ("layer_norm", (SQUARE, ROW, np.ones(1), 1e-3)),
        ("layer_norm_gradient", (np.ones((1, 3)), SQUARE, ROW, 1e-3)),
    ],
)
def test_shapes_that_do_not_fit_are_an_error(operation, arguments):
    with pytest.raises(ShapeError, match="shape"):
        getattr(FusedOps, operation)(*arguments)


def test_import_of_the_arrays_compiles_nothing():
    code = (
        "import sys; import accelnn.arrays; accelnn.arrays.FusedOps(); "
        "print([name for name in sys.modules if name.startswith(('numba', 'llvmlite', 'accelnn_kernels'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
