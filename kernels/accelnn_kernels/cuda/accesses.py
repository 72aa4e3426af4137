"""Memory accesses of compiled CUDA kernels, as intrinsics: what ``target.accesses`` returns for a device.

``intrinsic`` is the decorator of the compiler in use; :mod:`accelnn_kernels.cuda.target` hands it in.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from accelnn_kernels.cuda.shapes import ITEMSIZE, WIDE_BYTES, real_of, width_of

_INT = {size: ir.IntType(8 * size) for size in (1, 2, 4, 8)}
_MODEL = {
    "uint8": _INT[1],
    "bfloat16": _INT[2],
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "int32": _INT[4],
    "int64": _INT[8],
}
_NUMBER = {
    "uint8": types.uint8,
    "int32": types.int32,
    "int64": types.int64,
    "float32": types.float32,
    "float64": types.float64,
}


def compiled_accesses(element: str, intrinsic: Any) -> dict[str, Any]:
    """Return ``load``, ``store``, ``load_wide``, ``store_wide`` and ``load_four`` for elements of this dtype."""
    makers = {
        "load": _loader,
        "store": _storer,
        "load_wide": _wide_loader,
        "store_wide": _wide_storer,
        "load_four": _four_loader,
    }
    return {name: intrinsic(make(element)) for name, make in makers.items()}


def compiled_add(intrinsic: Any) -> Any:
    """Return ``add_to_counter(address, amount)``, which returns what was there before."""

    @intrinsic
    def add_to_counter(typing_context, address, amount):
        def codegen(context, builder, signature, values):
            pointer = builder.inttoptr(values[0], _INT[8].as_pointer(1))
            return builder.atomic_rmw("add", pointer, values[1], "monotonic")

        return types.int64(types.int64, types.int64), codegen

    return add_to_counter


def compiled_arrivals(intrinsic: Any) -> dict[str, Any]:
    """Return ``arrive`` and ``count_arrivals``, see :func:`accelnn_kernels.cuda.target.arrivals`.

    They are instructions of the memory model (PTX ISA, "Memory Consistency Model"), which LLVM has no name for: a
    release and an acquire, of what is then visible to the whole device.
    """

    @intrinsic
    def arrive(typing_context, address):
        def codegen(context, builder, signature, values):
            kind = ir.FunctionType(ir.VoidType(), [_INT[8]])
            builder.asm(kind, "red.release.gpu.global.add.u64 [$0], 1;", "l,~{memory}", values, True)
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    @intrinsic
    def count_arrivals(typing_context, address):
        def codegen(context, builder, signature, values):
            kind = ir.FunctionType(_INT[8], [_INT[8]])
            return builder.asm(kind, "ld.acquire.gpu.global.u64 $0, [$1];", "=l,l,~{memory}", values, True)

        return types.int64(types.int64), codegen

    return {"arrive": arrive, "count_arrivals": count_arrivals}


def compiled_shifts(intrinsic: Any) -> dict[str, Any]:
    """Return ``shift_up`` and ``shift_down`` of int32: Python's operators make 64 bits of them."""

    def make(instruction):
        @intrinsic
        def shift(typing_context, value, bits):
            def codegen(context, builder, signature, values):
                return getattr(builder, instruction)(*values)

            return types.int32(types.int32, types.int32), codegen

        return shift

    return {"shift_up": make("shl"), "shift_down": make("ashr")}


def compiled_bytes(intrinsic: Any) -> Any:
    """Return ``byte_of_word(word, place)``: an instruction of its own, where a shift and a mask would be two."""

    @intrinsic
    def byte_of_word(typing_context, word, place):
        def codegen(context, builder, signature, values):
            kind = ir.FunctionType(_INT[4], [_INT[4]] * 3)
            permute = cgutils.get_or_insert_function(builder.module, kind, "llvm.nvvm.prmt")
            selector = builder.add(values[1], _word(0x4440))  # the three other bytes are those of a 0
            return builder.call(permute, [values[0], _word(0), selector])

        return types.int32(types.int32, types.int32), codegen

    return byte_of_word


def compiled_thread(intrinsic: Any) -> Any:
    """Return ``own_thread()``, threadIdx.x as a number that the compiler does not keep.

    What it computes from a number that never changes it computes once, ahead of all loops; in a kernel with many loops
    these results fill the registers.
    """

    @intrinsic
    def own_thread(typing_context):
        def codegen(context, builder, signature, values):
            return builder.asm(ir.FunctionType(_INT[4], []), "mov.u32 $0, %tid.x;", "=r", [], True)

        return types.int32(), codegen

    return own_thread


def _loader(element):
    def load(typing_context, address, index):
        def codegen(context, builder, signature, values):
            pointer = _pointer(builder, *values, ITEMSIZE[element], _MODEL[element])
            return _decoded(builder, builder.load(pointer, align=ITEMSIZE[element]), element)

        return _NUMBER[real_of(element)](types.int64, types.int64), codegen

    return load


