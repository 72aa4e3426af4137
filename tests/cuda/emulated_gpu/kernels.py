"""Modules, functions and launches: accelnn's kernels by their machine code, CuPy's as PTX."""

from __future__ import annotations

import ctypes
import functools
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelnn_kernels.cuda.catalog import CudaKernel
from ptx.compiled import machine_of
from ptx.machine import Launch
from ptx.translation import Machine, translate

from emulated_gpu.calls import COOPERATIVE_TOO_LARGE, INVALID_VALUE, Failure, answer, emulates, uint32
from emulated_gpu.device_memory import memory
from emulated_gpu.settings import MULTIPROCESSORS
from emulated_gpu.streams import handles, refuse_in_capture, start

MOST_THREADS, DEEPEST_BLOCK, WIDEST_GRID = 1024, 64, 65535
ELF = b"\x7fELF"

images: dict[bytes, CudaKernel] = {}
"""Machine code -> the kernel that it was made of: the machine executes the PTX it comes from."""

_seeds = itertools.count()


@dataclass
class Function:
    """A kernel of a module. ``machine`` translates it when it is launched first."""

    name: str
    machine: Callable[[], Machine]


_modules: dict[int, CudaKernel | str] = {}
_functions: dict[int, Function] = {}


def remember_machine_code() -> None:
    """Let kernels remember themselves by the code that is made of them."""
    assemble = CudaKernel.image

    def image(kernel: CudaKernel, compute_capability: tuple[int, int]) -> bytes:
        code = assemble(kernel, compute_capability)
        images[code] = kernel
        return code

    CudaKernel.image = image  # type: ignore[method-assign]


@emulates("cuModuleLoadData")
def _load_module(into: int, address: int) -> None:
    refuse_in_capture("cuModuleLoadData")
    handle = next(handles)
    is_machine_code = ctypes.string_at(address, len(ELF)) == ELF
    _modules[handle] = images[_machine_code(address)] if is_machine_code else ctypes.string_at(address).decode()
    answer(into, handle)


def _machine_code(address: int) -> bytes:
    """Return an ELF file: the one of those known that begins with what lies before its table of sections."""
    sections, size, count = struct.unpack_from("<Q10xHH", ctypes.string_at(address, 64), 0x28)
    length = sections + size * count
    begin = ctypes.string_at(address, length)
    return next(code for code in images if code[:length] == begin)


@emulates("cuModuleUnload")
def _unload_module(module: int) -> None:
    del _modules[module]


@emulates("cuModuleGetFunction")
def _find_function(into: int, module: int, name: int) -> None:
    source, wanted = _modules[module], ctypes.string_at(name).decode()
    if isinstance(source, CudaKernel):
        function = Function(source.name, lambda: machine_of(source))
    else:
        function = Function(wanted, functools.cache(lambda: translate(source, wanted)))
    handle = next(handles)
    _functions[handle] = function
    answer(into, handle)


@emulates("cuLaunchKernel")
def _launch(
    function: int, gx: int, gy: int, gz: int, bx: int, by: int, bz: int, shared: int, stream: int, parameters: int
) -> None:
    _start(_functions[function], _sizes(gx, gy, gz), _sizes(bx, by, bz), uint32(shared), stream, parameters)


@emulates("cuLaunchCooperativeKernel")
def _launch_together(
    function: int, gx: int, gy: int, gz: int, bx: int, by: int, bz: int, shared: int, stream: int, parameters: int
) -> None:
    grid = _sizes(gx, gy, gz)
    if np.prod(grid) > MULTIPROCESSORS:
        raise Failure(COOPERATIVE_TOO_LARGE, f"{np.prod(grid)} blocks at the same time")
    _start(_functions[function], grid, _sizes(bx, by, bz), uint32(shared), stream, parameters, is_cooperative=True)


def _sizes(*registers: int) -> tuple[int, ...]:
    return tuple(map(uint32, registers))


def _start(
    function: Function,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    shared: int,
    stream: int,
    parameters: int,
    *,
    is_cooperative: bool = False,
) -> None:
    threads = int(np.prod(block))
    machine = function.machine()
    most = machine.program.max_threads or MOST_THREADS
    if not 0 < threads <= most or block[2] > DEEPEST_BLOCK or max(grid[1:]) > WIDEST_GRID or min(grid) == 0:
        raise Failure(INVALID_VALUE, f"{function.name} with {grid} blocks of {block} threads")
    options: dict[str, Any] = {"is_cooperative": is_cooperative, "dynamic_bytes": shared}
    arguments = _arguments(machine, parameters)

    def run() -> None:
        Launch(machine, function.name, arguments, grid, block, memory, seed=next(_seeds), **options).run()

    start(stream, run, computes=True)


def _arguments(machine: Machine, parameters: int) -> tuple[Any, ...]:
    """Return the arguments as they are now; ``parameters`` is the address of their addresses."""
    dtypes = list(machine.program.parameters.values())
    addresses = (ctypes.c_void_p * len(dtypes)).from_address(parameters) if dtypes else ()
    raw = [ctypes.string_at(address, dtype.itemsize) for address, dtype in zip(addresses, dtypes, strict=True)]
    return tuple(np.frombuffer(bits, dtype)[0] for bits, dtype in zip(raw, dtypes, strict=True))


@emulates("cuOccupancyMaxActiveBlocksPerMultiprocessor")
def _blocks_at_a_time(into: int) -> None:
    answer(into, 1, ctypes.c_int32)


@emulates("cuFuncGetAttribute")
def _attribute_of_function(into: int, attribute: int) -> None:
    answer(into, MOST_THREADS if uint32(attribute) == 0 else 0, ctypes.c_int32)
