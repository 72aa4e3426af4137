"""Everything that the machine is to find, planted; and the same without it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ptx import machine
from ptx.faults import Deadlock, DivergentBarrier, MemoryFault, Race, Trap
from ptx.machine import Launch
from ptx.memory import Memory
from ptx.snippets import FRAME, SHARED, device_array, run
from ptx.translation import translate

OWN = "mul.wide.s32 %rd1, %r33, 4; add.s64 %rd2, %rd1, %rd30;"
"""%rd2: the address of this thread's element of 4 bytes."""

SHARED_OWN = "mov.u64 %rd3, tile; mul.wide.s32 %rd4, %r30, 4; add.s64 %rd5, %rd3, %rd4;"
"""%rd5: the same in shared memory."""


def words(count: int) -> np.ndarray:
    return device_array(np.full(count, -1, np.int32))


@pytest.mark.parametrize(("access", "reason"), [
    ("st.global.u32 [%rd2+4], %r30", "outside of any allocation: the nearest allocation is array 0, 128 bytes"),
    ("ld.global.u32 %r1, [%rd2-4]", "outside of any allocation"),
    ("ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd2]", "misaligned for 16 bytes"),
    ("st.global.u32 [%rd2+2], %r30", "misaligned for 4 bytes"),
    ("st.shared.u32 [%rd2], %r30", "outside of any allocation"),
    ("atom.global.add.u64 %rd9, [%rd2], 1", "misaligned for 8 bytes"),
    ("ld.global.u32 %r1, [%rd1]", "outside of any allocation"),
])  # fmt: skip
def test_wrong_addresses(access: str, reason: str) -> None:
    with pytest.raises(MemoryFault, match=f"^snippet: {re.escape(repr(access))}, block .* thread .*{reason}"):
        run(f"{OWN} {access};", words(32), declarations=SHARED)


def test_a_byte_too_far() -> None:
    run(f"{OWN} st.global.u32 [%rd2], %r30;", words(32))
    with pytest.raises(MemoryFault, match=r"thread \(31, 0, 0\): global .* ends 4 bytes before its end"):
        run(f"{OWN} st.global.u32 [%rd2], %r30;", words(31))


def test_a_number_that_overflows() -> None:
    """64 rows of 2^26 elements: as an int32, the place of the last row is negative."""
    body = "shl.b32 %r1, %r30, 26; {}; shl.b64 %rd1, %rd1, 2; add.s64 %rd2, %rd30, %rd1; ld.global.u32 %r2, [%rd2];"
    with pytest.raises(MemoryFault, match=r"thread \(32, 0, 0\): global .* behind it"):
        run(
            "setp.lt.s32 %p1, %r30, 32; @%p1 bra $end;" + body.format("cvt.s64.s32 %rd1, %r1") + "$end:",
            words(1),
            block=33,
        )


def test_shared_memory_ends_where_a_variable_ends() -> None:
    body = f"{SHARED_OWN} st.shared.u32 [%rd5], %r30;"
    run(body, block=64, declarations=SHARED)
    with pytest.raises(MemoryFault, match=r"thread \(64, 0, 0\): shared .* the nearest allocation is shared tile, 256"):
        run(body, block=65, declarations=SHARED + "\n.visible .shared .align 8 .b8 other[256];")


def test_shared_memory_that_was_never_written() -> None:
    with pytest.raises(MemoryFault, match=r"shared tile \+ 128 was never written"):
        run(f"{SHARED_OWN} st.shared.u32 [%rd5], %r30; bar.sync 0; ld.shared.u32 %r1, [%rd5+4];", declarations=SHARED)


def test_floats_from_shared_memory_may_be_loaded_ahead_but_not_used() -> None:
    body = f"""{OWN} {SHARED_OWN}
    ld.shared.f32 %f1, [%rd5]; add.f32 %f2, %f1, 0f40000000;
    setp.lt.s32 %p1, %r30, 0; selp.f32 %f3, %f2, 0f3F800000, %p1;
    st.global.f32 [%rd2], {{}};
    """
    run(body.format("%f3"), words(32), declarations=SHARED)
    with pytest.raises(MemoryFault, match=r"'st.global.f32 .* made of .* 'ld.shared.f32 .* shared tile \+ 0 was never"):
        run(body.format("%f2"), words(32), declarations=SHARED)


