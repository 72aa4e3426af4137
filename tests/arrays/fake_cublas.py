"""cuBLAS in NumPy over host memory: what the calls of accelnn.arrays.cuda.cublas do, and how they refuse.

Written after the cuBLAS documentation and not after our module: matrices are column-major here. Only the prototypes
are shared, and every argument goes through ctypes with them, as on the way into the real library.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelnn.arrays.cuda.cublas import PROTOTYPES

STATUS = {
    "CUBLAS_STATUS_SUCCESS": 0,
    "CUBLAS_STATUS_NOT_INITIALIZED": 1,
    "CUBLAS_STATUS_ALLOC_FAILED": 3,
    "CUBLAS_STATUS_INVALID_VALUE": 7,
    "CUBLAS_STATUS_ARCH_MISMATCH": 8,
    "CUBLAS_STATUS_MAPPING_ERROR": 11,
    "CUBLAS_STATUS_EXECUTION_FAILED": 13,
    "CUBLAS_STATUS_INTERNAL_ERROR": 14,
    "CUBLAS_STATUS_NOT_SUPPORTED": 15,
    "CUBLAS_STATUS_LICENSE_ERROR": 16,
}
SUCCESS, NOT_INITIALIZED, INVALID_VALUE, NOT_SUPPORTED = 0, 1, 7, 15

CUDA_R_32F, CUDA_R_64F, CUDA_R_16BF = 0, 1, 14
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77
GEMM_DEFAULT = -1

STORAGE: dict[int, Any] = {CUDA_R_32F: np.float32, CUDA_R_64F: np.float64, CUDA_R_16BF: np.uint16}
# The rows of the table at cublasGemmEx that accelnn can ask for: compute type, types of A, B and C.
COMBINATIONS = {
    (COMPUTE_32F, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F),
    (COMPUTE_32F, CUDA_R_16BF, CUDA_R_16BF, CUDA_R_16BF),
    (COMPUTE_32F, CUDA_R_16BF, CUDA_R_16BF, CUDA_R_32F),
    (COMPUTE_32F_FAST_TF32, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F),
    (COMPUTE_64F, CUDA_R_64F, CUDA_R_64F, CUDA_R_64F),
}


def bfloat16_bits(x: Any) -> np.ndarray:
    """Return finite numbers, rounded to the nearest bfloat16 (ties to even), as its 16 bits."""
    return (_rounded(x, 16) >> 16).astype(np.uint16)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return the float32 values of bfloat16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _rounded(x: Any, dropped: int) -> np.ndarray:
    """Return the bits of float32 values without their last ``dropped`` bits, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    half = np.uint32((1 << dropped - 1) - 1) + (bits >> dropped & 1)
    return (bits + half) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)


@dataclass
class FakeHandle:
    """The state of a handle; a workspace of None is cuBLAS's own."""

    stream: int = 0
    workspace: tuple[int, int] | None = None
    pointer_mode: int = 0
    math_mode: int = 0


