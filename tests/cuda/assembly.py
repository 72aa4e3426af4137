"""What the assembler and the PTX say against a kernel."""

from __future__ import annotations

import re

from accelnn_kernels.cuda.catalog import CudaKernel

REGISTERS_OF_AN_SM = 65536

REGISTERS = {4: 64, 3: 80, 2: 128, 1: 255}
"""How many a thread may have so that this number of blocks of 256 threads share an SM."""

BLOCKS = {"float32": 4, "bfloat16": 4, "float64": 2}
"""How many blocks there are to be. A float64 takes two registers, and its kernels are for checks."""

ROWS = "a thread reads several rows of its columns before it adds: loads in flight instead of threads"
WIDE = "a thread keeps 16 bytes of each of several arrays"

OPERANDS = "a thread keeps eight fours of operands: loads in flight, and blocks of 512 threads are few"

EXCEPTIONS = {
    **{
        (kind, element): (3, ROWS)
        for kind in ("column_sums", "column_squares", "batch_norm_sums")
        for element in ("float32", "bfloat16")
    },
    **{("activation_gradient", element): (2, ROWS) for element in ("float32", "bfloat16")},
    ("batch_norm_sums", "bfloat16"): (2, WIDE),
    ("batch_norm_gradient", "bfloat16"): (3, WIDE),
    ("layer_norm", "bfloat16"): (3, WIDE),
    **{("layer_norm_gradient", element): (2, WIDE) for element in ("float32", "bfloat16")},
    **{("loss", element): (3, WIDE) for element in ("float32", "bfloat16")},
    ("update", "bfloat16"): (3, WIDE),
    **{
        (kind, element): (2, OPERANDS)
        for kind in ("dense_forward", "dense_forward_gathered", "dense_backward", "dense_backward_gathered")
        for element in ("float32", "bfloat16")
    },
}
"""(kind, element): (fewer blocks, the reason)."""

WIDE_LOAD = re.compile(r"\bld\.global\.(v2\.[bfu]64|v4\.[bfu]32)")
FLOAT64 = re.compile(r"\b[a-z][\w.]*\.f64|\.f64")
READS_FLOAT64 = re.compile(r"ld\.global(\.v2)?\.f64|cvt\.rn\.f32\.f64|\.f64")
"""What a kernel may do to inputs in float64 that computes in float32: a declaration of registers has no instruction."""

FROM_FLOAT64 = re.compile(r"(gather_rows|dense_\w+_gathered(\.\w+)?|persistent_steps\.[\w.]+)\.float64\.(?!float64)")
"""Names of kernels whose inputs may be in float64."""

FLOAT_ATOMIC = re.compile(r"\b(?:atom|red)\.[\w.]*\.b?f(?:16|32|64)")


def objections(kernel: CudaKernel, compute_capability: tuple[int, int]) -> list[str]:
    """Return what is wrong with a kernel's code for a compute capability, a line for each finding."""
    ptx = kernel.ptx(compute_capability)
    return [*_of_the_assembler(kernel, ptx, compute_capability), *_of_the_ptx(kernel, ptx)]


def _of_the_assembler(kernel: CudaKernel, ptx: str, compute_capability: tuple[int, int]) -> list[str]:
    from accelnn_kernels.cuda import target

    code = target.assemble(ptx, compute_capability)
    ceiling = _most_registers(kernel)
    found = {
        f"spills {code.spill_bytes} bytes": code.spill_bytes,
        f"has {code.stack_bytes} bytes on the stack": code.stack_bytes,
        f"needs {code.registers} registers, {ceiling} are allowed": code.registers > ceiling,
        "is empty": not code.image,
    }
    return [f"{kernel.name} {text}" for text, is_wrong in found.items() if is_wrong]


def _most_registers(kernel: CudaKernel) -> int:
    """Return how many registers a thread may have; a persistent kernel has an SM for one block."""
    if kernel.kind == "persistent_steps":
        return min(255, REGISTERS_OF_AN_SM // kernel.max_threads)
    return REGISTERS[EXCEPTIONS.get((kernel.kind, kernel.element), (BLOCKS[kernel.element], ""))[0]]


def _of_the_ptx(kernel: CudaKernel, ptx: str) -> list[str]:
    names = kernel.python.__code__.co_names
    fours_are_wide = kernel.kind.startswith(("dense_", "persistent_")) and kernel.element != "bfloat16"
    loads_wide = fours_are_wide or any(name.startswith("load_wide") for name in names)
    found = {
        "computes in float64": kernel.element != "float64" and _computes_in_float64(kernel, ptx),
        "has local memory": ".local" in ptx,
        "calls functions that are not inlined": re.search(r"\bcall\b", ptx),
        "adds floats atomically, in whatever order threads come": FLOAT_ATOMIC.search(ptx),
        "has no load of 16 bytes": loads_wide and not WIDE_LOAD.search(ptx),
    }
    return [f"{kernel.name} {text}" for text, is_wrong in found.items() if is_wrong]


def _computes_in_float64(kernel: CudaKernel, ptx: str) -> bool:
    allowed = READS_FLOAT64.fullmatch if FROM_FLOAT64.match(kernel.name) else lambda instruction: None
    return any(not allowed(found) for found in FLOAT64.findall(ptx))