def test_global_memory_that_was_never_written() -> None:
    values, poison = device_array(np.full(32, np.float32(7), np.float32)), np.float32(9)
    values[20] = poison
    memory = Memory()
    memory.add_array(values, "values").forbid(poison)
    text = FRAME.format(
        declarations="",
        parameters=".param .u64 kernel_param_0",
        loads="ld.param.u64 %rd30, [kernel_param_0];",
        body=f"{OWN} ld.global.f32 %f1, [%rd2];",
    )
    launch = Launch(translate(text), "snippet", (np.int64(values.ctypes.data),), (1,), (32,), memory)
    with pytest.raises(MemoryFault, match=r"thread \(20, 0, 0\): values \+ 80 was never written"):
        launch.run()


def test_dynamic_shared_memory() -> None:
    body, dynamic = f"{SHARED_OWN} st.shared.u32 [%rd5], %r30;", ".extern .shared .align 8 .b8 tile[];"
    run(body, block=64, declarations=dynamic, dynamic_bytes=256)
    with pytest.raises(MemoryFault, match="shared tile, 128 bytes"):
        run(body, block=64, declarations=dynamic, dynamic_bytes=128)


REVERSED = f"""{OWN} {SHARED_OWN}
    st.shared.u32 [%rd5], %r30; {{0}}
    sub.s32 %r1, 31, %r30; mul.wide.s32 %rd6, %r1, 4; add.s64 %rd7, %rd3, %rd6;
    ld.shared.u32 %r2, [%rd7]; {{1}} st.shared.u32 [%rd5], %r2; st.global.u32 [%rd2], %r2;"""


def test_a_barrier_orders_shared_memory() -> None:
    out = words(32)
    run(REVERSED.format("bar.sync 0;", "bar.sync 0;"), out, declarations=SHARED)
    np.testing.assert_array_equal(out, np.arange(32)[::-1])


@pytest.mark.parametrize("barriers", [("", "bar.sync 0;"), ("bar.sync 0;", "")])
def test_a_missing_barrier_in_shared_memory(barriers: tuple[str, str]) -> None:
    with pytest.raises(Race, match=r"byte \d+ of shared tile .*\n.*'[ls][dt].shared.*\n.*'[ls][dt].shared"):
        run(REVERSED.format(*barriers), words(32), declarations=SHARED)


def test_two_threads_that_write_the_same_bytes() -> None:
    with pytest.raises(Race, match=r"byte 0 of array 0 .*\n.*thread \(0, 0, 0\)\n.*thread \(1, 0, 0\)"):
        run("st.global.u32 [%rd30], %r30;", words(1))
    with pytest.raises(Race, match="byte 1 of array 0"):
        run(f"{OWN} st.global.u32 [%rd2], %r30; st.global.u8 [%rd30+1], %rs1;", words(32))


def test_two_threads_that_write_what_is_there_already() -> None:
    with pytest.raises(Race, match="byte 0 of array 0"):
        run("mov.u32 %r1, -1; st.global.u32 [%rd30], %r1;", words(1))


def test_a_barrier_orders_global_memory_in_a_block_only() -> None:
    body = f"{OWN} st.global.u32 [%rd2], %r30; bar.sync 0; ld.global.u32 %r1, [%rd30];"
    run(body, words(64), block=64)
    with pytest.raises(Race, match=r"block \(., 0, 0\).*\n.*block \(., 0, 0\)"):
        run(body, words(64), block=32, grid=2)
    with pytest.raises(Race, match="array 0"):
        run(body.replace("bar.sync 0;", ""), words(64), block=64)


