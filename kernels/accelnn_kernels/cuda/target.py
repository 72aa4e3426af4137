"""What CUDA templates use below the language, and the compiler. The only module that imports ``numba.cuda``.

Every memory access exists twice: as an intrinsic for compiled code and as a plain function for Numba's simulator,
where an address is one of host memory. A kernel takes addresses (int64), sizes (int64) and factors (its ``real``).
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cuda, types
from numba.core import config

WIDE_BYTES = 16
"""The bytes of the widest access: one of this size per thread reads memory fastest."""

ITEMSIZE = {"uint8": 1, "bfloat16": 2, "float32": 4, "float64": 8, "int64": 8}

_INT = {size: ir.IntType(8 * size) for size in (1, 2, 4, 8)}
_MODEL = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "int64": _INT[8], "uint8": _INT[1]}
_TYPE = {"float32": types.float32, "float64": types.float64, "int64": types.int64, "uint8": types.uint8}


def is_simulator() -> bool:
    """Return whether kernels run in Numba's simulator (NUMBA_ENABLE_CUDASIM=1 before the first import)."""
    return bool(config.ENABLE_CUDASIM)


def width_of(element: str) -> int:
    """Return how many elements a wide access moves."""
    return WIDE_BYTES // ITEMSIZE[element]


def real_of(element: str) -> str:
    """Return the dtype in which elements are computed with."""
    return "float32" if element == "bfloat16" else element


def accesses(element: str, suffix: str = "") -> dict[str, Any]:
    """Return ``load``, ``store``, ``load_wide`` and ``store_wide`` for elements of this dtype, by name.

    ``load(address, index)`` returns the value, in the dtype that ``real_of`` says. ``load_wide(address, index,
    values)`` fills a local array with the ``width_of(element)`` elements from ``index`` on; the first one's address is
    a multiple of 16 bytes. ``suffix`` is appended to the names.
    """
    make = _simulated_accesses if is_simulator() else _compiled_accesses
    return {f"{name}{suffix}": function for name, function in make(element).items()}


def elementary() -> dict[str, Any]:
    """Return the elementary functions that scalar formulas use: those of the device's own library."""
    functions = {"exp": _exp, "expm1": _expm1, "log1p_unit": _log1p_unit, "tanh": _tanh, "sqrt": _sqrt, "log": _log}
    return {name: device_function(function) for name, function in functions.items()}


def device_function(function: Callable) -> Callable:
    """Compile a function that kernels call; the simulator calls it as it is."""
    return function if is_simulator() else cuda.jit(device=True)(function)


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


if is_simulator():  # Python's functions return doubles, and overflow is an error there
    _exp, _expm1, _log1p_unit, _tanh, _sqrt, _log = np.exp, np.expm1, np.log1p, np.tanh, np.sqrt, np.log


@dataclass(frozen=True)
class Assembled:
    """Machine code, and what the assembler said of it: registers per thread, bytes on the stack and spilled."""

    image: bytes
    registers: int
    stack_bytes: int
    spill_bytes: int


def compile_ptx(function: Callable, arguments: tuple[Any, ...], compute_capability: tuple[int, int]) -> str:
    """Return the PTX of a kernel, whose entry is called ``kernel``. No device and no driver are needed."""
    with _without_device(compute_capability):
        signature = types.void(*arguments)
        ptx, _ = cuda.compile(function, signature, cc=compute_capability, device=False, abi="numba", output="ptx")
    entry = re.search(r"\.entry\s+(\w+)", ptx).group(1)
    return re.sub(rf"\b{entry}(?=\b|_param_)", "kernel", ptx)


