"""Denormal numbers are zero for as long as a program runs: one of them may cost as much as a hundred others.

They come by themselves: weights that only decay, as those of pixels that are always 0, end among them and stay there.
A processor computes with zeros instead where a thread asks for it: by flush-to-zero and denormals-are-zero in MXCSR on
x86-64 (Intel SDM, volume 1, 10.2.3), by FZ in FPCR on AArch64 (Arm ARM, D24.2). Elsewhere nothing is changed.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accelnn_kernels.profile import ARM, X86


def run_without_denormals(net, first, last, outputs):
    """Run the steps [first, last) of a program; afterwards the thread computes as it did before.

    The kernels do the arithmetic, and they are reached through addresses: a compiler cannot move it out of here.
    """
    before = float_mode()
    set_float_mode(before | zero_for_denormals)
    steps(net, first, last, *outputs)
    set_float_mode(before)


def mode_bits(machine: str) -> int:
    """Return the bits of the floating-point mode that make denormals zero on this kind of processor, 0 if none is."""
    if machine.lower() in X86:
        return 1 << 15 | 1 << 6
    return 1 << 24 if machine.lower() in ARM else 0


MACHINE = platform.machine().lower()


@intrinsic
def float_mode(typing_context):
    """Return the register that says how this thread computes with floating-point numbers, as int64."""
    return types.int64(), lambda context, builder, signature, values: read_mode(builder, MACHINE)


@intrinsic
def set_float_mode(typing_context, mode):
    """Write what :func:`float_mode` returned, or a change of it, to that register."""

    def codegen(context, builder, signature, values):
        write_mode(builder, values[0], MACHINE)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def read_mode(builder: ir.IRBuilder, machine: str) -> ir.Value:
    """Emit the instructions that read the register of this kind of processor."""
    word = ir.IntType(64)
    if machine in X86:
        place = cgutils.alloca_once(builder, ir.IntType(32))
        _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), builder.bitcast(place, cgutils.voidptr_t))
        return builder.zext(builder.load(place), word)
    return _call(builder, "llvm.aarch64.get.fpcr", word) if machine in ARM else ir.Constant(word, 0)


def write_mode(builder: ir.IRBuilder, mode: ir.Value, machine: str) -> None:
    """Emit the instructions that write the register of this kind of processor."""
    if machine in X86:
        place = cgutils.alloca_once(builder, ir.IntType(32))
        builder.store(builder.trunc(mode, ir.IntType(32)), place)
        _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), builder.bitcast(place, cgutils.voidptr_t))
    elif machine in ARM:
        _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), mode)


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def constants() -> dict[str, Any]:
    """Return the names that the template of this file needs besides ``steps``."""
    return {
        "float_mode": float_mode,
        "set_float_mode": set_float_mode,
        "zero_for_denormals": mode_bits(MACHINE),
    }
