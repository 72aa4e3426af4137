"""The operations of PlainOps as fused, compiled loops: for NumPy arrays of float32 or float64.

A kernel reads raw memory, so every shape is checked here, and arrays that are strided, or of the narrower of two
dtypes, are copied into the order that kernels read. Importing this module compiles nothing; each operation compiles
its kernel, or loads it from the cache, at its first use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from accelnn.arrays import reference
from accelnn.arrays.addresses import address_to_read, address_to_write
from accelnn.arrays.ops import PlainOps
from accelnn.arrays.reference.losses import matched_target
from accelnn.arrays.typing import Array, DTypeName
from accelnn.errors import ArgumentTypeError, ShapeError, invalid, unknown_name, wrong_type

Host: TypeAlias = npt.NDArray[Any]

_FLOATS = ("float32", "float64")
_SOURCES = ("uint8", *_FLOATS)
_NAMES = {np.dtype(name): name for name in _FLOATS}


class FusedOps(PlainOps):
    """The same operations and results, up to rounding, as PlainOps; faster on a CPU.

    Arrays must be NumPy arrays of float32 or float64 with one row or more; of mixed dtypes the wider one is the
    dtype of the result. Raises ArgumentTypeError for other arrays and other dtypes, ShapeError for shapes that do not
    fit together, ArgumentError for unknown names.
    """

    @staticmethod
    def bias_activation(z: Array, bias: Array | None, name: str) -> tuple[Array, Array]:
        """Return ``(z + bias, a)``; see :func:`accelnn.arrays.reference.bias_activation`."""
        _check_known("activation", name, reference.ACTIVATIONS)
        rows, columns = _shape("z", z)
        dtype = _dtype(z=z) if bias is None else _dtype(z=z, bias=bias)
        none = np.zeros(columns, dtype)
        (bias,) = _fitting((columns,), dtype, bias=none if bias is None else bias)
        shifted = np.add(z, bias, order="C")
        a = shifted.copy()
        _run("bias_activation", name, dtype, _out(shifted), none, _out(a), rows, columns)
        return shifted, a

    @staticmethod
    def activation_gradient(da: Array, z: Array, a: Array, name: str) -> tuple[Array, Array]:
        """Return ``(dz, db)``; see :func:`accelnn.arrays.reference.activation_gradient`."""
        _check_known("activation", name, reference.ACTIVATIONS)
        rows, columns = shape = _shape("da", da)
        dtype = _dtype(da=da, z=z, a=a)
        dz, db = np.array(da, dtype, order="C"), np.empty(columns, dtype)
        z, a = _fitting(shape, dtype, z=z, a=a)
        _run("activation_gradient", name, dtype, _out(dz), z, a, _out(db), rows, columns)
        return dz, db

    @staticmethod
    def loss_and_gradient(name: str, output: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        """Return a loss, 0-d, and its gradient; see :func:`accelnn.arrays.reference.loss_and_gradient`."""
        _check_known("loss", name, reference.LOSSES)
        rows, columns = shape = _shape("output", output)
        dtype = _dtype(output=output)
        (weights,) = _fitting((rows,), np.dtype(np.float64), weight=np.ones(rows) if weight is None else weight)
        factor = _loss_factor(name, weights, columns)
        variant, target, weights = _prepared_target(name, output, _checked("target", target), weights)
        (output,), gradient = _fitting(shape, dtype, output=output), np.empty(shape, dtype)
        loss = _run("loss", variant, dtype, output, _out(gradient), target, weights, factor, rows, columns)
        return np.asarray(loss, dtype), gradient

    @staticmethod
    def dropout(x: Array, rate: float, key: Sequence[int] | npt.NDArray[np.uint32], first_row: int = 0) -> Array:
        """Return ``x`` with elements dropped; see :func:`accelnn.arrays.reference.dropout`."""
        rows, columns = shape = _shape("x", x)
        (x,) = _fitting(shape, _dtype(x=x), x=x)
        y = np.empty_like(x)
        start, first, second = int(first_row) % (1 << 32), int(key[0]), int(key[1])
        _run("dropout", "", x.dtype, x, _out(y), rows, columns, start, first, second, float(rate))
        return y

    @staticmethod
    def batch_norm(x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
        """Return ``(y, mean, var)``; see :func:`accelnn.arrays.reference.batch_norm`."""
        rows, columns = shape = _shape("x", x)
        (x,) = _fitting(shape, _dtype(x=x, gamma=gamma, beta=beta), x=x)
        mean, var = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
        _run("column_sums", "", x.dtype, x, rows, columns, _out(mean))
        _run("scale", "", x.dtype, _out(mean), columns, 1.0 / rows)
        _run("column_squares", "", x.dtype, x, mean, rows, columns, _out(var))
        _run("scale", "", x.dtype, _out(var), columns, 1.0 / rows)
        return FusedOps.batch_norm_inference(x, mean, var, gamma, beta, eps), mean, var

    @staticmethod
    def batch_norm_gradient(
        dy: Array, x: Array, mean: Array, var: Array, gamma: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        """Return ``(dx, dgamma, dbeta)``; see :func:`accelnn.arrays.reference.batch_norm_gradient`."""
        rows, columns = shape = _shape("x", x)
        dtype = _dtype(dy=dy, x=x, mean=mean, var=var, gamma=gamma)
        dy, x = _fitting(shape, dtype, dy=dy, x=x)
        mean, gamma = _fitting((columns,), dtype, mean=mean, gamma=gamma)
        inverse = _inverse_deviation(var, columns, dtype, eps)
        dx, dgamma, dbeta = np.empty(shape, dtype), np.empty(columns, dtype), np.empty(columns, dtype)
        _run("batch_norm_sums", "", dtype, dy, x, mean, inverse, _out(dgamma), _out(dbeta), rows, columns)
        sums = (gamma, dgamma, dbeta)
        _run("batch_norm_gradient", "", dtype, dy, x, mean, inverse, *sums, _out(dx), rows, columns, rows)
        return dx, dgamma, dbeta

    @staticmethod
    def batch_norm_inference(x: Array, mean: Array, var: Array, gamma: Array, beta: Array, eps: float) -> Array:
        """Return ``y`` for given statistics; see :func:`accelnn.arrays.reference.batch_norm_inference`."""
        rows, columns = shape = _shape("x", x)
        dtype = _dtype(x=x, mean=mean, var=var, gamma=gamma, beta=beta)
        (x,), y = _fitting(shape, dtype, x=x), np.empty(shape, dtype)
        mean, gamma, beta = _fitting((columns,), dtype, mean=mean, gamma=gamma, beta=beta)
        inverse = _inverse_deviation(var, columns, dtype, eps)
        _run("batch_norm", "", dtype, x, mean, inverse, gamma, beta, _out(y), rows, columns)
        return y

    @staticmethod
    def layer_norm(x: Array, gamma: Array, beta: Array, eps: float) -> Array:
        """Return ``y``; see :func:`accelnn.arrays.reference.layer_norm`."""
        rows, columns = shape = _shape("x", x)
        dtype = _dtype(x=x, gamma=gamma, beta=beta)
        (x,), y = _fitting(shape, dtype, x=x), np.empty(shape, dtype)
        gamma, beta = _fitting((columns,), dtype, gamma=gamma, beta=beta)
        _run("layer_norm", "", dtype, x, gamma, beta, _out(y), rows, columns, float(eps))
        return y

    @staticmethod
    def layer_norm_gradient(dy: Array, x: Array, gamma: Array, eps: float) -> tuple[Array, Array, Array]:
        """Return ``(dx, dgamma, dbeta)``; see :func:`accelnn.arrays.reference.layer_norm_gradient`."""
        rows, columns = shape = _shape("x", x)
        dtype = _dtype(dy=dy, x=x, gamma=gamma)
        dy, x = _fitting(shape, dtype, dy=dy, x=x)
        (gamma,) = _fitting((columns,), dtype, gamma=gamma)
        dx, dgamma, dbeta = np.empty(shape, dtype), np.empty(columns, dtype), np.empty(columns, dtype)
        results = _out(dx), _out(dgamma), _out(dbeta)
        _run("layer_norm_gradient", "", dtype, dy, x, gamma, *results, rows, columns, float(eps))
        return dx, dgamma, dbeta

    @staticmethod
    def gather(x: Array, indices: Array, dtype: DTypeName, scale: float = 1.0, offset: float = 0.0) -> Array:
        """Return ``x[indices] * scale + offset``; see :func:`accelnn.arrays.reference.gather`.

        ``x`` may also be uint8. Raises ArgumentError for an index that is not in 0..n-1.
        """
        _check_known("dtype", dtype, _FLOATS)
        if _checked("x", x).dtype not in _SOURCES:
            raise wrong_type("x", x.dtype, f"use one of {', '.join(_SOURCES)}")
        rows = _with_neighbours(x)
        indices = _row_numbers(indices, len(x))
        out = np.empty((len(indices), *x.shape[1:]), dtype)
        places = (rows.strides[0] // rows.itemsize, indices, len(indices), len(indices), rows.shape[1])
        _run("gather_rows", x.dtype.name, out.dtype, rows, *places, _out(out), float(scale), float(offset))
        return out


def _run(kind: str, variant: str, dtype: np.dtype[Any], *arguments: Any) -> float | None:
    """Call a kernel; arrays that it reads go by their address, those that it writes to as ``_out`` returns them."""
    from accelnn_kernels.catalog import kernel

    passed = [address_to_read(item) if isinstance(item, np.ndarray) else item for item in arguments]
    result: float | None = kernel(kind, variant, _NAMES[dtype])(*passed)
    return result


def _out(array: Host) -> int:
    """Return where a kernel writes a result; the caller has to keep ``array``, which is new."""
    return address_to_write("a result", array, array.dtype, array.size)


def _check_known(argument: str, name: str, known: Any) -> None:
    if name not in known:
        raise unknown_name(argument, name, known)


def _checked(name: str, array: Array) -> Host:
    """Return ``array`` if it is a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise wrong_type(name, array, "fused operations work on NumPy arrays: convert it with numpy.asarray")
    return array