def assemble(ptx: str, compute_capability: tuple[int, int]) -> Assembled:
    """Return the machine code of a kernel for this compute capability."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    major, minor = compute_capability
    options = LinkerOptions(arch=f"sm_{major}{minor}", ptxas_options=["-v"])
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    image = linker.link("cubin").code
    return Assembled(bytes(image), *_usage(linker.get_info_log()))


def versions() -> str:
    """Return the versions of everything that machine code depends on."""
    from importlib.metadata import version

    return " ".join(f"{name} {version(name)}" for name in ("numba-cuda", "cuda-core", "nvidia-nvjitlink"))


def simulate(function: Callable, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
    """Run a kernel in the simulator."""
    cuda.jit(function)[grid, block](*arguments)


def _usage(log: str) -> tuple[int, int, int]:
    """Return (registers, stack bytes, spilled bytes) from the assembler's report."""
    registers = re.search(r"Used (\d+) registers", log)
    frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    if registers is None or frame is None:
        raise RuntimeError(f"the assembler's report has another form than expected: {log!r}")
    stack, stores, loads = (int(number) for number in frame.groups())
    return int(registers.group(1)), stack, stores + loads


@contextlib.contextmanager
def _without_device(compute_capability: tuple[int, int]) -> Iterator[None]:
    """Let the compiler take this compute capability from here: it asks the driver, even where it was told."""
    from numba.cuda import dispatcher

    class Device:
        pass

    Device.compute_capability = compute_capability
    before = dispatcher.get_current_device
    dispatcher.get_current_device = Device
    try:
        yield
    finally:
        dispatcher.get_current_device = before


def _compiled_accesses(element: str) -> dict[str, Any]:
    width = width_of(element)
    return {
        "load": _loader(element),
        "store": _storer(element),
        "load_wide": _wide_loader(element, width),
        "store_wide": _wide_storer(element, width),
    }


def _pointer(builder: Any, address: Any, index: Any, itemsize: int, model: Any) -> Any:
    """Return a pointer to global memory: with the address space known, the shortest instruction is chosen."""
    place = builder.add(address, builder.mul(index, ir.Constant(_INT[8], itemsize)))
    return builder.inttoptr(place, model.as_pointer(1))


def _decoded(builder: Any, value: Any, element: str) -> Any:
    """Return a loaded value as a real."""
    if element != "bfloat16":
        return value
    bits = builder.shl(builder.zext(value, _INT[4]), ir.Constant(_INT[4], 16))
    return builder.bitcast(bits, ir.FloatType())


def _encoded(builder: Any, value: Any, element: str) -> Any:
    """Return a real as it is stored: bfloat16 is the upper half of a float32, rounded to nearest, ties to even."""
    if element != "bfloat16":
        return value
    constant = lambda number: ir.Constant(_INT[4], number)  # noqa: E731
    bits = builder.bitcast(value, _INT[4])
    odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    rounded = builder.lshr(builder.add(bits, builder.add(odd, constant(0x7FFF))), constant(16))
    quiet = builder.or_(builder.lshr(bits, constant(16)), constant(0x40))  # rounding could turn NaN into infinity
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, quiet, rounded), _INT[2])


def _model(element: str) -> Any:
    return _INT[2] if element == "bfloat16" else _MODEL[element]


def _number(element: str) -> Any:
    return _TYPE[real_of(element)]


def _loader(element: str) -> Any:
    from numba.cuda.extending import intrinsic

    @intrinsic
    def load(typing_context, address, index):
        def codegen(context, builder, signature, values):
            pointer = _pointer(builder, *values, ITEMSIZE[element], _model(element))
            return _decoded(builder, builder.load(pointer, align=ITEMSIZE[element]), element)

        return _number(element)(types.int64, types.int64), codegen

    return load


def _storer(element: str) -> Any:
    from numba.cuda.extending import intrinsic

    @intrinsic
    def store(typing_context, address, index, value):
        def codegen(context, builder, signature, values):
            pointer = _pointer(builder, *values[:2], ITEMSIZE[element], _model(element))
            builder.store(_encoded(builder, values[2], element), pointer, align=ITEMSIZE[element])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, _number(element)), codegen

    return store


