"""Kernels of a few lines, written in PTX, for tests of the machine itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptx.machine import Launch
from ptx.memory import Memory
from ptx.translation import translate

FRAME = """
.version 9.0
.target sm_90
.address_size 64
{declarations}
.visible .entry kernel({parameters})
{{
    .reg .pred %p<20>;
    .reg .b16 %rs<20>;
    .reg .b32 %r<40>;
    .reg .b64 %rd<40>;
    .reg .f32 %f<40>;
    .reg .f64 %fd<40>;
{loads}
    mov.u32 %r30, %tid.x;
    mov.u32 %r31, %ctaid.x;
    mov.u32 %r32, %ntid.x;
    mad.lo.s32 %r33, %r31, %r32, %r30;
{body}
    ret;
}}
"""
"""The arguments are in %rd30 and on. %r30: the thread in its block, %r31: the block, %r33: the thread in the launch."""

SHARED = ".visible .shared .align 8 .b8 tile[256];"


def device_array(values: Any) -> np.ndarray:
    """Return a copy at an address that is a multiple of 256."""
    values = np.asarray(values)
    raw = np.zeros(values.nbytes + 512, np.uint8)
    start = -raw.ctypes.data % 256
    out = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    out[...] = values
    return out


def run(
    body: str,
    *arrays: np.ndarray,
    block: int = 32,
    grid: int = 1,
    declarations: str = "",
    **options: Any,
) -> Launch:
    """Launch a kernel whose arguments are the addresses of ``arrays``; it knows no other memory."""
    names = [f"kernel_param_{i}" for i in range(len(arrays))]
    text = FRAME.format(
        declarations=declarations,
        parameters=", ".join(f".param .u64 {name}" for name in names),
        loads="\n".join(f"    ld.param.u64 %rd{30 + i}, [{name}];" for i, name in enumerate(names)),
        body=body,
    )
    memory = Memory()
    for i, array in enumerate(arrays):
        memory.add_array(array, f"array {i}")
    addresses = tuple(np.int64(array.ctypes.data) for array in arrays)
    launch = Launch(translate(text), "snippet", addresses, (grid,), (block,), memory, **options)
    launch.run()
    return launch
