"""The compiler, the assembler and the simulator of CUDA kernels: the only module that imports ``numba.cuda``.

A kernel takes addresses (int64), sizes (int64) and factors (its ``real``). What it uses below the language exists
twice: as intrinsics for compiled code and as plain functions for the simulator, where an address is one of host memory.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numba import cuda, types
from numba.core import config
from numba.cuda.extending import intrinsic

from accelnn_kernels.collector import collector_off
from accelnn_kernels.cuda.accesses import (
    compiled_accesses,
    compiled_add,
    compiled_arrivals,
    compiled_bytes,
    compiled_shifts,
    compiled_thread,
)
from accelnn_kernels.cuda.simulated_accesses import (
    simulated_accesses,
    simulated_add,
    simulated_byte,
    simulated_shifts,
)
from accelnn_kernels.signals import signals_held

module = cuda
"""What templates call ``cuda``: indices, shared and local arrays, barriers."""


def is_simulator() -> bool:
    """Return whether kernels run in Numba's simulator (NUMBA_ENABLE_CUDASIM=1 before the first import)."""
    return bool(config.ENABLE_CUDASIM)


def accesses(element: str, suffix: str = "") -> dict[str, Any]:
    """Return ``load``, ``store``, ``load_wide``, ``store_wide`` and ``load_four`` for elements of this dtype, by name.

    ``load(address, index)`` returns the value, in the dtype that ``shapes.real_of`` says. ``load_wide(address, index,
    values)`` fills a local array of that dtype with the ``shapes.width_of(element)`` elements from ``index`` on; the
    first one's address is a multiple of 16 bytes. ``store(address, index, value)`` and ``store_wide(address, index,
    values)`` write them. ``load_four(address, index, values)`` reads four elements; the first one's address is a
    multiple of what they take, or of 16 bytes if that is less. ``suffix`` is appended to the names.
    """
    return {f"{name}{suffix}": function for name, function in _accesses(element).items()}


@cache
def _accesses(element: str) -> dict[str, Any]:
    return simulated_accesses(element) if is_simulator() else compiled_accesses(element, intrinsic)


@cache
def add_to_counter() -> Any:
    """Return the function ``(address, amount)`` that adds to an int64 and returns what was there before."""
    return simulated_add if is_simulator() else compiled_add(intrinsic)


@cache
def arrivals() -> dict[str, Any]:
    """Return ``arrive(address)`` and ``count_arrivals(address)``, of which a barrier of all blocks is made.

    The first adds 1 to an int64, the second reads it. Whatever the threads of a block wrote before one of them arrives,
    with a barrier of the block in between, is visible to another block, behind a barrier of its own, once one of its
    threads has counted the arrival.
    """
    if is_simulator():
        return {"arrive": partial(simulated_add, amount=1), "count_arrivals": partial(simulated_add, amount=0)}
    return compiled_arrivals(intrinsic)


@cache
def shifts() -> dict[str, Any]:
    """Return ``shift_up(value, bits)`` and ``shift_down(value, bits)`` of int32."""
    return simulated_shifts() if is_simulator() else compiled_shifts(intrinsic)


@cache
def words() -> dict[str, Any]:
    """Return ``load_wide_word(address, index, values)``, which reads four int32, and ``byte_of_word(word, place)``."""
    byte_of_word = simulated_byte if is_simulator() else compiled_bytes(intrinsic)
    return {"load_wide_word": accesses("int32", "_word")["load_wide_word"], "byte_of_word": byte_of_word}


def own_thread() -> dict[str, Any]:
    """Return ``own_thread``, which replaces the template of this name; the simulator uses that one."""
    return {} if is_simulator() else {"own_thread": compiled_thread(intrinsic)}


def alignment(n_bytes: int) -> int | None:
    """Return what a shared array is told so that it begins at a multiple of so many bytes: nothing in the simulator."""
    return None if is_simulator() else n_bytes


def module_of(scope: dict[str, Any]) -> Any:
    """Return ``cuda`` for a second scope of the same kernel: the simulator exchanges that of the first one only."""
    return _ModuleOf(scope) if is_simulator() else module


class _ModuleOf:
    def __init__(self, scope: dict[str, Any]) -> None:
        self._scope = scope

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope["cuda"], name)


def device_function(function: Callable) -> Callable:
    """Compile a function that kernels call; the simulator calls it as it is."""
    return function if is_simulator() else cuda.jit(device=True)(function)


@cache
def elementary() -> dict[str, Any]:
    """Return the elementary functions that scalar formulas use: those of the device's own library."""
    if is_simulator():  # the functions of ``math`` return doubles there, and raise where the result overflows
        return {
            "exp": np.exp,
            "expm1": np.expm1,
            "log1p_unit": np.log1p,
            "tanh": np.tanh,
            "sqrt": np.sqrt,
            "log": np.log,
        }
    functions = {"exp": _exp, "expm1": _expm1, "log1p_unit": _log1p_unit, "tanh": _tanh, "sqrt": _sqrt, "log": _log}
    return {name: device_function(function) for name, function in functions.items()}


