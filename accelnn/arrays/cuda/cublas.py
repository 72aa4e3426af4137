"""Matrix products on a CUDA device, through a cuBLAS handle of our own.

CuPy refuses to call cuBLAS on a stream that is being captured (cupy#6290); cuBLAS itself can be captured, so it is
called here without CuPy. Enumerations and prototypes are those of ``cublas_api.h`` and ``library_types.h``; what the
calls do is in NVIDIA's cuBLAS documentation, https://docs.nvidia.com/cuda/cublas.
"""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass
from typing import Any

from accelnn.arrays import cuda_driver
from accelnn.arrays.cuda_problem import INSTALL_DRIVER, install_line, reason
from accelnn.errors import BackendError, invalid, unknown_name

CUDA_TYPE = {"float32": 0, "float64": 1, "bfloat16": 14}
"""Name of a dtype -> ``cudaDataType_t``."""

_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_32F_FAST_TF32 = 68, 70, 77


@dataclass(frozen=True)
class Precision:
    """What cuBLAS is told: ``compute`` is a ``cublasComputeType_t``, ``scalar`` the C type of alpha and beta."""

    compute: int
    scalar: Any
    element: str
    results: tuple[str, ...]


PRECISIONS = {
    # cuBLAS's "default" arithmetic is at least as precise as its name says: 32F never rounds operands to TF32.
    "float32": Precision(_COMPUTE_32F, ctypes.c_float, "float32", ("float32",)),
    "tf32": Precision(_COMPUTE_32F_FAST_TF32, ctypes.c_float, "float32", ("float32",)),
    "bf16": Precision(_COMPUTE_32F, ctypes.c_float, "bfloat16", ("bfloat16", "float32")),
    "float64": Precision(_COMPUTE_64F, ctypes.c_double, "float64", ("float64",)),
}
"""Name of a precision -> the arithmetic, with the storage of operands and results that it works on."""

_POINTER_MODE_HOST = 0
_GEMM_DEFAULT = -1
# A product cut along its inner dimension is added up in the compute type, also where its result is bfloat16.
_MATH_MODE = 0 | 16  # CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION

_P, _I, _N = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_MATRIX = (_P, _I, _N)  # address, type, leading dimension

# The names are those in the library: the header's macros append _v2 to some. _64 takes sizes as int64 (since CUDA 12).
PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (ctypes.POINTER(_P),),
    "cublasDestroy_v2": (_P,),
    "cublasSetStream_v2": (_P, _P),
    "cublasSetWorkspace_v2": (_P, _P, ctypes.c_size_t),
    "cublasSetPointerMode_v2": (_P, _I),
    "cublasSetMathMode": (_P, _I),
    "cublasGemmEx_64": (_P, _I, _I, _N, _N, _N, _P, *_MATRIX, *_MATRIX, _P, *_MATRIX, _I, _I),
}
"""Name of a cuBLAS function that returns a ``cublasStatus_t`` -> the C types of its arguments."""


def workspace_bytes(compute_capability: tuple[int, int]) -> int:
    """Return the size of workspace that NVIDIA recommends for a device, in bytes.

    compute_capability: (major, minor), e.g. (9, 0). It is 32 MiB from Hopper (9.0) on and 4 MiB before; 16 KiB is the
    least with which every product works. Source: cublasSetWorkspace in the cuBLAS documentation.
    """
    return (32 if compute_capability[0] >= 9 else 4) << 20


@dataclass(frozen=True)
class Gemm:
    """A matrix product: c <- alpha op(a) op(b) + beta c.

    a, b, c: device addresses of dense row-major matrices; c overlaps neither a nor b.
    rows, columns, inner: op(a) is (rows, inner), op(b) is (inner, columns), c is (rows, columns).
    a_transposed, b_transposed: op is the transpose: a is stored as (inner, rows), b as (columns, inner).
    alpha, beta: with beta 0, c is only written, so it may hold anything before, NaN too.
    element, result: storage of a and b, and of c: "float32", "float64" or "bfloat16".
    precision: the arithmetic: "float32"; "tf32", whose operands are rounded to 10 bits of mantissa; "bf16", whose
    elements are bfloat16 and whose result is bfloat16 or float32; "float64". All but the last add up in float32.

    Raises ArgumentError for a negative size, an unknown precision, and storage that does not fit the precision.
    """

    a: int
    b: int
    c: int
    rows: int
    columns: int
    inner: int
    a_transposed: bool = False
    b_transposed: bool = False
    alpha: float = 1.0
    beta: float = 0.0
    element: str = "float32"
    result: str = "float32"
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "inner"):
            if getattr(self, name) < 0:
                raise invalid(name, getattr(self, name), "use an integer >= 0")
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        precision = PRECISIONS[self.precision]
        if self.element != precision.element:
            raise invalid("element", self.element, f"precision {self.precision!r} takes {precision.element!r}")
        if self.result not in precision.results:
            raise invalid("result", self.result, f"precision {self.precision!r} gives {' or '.join(precision.results)}")