def _storer(element):
    def store(typing_context, address, index, value):
        def codegen(context, builder, signature, values):
            pointer = _pointer(builder, *values[:2], ITEMSIZE[element], _MODEL[element])
            builder.store(_encoded(builder, values[2], element), pointer, align=ITEMSIZE[element])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, _NUMBER[real_of(element)]), codegen

    return store


def _wide_loader(element):
    def load_wide(typing_context, address, index, values):
        def codegen(context, builder, signature, arguments):
            pointer = _pointer(builder, *arguments[:2], ITEMSIZE[element], _vector(element, width_of(element)))
            items = _unpacked(builder, builder.load(pointer, align=WIDE_BYTES), element)
            slots = _slots(context, builder, signature.args[2], arguments[2], width_of(element))
            for item, slot in zip(items, slots, strict=True):
                builder.store(item, slot)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, values), codegen

    return load_wide


def _four_loader(element):
    """Return a loader of four elements: one access, or two where they have more than 16 bytes."""
    of_an_access = min(4, width_of(element))
    size_bytes = of_an_access * ITEMSIZE[element]

    def load_four(typing_context, address, index, values):
        def codegen(context, builder, signature, arguments):
            items = []
            for first in range(0, 4, of_an_access):
                place = builder.add(arguments[1], ir.Constant(_INT[8], first))
                pointer = _pointer(builder, arguments[0], place, ITEMSIZE[element], _vector(element, of_an_access))
                items += _unpacked(builder, builder.load(pointer, align=size_bytes), element)
            slots = _slots(context, builder, signature.args[2], arguments[2], 4)
            for item, slot in zip(items, slots, strict=True):
                builder.store(item, slot)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, values), codegen

    return load_four


def _wide_storer(element):
    def store_wide(typing_context, address, index, values):
        def codegen(context, builder, signature, arguments):
            slots = _slots(context, builder, signature.args[2], arguments[2], width_of(element))
            vector = _packed(builder, [builder.load(slot) for slot in slots], element)
            pointer = _pointer(builder, *arguments[:2], ITEMSIZE[element], _vector(element, width_of(element)))
            builder.store(vector, pointer, align=WIDE_BYTES)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, values), codegen

    return store_wide


def _pointer(builder, address, index, itemsize, model):
    """Return a pointer to global memory: with the address space known, the shortest instruction is chosen."""
    place = builder.add(address, builder.mul(index, ir.Constant(_INT[8], itemsize)))
    return builder.inttoptr(place, model.as_pointer(1))


def _slots(context, builder, array_type, array, width):
    """Return pointers to the elements of a local array."""
    data = context.make_array(array_type)(context, builder, array).data
    return [builder.gep(data, [_word(i)]) for i in range(width)]


def _vector(element, count):
    """Return what an access to ``count`` elements moves: as eight 16-bit numbers it would become two accesses."""
    if element == "bfloat16":
        return ir.VectorType(_INT[4], count // 2)
    return ir.VectorType(_MODEL[element], count)


def _unpacked(builder, vector, element):
    """Return the reals in what a wide access has loaded; the first of two bfloat16 is the lower half of a word."""
    items = [builder.extract_element(vector, _word(i)) for i in range(vector.type.count)]
    if element != "bfloat16":
        return items
    halves = [half for item in items for half in (builder.shl(item, _word(16)), builder.and_(item, _word(0xFFFF0000)))]
    return [builder.bitcast(half, ir.FloatType()) for half in halves]


def _packed(builder, values, element):
    """Return reals as a wide access stores them."""
    if element == "bfloat16":
        bits = [_rounded(builder, value) for value in values]
        values = [
            builder.or_(builder.lshr(low, _word(16)), builder.and_(high, _word(0xFFFF0000)))
            for low, high in zip(bits[::2], bits[1::2], strict=True)
        ]
    vector = ir.Constant(_vector(element, width_of(element)), ir.Undefined)
    for i, value in enumerate(values):
        vector = builder.insert_element(vector, value, _word(i))
    return vector


def _decoded(builder, value, element):
    """Return a loaded element as a real."""
    if element != "bfloat16":
        return value
    return builder.bitcast(builder.shl(builder.zext(value, _INT[4]), _word(16)), ir.FloatType())


def _encoded(builder, value, element):
    """Return a real as an element is stored."""
    if element != "bfloat16":
        return value
    return builder.trunc(builder.lshr(_rounded(builder, value), _word(16)), _INT[2])


def _rounded(builder, value):
    """Return the bits of a float32 whose upper half is the nearest bfloat16, ties to even; NaN stays NaN."""
    bits = builder.bitcast(value, _INT[4])
    odd = builder.and_(builder.lshr(bits, _word(16)), _word(1))
    rounded = builder.add(bits, builder.add(odd, _word(0x7FFF)))
    quiet = builder.or_(bits, _word(0x400000))  # rounding could turn NaN into infinity
    return builder.select(builder.fcmp_unordered("uno", value, value), quiet, rounded)


def _word(number):
    return ir.Constant(_INT[4], number)