def _slots(context: Any, builder: Any, array_type: Any, array: Any, width: int) -> list[Any]:
    """Return pointers to the elements of a local array."""
    data = context.make_array(array_type)(context, builder, array).data
    return [builder.gep(data, [ir.Constant(_INT[4], i)]) for i in range(width)]


def _wide_loader(element: str, width: int) -> Any:
    from numba.cuda.extending import intrinsic

    @intrinsic
    def load_wide(typing_context, address, index, values):
        def codegen(context, builder, signature, arguments):
            model = ir.VectorType(_model(element), width)
            pointer = _pointer(builder, *arguments[:2], ITEMSIZE[element], model)
            vector = builder.load(pointer, align=WIDE_BYTES)
            for i, slot in enumerate(_slots(context, builder, signature.args[2], arguments[2], width)):
                item = builder.extract_element(vector, ir.Constant(_INT[4], i))
                builder.store(_decoded(builder, item, element), slot)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, values), codegen

    return load_wide


def _wide_storer(element: str, width: int) -> Any:
    from numba.cuda.extending import intrinsic

    @intrinsic
    def store_wide(typing_context, address, index, values):
        def codegen(context, builder, signature, arguments):
            model = ir.VectorType(_model(element), width)
            vector = ir.Constant(model, ir.Undefined)
            for i, slot in enumerate(_slots(context, builder, signature.args[2], arguments[2], width)):
                item = _encoded(builder, builder.load(slot), element)
                vector = builder.insert_element(vector, item, ir.Constant(_INT[4], i))
            pointer = _pointer(builder, *arguments[:2], ITEMSIZE[element], model)
            builder.store(vector, pointer, align=WIDE_BYTES)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, values), codegen

    return store_wide


def _add_to_counter() -> Any:
    if is_simulator():
        return _simulated_add
    from numba.cuda.extending import intrinsic

    @intrinsic
    def add_to_counter(typing_context, address, amount):
        """Add to the int64 at ``address``, whatever other threads do, and return what was there before."""

        def codegen(context, builder, signature, values):
            pointer = builder.inttoptr(values[0], _INT[8].as_pointer(1))
            return builder.atomic_rmw("add", pointer, values[1], "monotonic")

        return types.int64(types.int64, types.int64), codegen

    return add_to_counter


def _simulated_view(address: int, index: int, count: int, dtype: Any) -> np.ndarray:
    from accelnn_kernels.memory import view

    dtype = np.dtype(dtype)
    place = int(address) + int(index) * dtype.itemsize
    if dtype.itemsize * count == WIDE_BYTES and place % WIDE_BYTES:
        raise ValueError(f"a wide access to address {place}, which is no multiple of {WIDE_BYTES}")
    return view(place, (count,), dtype)


def _simulated_add(address: int, amount: int) -> int:
    counter = _simulated_view(address, 0, 1, np.int64)
    before = int(counter[0])
    counter[0] += amount
    return before


def _simulated_accesses(element: str) -> dict[str, Any]:
    width, stored = width_of(element), np.dtype("uint16" if element == "bfloat16" else element)
    decode, encode = (from_bfloat16, to_bfloat16) if element == "bfloat16" else (lambda x: x, lambda x: x)

    def load(address, index):
        return decode(_simulated_view(address, index, 1, stored))[0]

    def store(address, index, value):
        _simulated_view(address, index, 1, stored)[0] = encode(np.array([value], real_of(element)))[0]

    def load_wide(address, index, values):
        values[:] = decode(_simulated_view(address, index, width, stored))

    def store_wide(address, index, values):
        _simulated_view(address, index, width, stored)[:] = encode(np.array(values[:], real_of(element)))

    return {"load": load, "store": store, "load_wide": load_wide, "store_wide": store_wide}


def from_bfloat16(stored: np.ndarray) -> np.ndarray:
    return (stored.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Return float32 values as bfloat16, the bits in uint16: rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)


add_to_counter = _add_to_counter()
module = cuda