def _exp(x):
    return math.exp(x)


def _expm1(x):
    return math.expm1(x)


def _log1p_unit(u):
    return math.log1p(u)


def _tanh(x):
    return math.tanh(x)


def _sqrt(x):
    return math.sqrt(x)


def _log(x):
    return math.log(x)


@dataclass(frozen=True)
class Assembled:
    """Machine code (a cubin), and what the assembler said of it.

    The properties raise RuntimeError where its report has a form that is not known.
    """

    image: bytes
    report: str

    @property
    def registers(self) -> int:
        """Registers per thread."""
        return max(self._numbers(r"Used (\d+) registers"))

    @property
    def stack_bytes(self) -> int:
        """Bytes of a thread's stack frame: local arrays that are not in registers."""
        return sum(self._numbers(r"(\d+) bytes stack frame"))

    @property
    def spill_bytes(self) -> int:
        """Bytes that are stored and loaded because registers did not suffice."""
        return sum(self._numbers(r"(\d+) bytes spill (?:stores|loads)"))

    def _numbers(self, pattern: str) -> list[int]:
        found = [int(number) for number in re.findall(pattern, self.report)]
        if not found:
            raise RuntimeError(f"the assembler's report has another form than expected: {self.report!r}")
        return found


def compile_ptx(
    function: Callable,
    dtypes: Iterable[np.dtype],
    compute_capability: tuple[int, int],
    max_threads: int | None = None,
) -> str:
    """Return the PTX of a kernel with arguments of these dtypes. Its entry is called ``kernel``.

    ``max_threads``: how many threads a block has at most; the assembler then sees to it that they find registers.

    No device and no driver are needed. One thread compiles at a time. What Numba declares for its exceptions is left
    out: kernels raise none, and its names contain a counter, so that no code would ever be the same twice.
    """
    signature = types.void(*(getattr(types, dtype.name) for dtype in dtypes))
    with _without_device(compute_capability), signals_held(), _modules_once(), collector_off():
        ptx, _ = cuda.compile(
            function, signature, cc=compute_capability, device=False, abi="numba", launch_bounds=max_threads
        )
    ptx = re.sub(r"^\.common .*NumbaEnv.*;\n", "", ptx, flags=re.MULTILINE)
    entry = re.search(r"\.entry\s+(\w+)", ptx).group(1)
    return re.sub(rf"\b{entry}(?=\b|_param_)", "kernel", ptx)


def assemble(ptx: str, compute_capability: tuple[int, int]) -> Assembled:
    """Return the machine code for this compute capability; no device and no driver are needed.

    The assembler's highest level may keep more values at hand than there are registers. A lower one then makes the same
    inner loops without.
    """
    code = _assembled(ptx, compute_capability)
    if not _spills(code):
        return code
    return min(code, _assembled(ptx, compute_capability, "-O1"), key=_spills)


def _assembled(ptx: str, compute_capability: tuple[int, int], *more: str) -> Assembled:
    from cuda.core import Linker, LinkerOptions, ObjectCode

    major, minor = compute_capability
    options = LinkerOptions(arch=f"sm_{major}{minor}", ptxas_options=["-v", *more])
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    return Assembled(bytes(linker.link("cubin").code), linker.get_info_log())


def _spills(code: Assembled) -> int:
    """Return the bytes of registers that are spilled, 0 if the report does not say it: the code works in any case."""
    with contextlib.suppress(RuntimeError):
        return code.spill_bytes
    return 0


def versions() -> str:
    """Return the versions of what machine code depends on, as far as it was installed as Python packages."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in _COMPILERS:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return " ".join(found)


_COMPILERS = (
    *("numba", "numba-cuda", "cuda-core"),
    *("nvidia-nvvm", "nvidia-cuda-nvcc-cu12", "nvidia-nvjitlink", "nvidia-nvjitlink-cu12"),
)
"""Packages on the way from a template to machine code, of CUDA 13 and of CUDA 12."""


def simulate(function: Callable, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
    """Run a kernel in the simulator."""
    cuda.jit(function)[grid, block](*arguments)


_compiling = threading.Lock()


@contextlib.contextmanager
def _without_device(compute_capability: tuple[int, int]) -> Iterator[None]:
    """Let the compiler take this compute capability from here: it asks the driver, even where it was told."""
    from numba.cuda import dispatcher

    class Device:
        pass

    Device.compute_capability = compute_capability
    with _compiling:
        before = dispatcher.get_current_device
        dispatcher.get_current_device = Device
        try:
            yield
        finally:
            dispatcher.get_current_device = before


@contextlib.contextmanager
def _modules_once() -> Iterator[None]:
    """Let a function that two others call be linked once: twice, its shared arrays would be defined twice."""
    from numba.cuda.codegen import CUDACodeLibrary

    before = CUDACodeLibrary.modules
    CUDACodeLibrary.modules = property(lambda library: list(dict.fromkeys(before.fget(library))))
    try:
        yield
    finally:
        CUDACodeLibrary.modules = before
