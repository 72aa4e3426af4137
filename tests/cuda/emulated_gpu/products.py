"""cuBLAS: handles, and matrix products by NumPy in float64."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelnn_kernels.cuda.simulated_accesses import to_bfloat16

from emulated_gpu.calls import INVALID_VALUE, Failure, answer, emulates, int32, uint32
from emulated_gpu.device_memory import on_device
from emulated_gpu.streams import LEGACY, finish_all, handles, refuse_in_capture, start, stream_of

BFLOAT16 = 14
DTYPES = {0: np.dtype(np.float32), 1: np.dtype(np.float64), 2: np.dtype(np.float16), BFLOAT16: np.dtype(np.uint16)}
"""``cudaDataType_t`` -> how the elements are kept."""

COMPUTE_64F = (70, 71)
"""The types of computation whose alpha and beta are float64."""

NOT_INITIALIZED = 1


@dataclass
class Handle:
    """What a handle was told."""

    stream: int = LEGACY
    pointer_mode: int = 0
    math_mode: int = 0


_handles: dict[int, Handle] = {}


@emulates("cublasCreate_v2")
def _create(into: int) -> None:
    refuse_in_capture("cublasCreate")
    number = next(handles)
    _handles[number] = Handle()
    answer(into, number)


@emulates("cublasDestroy_v2")
def _destroy(number: int) -> int:
    if number not in _handles:
        return NOT_INITIALIZED
    refuse_in_capture("cublasDestroy")
    finish_all()
    del _handles[number]
    return 0


@emulates("cublasSetStream_v2")
def _set_stream(number: int, stream: int) -> None:
    stream_of(stream)
    _handles[number].stream = stream


@emulates("cublasGetStream_v2")
def _get_stream(number: int, into: int) -> None:
    answer(into, _handles[number].stream)


@emulates("cublasSetWorkspace_v2")
def _set_workspace(number: int, address: int, size: int) -> None:
    if address % 256 or not on_device(address, size):
        raise Failure(INVALID_VALUE, f"a workspace of {size} bytes at {address:#x}")


@emulates("cublasSetPointerMode_v2")
def _set_pointer_mode(number: int, mode: int) -> None:
    _handles[number].pointer_mode = uint32(mode)


@emulates("cublasGetPointerMode_v2")
def _get_pointer_mode(number: int, into: int) -> None:
    answer(into, _handles[number].pointer_mode, ctypes.c_int32)


@emulates("cublasSetMathMode")
def _set_math_mode(number: int, mode: int) -> None:
    _handles[number].math_mode = uint32(mode)


@emulates("cublasGetMathMode")
def _get_math_mode(number: int, into: int) -> None:
    answer(into, _handles[number].math_mode, ctypes.c_int32)


@dataclass(frozen=True)
class Matrix:
    """A matrix in columns, ``distance`` elements from one to the next, on the device."""

    address: int
    kind: int
    rows: int
    columns: int
    distance: int

    def elements(self) -> Any:
        """Return it as an array (rows, columns) that shares its memory."""
        dtype = DTYPES[self.kind]
        size = ((self.columns - 1) * self.distance + self.rows) * dtype.itemsize
        if not on_device(self.address, size):
            raise Failure(INVALID_VALUE, f"{self} is not on the device")
        raw = np.frombuffer((ctypes.c_char * size).from_address(self.address), dtype)
        strides = dtype.itemsize, self.distance * dtype.itemsize
        return np.lib.stride_tricks.as_strided(raw, (self.rows, self.columns), strides)

    def values(self) -> np.ndarray:
        """Return its values."""
        elements = self.elements()
        if self.kind == BFLOAT16:
            elements = (elements.astype(np.uint32) << 16).view(np.float32)
        return np.asarray(elements, np.float64)

    def set(self, values: np.ndarray) -> None:
        """Write values."""
        narrow = to_bfloat16(values.astype(np.float32)) if self.kind == BFLOAT16 else values
        self.elements()[...] = narrow


@emulates("cublasGemmEx")
def _gemm(
    number: int, a_op: int, b_op: int, m: int, n: int, k: int, alpha: int, a: int, a_type: int, lda: int,
    b: int, b_type: int, ldb: int, beta: int, c: int, c_type: int, ldc: int, compute: int,
) -> None:  # fmt: skip
    m, n, k, lda, ldb, ldc = map(int32, (m, n, k, lda, ldb, ldc))
    _gemm_64(number, a_op, b_op, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute)


@emulates("cublasGemmEx_64")
def _gemm_64(
    number: int, a_op: int, b_op: int, m: int, n: int, k: int, alpha: int, a: int, a_type: int, lda: int,
    b: int, b_type: int, ldb: int, beta: int, c: int, c_type: int, ldc: int, compute: int,
) -> None:  # fmt: skip
    """c <- alpha op(a) op(b) + beta c, in columns; the scalars lie on the host and are read at once."""
    a_transposed, b_transposed = uint32(a_op) != 0, uint32(b_op) != 0
    scalar = ctypes.c_double if uint32(compute) in COMPUTE_64F else ctypes.c_float
    factors = scalar.from_address(alpha).value, scalar.from_address(beta).value
    left = Matrix(a, uint32(a_type), *((k, m) if a_transposed else (m, k)), lda)
    right = Matrix(b, uint32(b_type), *((n, k) if b_transposed else (k, n)), ldb)
    result = Matrix(c, uint32(c_type), m, n, ldc)

    def run() -> None:
        total = np.zeros((m, n))
        with np.errstate(all="ignore"):
            if k:
                x, y = left.values(), right.values()
                total = factors[0] * ((x.T if a_transposed else x) @ (y.T if b_transposed else y))
            result.set(total + factors[1] * result.values() if factors[1] else total)

    start(_handles[number].stream, run, computes=True)
