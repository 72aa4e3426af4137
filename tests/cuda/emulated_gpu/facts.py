"""What the device and the driver say of themselves."""

from __future__ import annotations

import ctypes

from emulated_gpu.calls import INVALID_VALUE, Failure, answer, emulates, uint32
from emulated_gpu.kernels import MOST_THREADS
from emulated_gpu.settings import MULTIPROCESSORS

CUDA_VERSION = 13000
CONTEXT = 0xC0
INVALID_DEVICE, NOT_SUPPORTED = 101, 801

ATTRIBUTES = {
    1: MOST_THREADS, 2: MOST_THREADS, 3: MOST_THREADS, 4: 64, 5: (1 << 31) - 1, 6: 65535, 7: 65535, 8: 48 << 10,
    10: 32, 12: 65536, 16: MULTIPROCESSORS, 39: 2048, 75: 9, 76: 0, 81: 228 << 10, 82: 65536, 95: 1, 97: 227 << 10,
}  # fmt: skip
"""``cudaDeviceAttr`` -> the value; 16 multiprocessors, 75 and 76 compute capability, 95 cooperative launches."""


@emulates("cudaDeviceGetAttribute")
def _attribute(into: int, attribute: int, device: int) -> None:
    answer(into, ATTRIBUTES.get(uint32(attribute), 1), ctypes.c_int32)


@emulates("cudaGetDeviceCount")
def _count(into: int) -> None:
    answer(into, 1, ctypes.c_int32)


@emulates("cudaGetDevice")
def _current(into: int) -> None:
    answer(into, 0, ctypes.c_int32)


@emulates("cudaSetDevice")
def _select(device: int) -> None:
    if uint32(device):
        raise Failure(INVALID_DEVICE)


@emulates("cudaDriverGetVersion")
def _driver_of_runtime(into: int) -> None:
    answer(into, CUDA_VERSION, ctypes.c_int32)


@emulates("cudaRuntimeGetVersion")
def _runtime(into: int) -> None:
    answer(into, CUDA_VERSION, ctypes.c_int32)


@emulates("cuDriverGetVersion")
def _driver(into: int) -> None:
    answer(into, CUDA_VERSION, ctypes.c_int32)


@emulates("cudaGetLastError")
def _last_error() -> int:
    return 0


@emulates("cuGetExportTable")
def _export_table() -> int:
    """Have nothing that NVIDIA does not document: NVRTC asks, and does without."""
    return NOT_SUPPORTED


@emulates("cuInit")
def _initialize() -> None:
    """Do nothing."""


@emulates("cuCtxGetCurrent")
def _context(into: int) -> None:
    answer(into, CONTEXT)


@emulates("cuCtxSetCurrent")
def _select_context(context: int) -> None:
    if context != CONTEXT:
        raise Failure(INVALID_VALUE)


_ERROR = ctypes.create_string_buffer(b"error of the emulated driver; stderr says more")


@emulates("cuGetErrorName")
def _error_name(error: int, into: int) -> None:
    answer(into, ctypes.addressof(_ERROR))


@emulates("cuGetErrorString")
def _error_text(error: int, into: int) -> None:
    answer(into, ctypes.addressof(_ERROR))