def _dtype(**arrays: Array) -> np.dtype[Any]:
    """Return the widest dtype of the arrays, all of which must be NumPy arrays of floats."""
    for name, array in arrays.items():
        if _checked(name, array).dtype not in _FLOATS:
            raise ArgumentTypeError(f"{name} has dtype {array.dtype}: fused operations work on float32 and float64")
    return np.result_type(*arrays.values())


def _shape(name: str, array: Array) -> tuple[int, int]:
    """Return (rows, columns) of ``array``, which must have two dimensions and at least one element."""
    shape = _checked(name, array).shape
    if len(shape) != 2 or 0 in shape:
        raise ShapeError(f"{name} has shape {shape}: use (batch, units) with at least one of each")
    return shape


def _fitting(shape: tuple[int, ...], dtype: np.dtype[Any], **arrays: Array) -> list[Host]:
    """Return arrays of this shape in this dtype, aligned and in C order; copied only where they have to be."""
    for name, array in arrays.items():
        if _checked(name, array).shape != shape:
            raise ShapeError(f"{name} has shape {array.shape}: this operation needs {shape}")
    return [_readable(array, dtype) for array in arrays.values()]


def _readable(array: Host, dtype: np.dtype[Any]) -> Host:
    # The first question is answered much faster than numpy.require answers the second.
    if array.dtype == dtype and array.flags.carray:
        return array
    return np.require(array, dtype, ("C_CONTIGUOUS", "ALIGNED"))