class FakeCublas:
    """A library to give to Cublas.

    calls: name and arguments of every call, in order.
    handles: the state of the handles that are open, by their address.
    failing: name of a function -> the status that it returns instead of doing anything; fill it in to see it fail.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.handles: dict[int, FakeHandle] = {}
        self.failing: dict[str, int] = {}
        for name, arguments in PROTOTYPES.items():
            setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(functools.partial(self._call, name)))

    @property
    def names(self) -> list[str]:
        """The names of the calls, in order."""
        return [name for name, _ in self.calls]

    def cublasGetStatusName(self, status: int) -> bytes:
        names = {number: name for name, number in STATUS.items()}
        return names.get(status, "unrecognized status").encode()

    def _call(self, name: str, *arguments: Any) -> int:
        self.calls.append((name, arguments))
        if name in self.failing:
            return self.failing[name]
        if name == "cublasCreate_v2":
            return self._create(arguments[0])
        if arguments[0] not in self.handles:
            return NOT_INITIALIZED
        return _FUNCTIONS[name](self, *arguments)

    def _create(self, handle: Any) -> int:
        address = 4096 * (1 + sum(name == "cublasCreate_v2" for name in self.names))
        self.handles[address] = FakeHandle()
        handle[0] = address
        return SUCCESS

    def _destroy(self, handle: int) -> int:
        del self.handles[handle]
        return SUCCESS

    def _set_stream(self, handle: int, stream: int | None) -> int:
        self.handles[handle].stream = stream or 0
        self.handles[handle].workspace = None
        return SUCCESS

    def _set_workspace(self, handle: int, workspace: int | None, size: int) -> int:
        if (workspace or 0) % 256:
            return INVALID_VALUE
        self.handles[handle].workspace = (workspace or 0, size)
        return SUCCESS

    def _set_pointer_mode(self, handle: int, mode: int) -> int:
        self.handles[handle].pointer_mode = mode
        return SUCCESS if mode in (0, 1) else INVALID_VALUE

    def _set_math_mode(self, handle: int, mode: int) -> int:
        self.handles[handle].math_mode = mode
        return SUCCESS if mode & ~16 in (0, 1, 2, 3) else INVALID_VALUE

    def _gemm(self, handle: int, trans_a: int, trans_b: int, m: int, n: int, k: int, *rest: Any) -> int:
        alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute, algorithm = rest
        shape_a, shape_b = (k, m) if trans_a else (m, k), (n, k) if trans_b else (k, n)
        wide_enough = lda >= max(1, shape_a[0]) and ldb >= max(1, shape_b[0]) and ldc >= max(1, m)
        if min(m, n, k) < 0 or not {trans_a, trans_b} <= {0, 1} or not wide_enough:
            return INVALID_VALUE
        if not (alpha and beta) or self.handles[handle].pointer_mode != 0:
            return INVALID_VALUE
        if (compute, a_type, b_type, c_type) not in COMBINATIONS or algorithm != GEMM_DEFAULT:
            return NOT_SUPPORTED
        scalar = ctypes.c_double if compute == COMPUTE_64F else ctypes.c_float
        factors = [scalar.from_address(address).value for address in (alpha, beta)]
        operands = [
            _operand(_matrix(a, a_type, shape_a, lda), a_type, compute, bool(trans_a)),
            _operand(_matrix(b, b_type, shape_b, ldb), b_type, compute, bool(trans_b)),
        ]
        _store(_matrix(c, c_type, (m, n), ldc), c_type, factors[0] * (operands[0] @ operands[1]), factors[1])
        return SUCCESS


_FUNCTIONS: dict[str, Any] = {
    "cublasDestroy_v2": FakeCublas._destroy,
    "cublasSetStream_v2": FakeCublas._set_stream,
    "cublasSetWorkspace_v2": FakeCublas._set_workspace,
    "cublasSetPointerMode_v2": FakeCublas._set_pointer_mode,
    "cublasSetMathMode": FakeCublas._set_math_mode,
    "cublasGemmEx_64": FakeCublas._gemm,
}


def _matrix(address: int, kind: int, shape: tuple[int, int], leading: int) -> np.ndarray:
    """Return the column-major matrix at an address, as a view."""
    dtype = np.dtype(STORAGE[kind])
    rows, columns = shape
    if rows * columns == 0:
        return np.zeros(shape, dtype)
    size = (leading * (columns - 1) + rows) * dtype.itemsize
    memory = (ctypes.c_char * size).from_address(address)
    return np.ndarray(shape, dtype, memory, strides=(dtype.itemsize, leading * dtype.itemsize))


def _values(stored: np.ndarray, kind: int) -> np.ndarray:
    return (from_bfloat16(stored) if kind == CUDA_R_16BF else stored).astype(np.float64)


def _operand(stored: np.ndarray, kind: int, compute: int, transposed: bool) -> np.ndarray:
    """Return op(A) in float64, in which sums are exact enough to be rounded once."""
    if compute == COMPUTE_32F_FAST_TF32:
        stored = _rounded(stored, 13).view(np.float32)
    values = _values(stored, kind)
    return values.T if transposed else values


def _store(c: np.ndarray, kind: int, product: np.ndarray, beta: float) -> None:
    """Store product + beta c; with beta 0, c is not read."""
    result = product + beta * _values(c, kind) if beta else product
    c[...] = bfloat16_bits(result) if kind == CUDA_R_16BF else result