MEETING = """
    mul.wide.s32 %rd1, %r33, 4; add.s64 %rd2, %rd1, %rd30; st.global.u32 [%rd2], %r33;
    {before}
    setp.ne.s32 %p1, %r30, 0;
    @%p1 bra $behind;
    {release}
    {arrive}
    $wait:
    {look} %rd3, [%rd31];
    setp.lt.s64 %p2, %rd3, 4;
    @%p2 bra $wait;
    {acquire}
    $behind:
    {after}
    xor.b32 %r1, %r33, 96; mul.wide.s32 %rd4, %r1, 4; add.s64 %rd5, %rd4, %rd30; ld.global.u32 %r2, [%rd5];
    add.s64 %rd6, %rd32, %rd1; st.global.u32 [%rd6], %r2;
"""
"""Four blocks write, meet, and read what another one has written."""

FENCES = {
    "before": "bar.sync 0;",
    "release": "membar.gl;",
    "arrive": "atom.global.add.u64 %rd9, [%rd31], 1;",
    "look": "ld.relaxed.gpu.global.u64",
    "acquire": "membar.gl;",
    "after": "bar.sync 0;",
}
ORDERS = FENCES | {
    "release": "",
    "arrive": "red.release.gpu.global.add.u64 [%rd31], 1;",
    "look": "ld.acquire.gpu.global.u64",
    "acquire": "",
}


def meet(pieces: dict[str, str], seed: int = 0, is_cooperative: bool = True) -> None:
    out = words(128)
    counter = device_array(np.zeros(1, np.int64))
    run(MEETING.format(**pieces), words(128), counter, out, grid=4, seed=seed, is_cooperative=is_cooperative)
    np.testing.assert_array_equal(out, np.arange(128) ^ 96)


@pytest.mark.parametrize("pieces", [
    FENCES,
    FENCES | {"release": "fence.acq_rel.gpu;", "acquire": "fence.sc.gpu;"},
    FENCES | {"arrive": "red.relaxed.gpu.global.add.u64 [%rd31], 1;", "look": "ld.volatile.global.u64"},
    ORDERS,
    ORDERS | {"arrive": "atom.acq_rel.gpu.global.add.u64 %rd9, [%rd31], 1;"},
    FENCES | {"release": "", "arrive": ORDERS["arrive"]},
])  # fmt: skip
def test_blocks_that_meet(pieces: dict[str, str]) -> None:
    for seed in range(3):
        meet(pieces, seed)


@pytest.mark.parametrize("pieces", [
    *(FENCES | {name: ""} for name in ("before", "release", "acquire", "after")),
    FENCES | {"release": "membar.cta;"},
    FENCES | {"acquire": "fence.acq_rel.cta;"},
    *(ORDERS | {name: ""} for name in ("before", "after")),
    ORDERS | {"arrive": "red.relaxed.gpu.global.add.u64 [%rd31], 1;"},
    ORDERS | {"look": "ld.relaxed.gpu.global.u64"},
])  # fmt: skip
def test_blocks_that_meet_without_order(pieces: dict[str, str]) -> None:
    with pytest.raises(Race, match="array 0"):
        meet(pieces)


def test_a_counter_that_is_also_read_plainly() -> None:
    counter = device_array(np.zeros(1, np.int64))
    body = "{} %rd1, [%rd30]; red.relaxed.gpu.global.add.u64 [%rd30], 1;"
    run(body.format("ld.relaxed.gpu.global.u64"), counter, grid=2)
    with pytest.raises(Race, match="byte 0 of array 0"):
        run(body.format("ld.global.u64"), counter, grid=2)


def test_a_counter_is_reset_behind_a_fence() -> None:
    """What other blocks have added to it comes before the plain store then."""
    body = """
    atom.global.add.u64 %rd1, [%rd30], 1; setp.ne.s64 %p1, %rd1, 2; @%p1 bra $end;
    {} mov.u64 %rd2, 0; st.global.u64 [%rd30], %rd2; $end:
    """
    for seed in range(3):
        run(body.format("membar.gl;"), device_array(np.zeros(1, np.int64)), grid=3, block=1, seed=seed)
        with pytest.raises(Race, match=r"atom\.global.*\n.*st\.global"):
            run(body.format(""), device_array(np.zeros(1, np.int64)), grid=3, block=1, seed=seed)


