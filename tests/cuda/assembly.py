"""What the assembler and the PTX say against a kernel."""

from __future__ import annotations

import re

from accelnn_kernels.cuda.catalog import CudaKernel

MAX_REGISTERS = {"float32": 64, "bfloat16": 64, "float64": 128}
"""Per thread. With 64 of them an SM has 1024 threads at work. A float64 takes two, and its kernels are for checks."""

EXCEPTIONS: dict[tuple[str, str], tuple[int, str]] = {}
"""(kind, element): (another ceiling, why this kind needs it)."""

WIDE_LOAD = re.compile(r"\bld\.global\.(v2\.[bfu]64|v4\.[bfu]32)")
FLOAT_ATOMIC = re.compile(r"\b(?:atom|red)\.[\w.]*\.b?f(?:16|32|64)")


def objections(kernel: CudaKernel, compute_capability: tuple[int, int]) -> list[str]:
    """Return what is wrong with a kernel's code for a compute capability, a line for each finding."""
    ptx = kernel.ptx(compute_capability)
    return [*_of_the_assembler(kernel, ptx, compute_capability), *_of_the_ptx(kernel, ptx)]


def _of_the_assembler(kernel: CudaKernel, ptx: str, compute_capability: tuple[int, int]) -> list[str]:
    from accelnn_kernels.cuda import target

    code = target.assemble(ptx, compute_capability)
    ceiling, _ = EXCEPTIONS.get((kernel.kind, kernel.element), (MAX_REGISTERS[kernel.element], ""))
    found = {
        f"spills {code.spill_bytes} bytes": code.spill_bytes,
        f"has {code.stack_bytes} bytes on the stack": code.stack_bytes,
        f"needs {code.registers} registers, {ceiling} are allowed": code.registers > ceiling,
        "is empty": not code.image,
    }
    return [f"{kernel.name} {text}" for text, is_wrong in found.items() if is_wrong]


def _of_the_ptx(kernel: CudaKernel, ptx: str) -> list[str]:
    names = kernel.python.__code__.co_names
    loads_wide = any(name.startswith("load_wide") for name in names)
    found = {
        "computes in float64": kernel.element != "float64" and ".f64" in ptx,
        "has local memory": ".local" in ptx,
        "calls functions that are not inlined": re.search(r"\bcall\b", ptx),
        "adds floats atomically, in whatever order threads come": FLOAT_ATOMIC.search(ptx),
        "has no load of 16 bytes": loads_wide and not WIDE_LOAD.search(ptx),
    }
    return [f"{kernel.name} {text}" for text, is_wrong in found.items() if is_wrong]