class Cublas:
    """A cuBLAS handle for one stream of one device.

    stream: address of a ``cudaStream_t``.
    workspace, workspace_bytes: device memory of this handle alone, at an address that is a multiple of 256 bytes;
    workspace_bytes() says how much. The caller owns it and frees it after close().
    library: what load_library() returns, which is the default.

    The handle belongs to the device that is current when it is made; the same one has to be current at each call.
    Products are only started here; they run in the order of the stream. They may be captured into a CUDA graph, with
    alpha and beta as constants; start each once before, because cuBLAS loads kernels when they are first used.

    The same products give the same bits in every run on the same kind of device with the same cuBLAS. cuBLAS promises
    that for one stream; where several share its pool of workspaces, it may choose another algorithm by what it finds
    there. A handle with a workspace of its own does not depend on the others, and allocates nothing while it is
    captured. A workspace holds partial sums between two kernels: use a handle from one thread at a time.

    Raises BackendError, here and in gemm(), with the call and the status that cuBLAS returned.
    """

    def __init__(self, stream: int, workspace: int, workspace_bytes: int, library: Any = None) -> None:
        self._library = load_library() if library is None else library
        self._handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        try:
            # The stream first: setting it puts cuBLAS's own workspace back in place.
            self._call("cublasSetStream_v2", self._handle, stream)
            self._call("cublasSetWorkspace_v2", self._handle, workspace, workspace_bytes)
            self._call("cublasSetPointerMode_v2", self._handle, _POINTER_MODE_HOST)
            self._call("cublasSetMathMode", self._handle, _MATH_MODE)
        except BackendError:
            self._library.cublasDestroy_v2(self._handle)
            raise

    def gemm(self, product: Gemm) -> None:
        """Start a matrix product on the stream.

        Without rows or columns nothing is done. Without inner elements the sum is empty: c <- beta c.
        """
        if product.rows and product.columns:
            self._call("cublasGemmEx_64", self._handle, *_column_major(product), subject=product)

    def close(self) -> None:
        """Give the handle back; waits for the device, so not while capturing. A second call does nothing."""
        handle, self._handle = self._handle, ctypes.c_void_p()
        if handle:
            self._call("cublasDestroy_v2", handle)

    def _call(self, name: str, *arguments: Any, subject: Any = "") -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            known = self._library.cublasGetStatusName(status).decode()
            on = f" on {subject}" if subject else ""
            raise BackendError(f"{name} failed with {known} ({status}){on}: {_REMEDIES.get(known, _LOGGING)}")


def _column_major(product: Gemm) -> tuple[Any, ...]:
    """Return the arguments of cublasGemmEx behind the handle.

    cuBLAS counts columns first. Read that way, a row-major matrix is its own transpose, and
    c^T = op(b)^T op(a)^T: the operands change places and keep their flags.
    """
    p, precision = product, PRECISIONS[product.precision]
    a = (p.a, CUDA_TYPE[p.element], _row_length(p.rows, p.inner, p.a_transposed))
    b = (p.b, CUDA_TYPE[p.element], _row_length(p.inner, p.columns, p.b_transposed))
    c = (p.c, CUDA_TYPE[p.result], p.columns)
    # cuBLAS reads the scalars, on the host, before it returns.
    alpha, beta = ctypes.byref(precision.scalar(p.alpha)), ctypes.byref(precision.scalar(p.beta))
    sizes = (int(p.b_transposed), int(p.a_transposed), p.columns, p.rows, p.inner)
    return (*sizes, alpha, *b, *a, beta, *c, precision.compute, _GEMM_DEFAULT)


def _row_length(rows: int, columns: int, transposed: bool) -> int:
    """Return the leading dimension, which has to be positive also for an empty matrix."""
    return max(1, rows if transposed else columns)


def load_library() -> Any:
    """Return cuBLAS as a ctypes library with its prototypes declared; raises BackendError if there is none.

    CuPy finds its cuBLAS through the same function, which takes the one that the process already has, and otherwise
    looks in NVIDIA's packages, Conda's, the system's and at CUDA_PATH. So there is one copy, whoever comes first; a
    second one would work, and hold its kernels in device memory once more.
    """
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
        library = ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
        _declare(library)
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        install = install_line(cuda_driver.driver_version() or 13000)
        raise BackendError(f"cuBLAS cannot be loaded ({reason(error)}); to fix it, {install}") from error
    return library


def _declare(library: Any) -> None:
    for name, arguments in PROTOTYPES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, ctypes.c_int
    library.cublasGetStatusName.argtypes, library.cublasGetStatusName.restype = [ctypes.c_int], ctypes.c_char_p


_LOGGING = "set CUBLAS_LOGINFO_DBG=1 and CUBLAS_LOGDEST_DBG=stderr to see what cuBLAS was asked"
_OTHER = "this device or this cuBLAS cannot do it; try precision 'float32', or "
_REMEDIES = {
    "CUBLAS_STATUS_NOT_INITIALIZED": "the handle is closed, or the driver or the device does not answer: "
    + INSTALL_DRIVER,
    "CUBLAS_STATUS_ALLOC_FAILED": "the device has no memory left; use a smaller batch or free what else is there",
    "CUBLAS_STATUS_NOT_SUPPORTED": _OTHER + _LOGGING,
    "CUBLAS_STATUS_ARCH_MISMATCH": _OTHER + _LOGGING,
}