def test_a_counter_beside_smaller_numbers() -> None:
    """Half of it is as large as the smallest number in its allocation: both halves are one counter all the same."""
    body = """
    mul.wide.s32 %rd3, %r33, 4; add.s64 %rd3, %rd3, %rd30; st.global.u32 [%rd3+8], %r33;
    atom.global.add.u64 %rd1, [%rd30], 1; setp.ne.s64 %p1, %rd1, 2; @%p1 bra $end;
    {} mov.u64 %rd2, 0; st.global.u64 [%rd30], %rd2; $end:
    """
    room = device_array(np.zeros(5, np.int32))
    run(body.format("membar.gl;"), room, grid=3, block=1)
    assert room.tolist() == [0, 0, 0, 1, 2]
    with pytest.raises(Race, match=r"atom\.global.*\n.*st\.global"):
        run(body.format(""), room, grid=3, block=1)


def test_blocks_of_an_ordinary_launch_do_not_wait_for_each_other() -> None:
    with pytest.raises(Deadlock, match=r"no end after \d+ steps\n(.*\n)*2 blocks wait for one of these to end"):
        meet(FENCES, is_cooperative=False)


@pytest.mark.parametrize("look", [
    "atom.global.add.u64 %rd1, [%rd30], 0;",
    "ld.volatile.global.u64 %rd1, [%rd30];",
    "mov.u64 %rd1, 0;",
    "mov.u64 %rd1, 0; st.global.u64 [%rd30], %rd1;",
])  # fmt: skip
def test_a_loop_without_an_end(look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "IDLE_STEPS", 300)
    monkeypatch.setattr(machine, "STEPS_OF_A_BLOCK", 500)
    body = f"$wait: {look} setp.eq.s64 %p1, %rd1, 0; @%p1 bra $wait;"
    with pytest.raises(Deadlock, match=r"no end after \d+ steps\nblock \(0, 0, 0\): 1 of its threads before \['"):
        run(body, device_array(np.zeros(1, np.int64)), block=1)


def test_a_thread_that_waits_for_one_behind_it() -> None:
    """A volatile flag in global memory, which a thread of the same warp sets later in the text."""
    body = """
    setp.eq.s32 %p1, %r30, 0; @%p1 bra $set;
    $wait: ld.volatile.global.u64 %rd1, [%rd30]; setp.eq.s64 %p2, %rd1, 0; @%p2 bra $wait;
    bra.uni $end;
    $set: mov.u64 %rd2, 1; st.volatile.global.u64 [%rd30], %rd2;
    $end:
    """
    run(body, device_array(np.zeros(1, np.int64)))


@pytest.mark.parametrize("body", [
    "setp.lt.s32 %p1, %r30, 16; @%p1 bra $end; bar.sync 0; $end:",
    "setp.lt.s32 %p1, %r30, 16; @%p1 bra $a; bar.sync 0; bra.uni $end; $a: bar.sync 0; $end:",
])  # fmt: skip
def test_barriers_to_which_not_all_threads_come(body: str) -> None:
    with pytest.raises(DivergentBarrier, match=r"not all threads of a block come to a barrier\nblock \(0, 0, 0\): 16"):
        run(body)


def test_a_trap() -> None:
    with pytest.raises(Trap, match="'trap'"):
        run("trap;")


def test_too_many_threads() -> None:
    translated = translate(".entry kernel()\n.maxntid 64, 1, 1\n{\nret;\n}")
    Launch(translated, "snippet", (), (1,), (64,), Memory()).run()
    with pytest.raises(AssertionError, match="takes 64 threads at most"):
        Launch(translated, "snippet", (), (1,), (65,), Memory())


def test_the_same_seed_is_the_same_run() -> None:
    seen = []
    for seed in (1, 1, 2):
        order = device_array(np.zeros(32, np.int64))
        body = """
        mul.wide.s32 %rd1, %r31, 8; add.s64 %rd1, %rd1, %rd30;
        atom.global.add.u64 %rd2, [%rd31], 1; st.global.u64 [%rd1], %rd2;
        """
        run(body, order, device_array(np.zeros(1, np.int64)), grid=32, block=1, seed=seed, is_cooperative=True)
        seen.append(order.tolist())
    assert seen[0] == seen[1] != seen[2]