def _inverse_deviation(var: Array, columns: int, dtype: np.dtype[Any], eps: float) -> Host:
    """Return 1 / sqrt(var + eps)."""
    (var,), inverse = _fitting((columns,), dtype, var=var), np.empty(columns, dtype)
    _run("inverse_deviation", "", dtype, var, columns, float(eps), _out(inverse))
    return inverse


def _loss_factor(name: str, weights: Host, columns: int) -> float:
    """Return what each row's loss, times its weight, is multiplied by: 0 when a mean has no weight at all."""
    from accelnn_kernels.losses import MEAN_OVER_OUTPUTS

    factor = 1.0 / columns if name in MEAN_OVER_OUTPUTS else 1.0
    if reference.LOSSES[name].reduction == "sum":
        return factor
    total = float(weights.sum())
    return factor / total if total > 0.0 else 0.0


def _prepared_target(name: str, output: Host, target: Host, weights: Host) -> tuple[str, Host, Host]:
    """Return the kernel's variant with the target and the weights that it takes."""
    if name != "cross_entropy" or target.ndim != 1:
        variant = "cross_entropy_rows" if name == "cross_entropy" else name
        return variant, _readable(matched_target(output, target), output.dtype), weights
    (labels,) = _fitting((len(output),), np.dtype(np.int64), target=target)
    # A label outside 0..K-1 stands for no class; the kernel must not use it as a position.
    known = (labels >= 0) & (labels < output.shape[1])
    return name, np.where(known, labels, 0), np.where(known, weights, 0.0)


def _with_neighbours(x: Host) -> Host:
    """Return ``x (n, ...)`` as rows (n, columns) whose elements are neighbours; copied only where they are not."""
    rows = x.reshape(len(x), math.prod(x.shape[1:]))
    neighbours = rows.strides[1] == rows.itemsize and rows.strides[0] % rows.itemsize == 0
    return rows if neighbours and rows.flags.aligned else rows.copy(order="C")


def _row_numbers(indices: Array, n: int) -> Host:
    """Return ``indices`` as int64 if all are in 0..n-1."""
    if _checked("indices", indices).ndim != 1 or indices.dtype.kind not in "iu":
        raise invalid("indices", indices, "use a vector of integers")
    if indices.size and not 0 <= indices.min() <= indices.max() < n:
        raise invalid("indices", indices, f"use row numbers in 0..{n - 1}")
    return _readable(indices, np.dtype(np.int64))
