"""Instructions on their own, against NumPy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ptx.arithmetic import flushed
from ptx.faults import Race
from ptx.machine import Launch
from ptx.memory import Memory
from ptx.snippets import SHARED, device_array, run
from ptx.translation import translate

PREFIX = {"s32": "%r", "u32": "%r", "b32": "%r", "s64": "%rd", "u64": "%rd", "b64": "%rd", "f32": "%f", "f64": "%fd"}
DTYPE = {"s32": "i4", "u32": "u4", "b32": "u4", "s64": "i8", "u64": "u8", "b64": "u8", "f32": "f4", "f64": "f8"}
N = 64


def numbers(kind: str, seed: int) -> np.ndarray:
    """Return numbers of a type, the extreme ones among them."""
    rng, dtype = np.random.default_rng(seed), np.dtype(DTYPE[kind])
    if dtype.kind == "f":
        values = rng.normal(size=N) * 10.0 ** rng.integers(-8, 8, N)
        values[:9] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.5]
        rng.shuffle(values[:16])
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, N, dtype, endpoint=True)
    values[:4] = [limits.min, limits.max, 1, 7]
    rng.shuffle(values[:8])
    return values


def computed(instruction: str, given: str, result: str, *operands: np.ndarray) -> np.ndarray:
    """Return what an instruction makes of the operands; ``{0}`` stands for the result, ``{1}`` for the first one."""
    out = device_array(np.zeros(N, DTYPE[result]))
    arrays = [device_array(operand) for operand in operands]
    a, size = PREFIX[given], np.dtype(DTYPE[given]).itemsize
    lines = [f"mul.wide.s32 %rd1, %r30, {size}; mul.wide.s32 %rd2, %r30, {out.itemsize}; add.s64 %rd3, %rd30, %rd2;"]
    lines += [f"add.s64 %rd4, %rd{31 + i}, %rd1; ld.global.{given} {a}{10 + i}, [%rd4];" for i in range(len(arrays))]
    target = f"{PREFIX[result]}20"
    lines.append(instruction.format(target, *(f"{a}{10 + i}" for i in range(len(arrays)))) + ";")
    lines.append(f"st.global.{result} [%rd3], {target};")
    run("\n".join(lines), out, *arrays, block=N)
    return out


def high(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    bits = 8 * a.itemsize
    words = [((int(x) * int(y)) >> bits) & ((1 << bits) - 1) for x, y in zip(a, b, strict=True)]
    return np.array(words, f"u{a.itemsize}").view(a.dtype)


def shifted(a: np.ndarray, bits: int) -> np.ndarray:
    return np.array([int(x) >> bits for x in a], a.dtype)


Case = tuple[str, str, str, Callable[..., Any]]

INTEGERS: list[Case] = [
    ("add.s32 {0}, {1}, {2}", "s32", "s32", lambda a, b: a + b),
    ("sub.s64 {0}, {1}, {2}", "s64", "s64", lambda a, b: a - b),
    ("mul.lo.s32 {0}, {1}, {2}", "s32", "s32", lambda a, b: a * b),
    ("mul.lo.s64 {0}, {1}, {2}", "s64", "s64", lambda a, b: a * b),
    ("mul.wide.s32 {0}, {1}, {2}", "s32", "s64", lambda a, b: a.astype("i8") * b),
    ("mul.wide.u32 {0}, {1}, {2}", "u32", "u64", lambda a, b: a.astype("u8") * b),
    ("mul.hi.u32 {0}, {1}, {2}", "u32", "u32", high),
    ("mul.hi.s64 {0}, {1}, {2}", "s64", "s64", high),
    ("mul.hi.u64 {0}, {1}, {2}", "u64", "u64", high),
    ("mad.lo.s32 {0}, {1}, {2}, 17", "s32", "s32", lambda a, b: a * b + np.int32(17)),
    ("div.u32 {0}, {1}, {2}", "u32", "u32", lambda a, b: a // b),
    ("rem.u32 {0}, {1}, {2}", "u32", "u32", lambda a, b: a % b),
    ("div.s32 {0}, {1}, 7", "s32", "s32", lambda a: np.trunc(a / 7.0)),
    ("rem.s32 {0}, {1}, 7", "s32", "s32", lambda a: np.fmod(a, 7)),
    ("div.u64 {0}, {1}, {2}", "u64", "u64", lambda a, b: a // b),
    ("and.b32 {0}, {1}, {2}", "b32", "b32", lambda a, b: a & b),
    ("or.b64 {0}, {1}, {2}", "b64", "b64", lambda a, b: a | b),
    ("xor.b32 {0}, {1}, -1", "b32", "b32", lambda a: ~a),
    ("not.b64 {0}, {1}", "b64", "b64", lambda a: ~a),
    ("neg.s64 {0}, {1}", "s64", "s64", lambda a: -a),
    ("abs.s32 {0}, {1}", "s32", "s32", np.abs),
    ("min.s32 {0}, {1}, {2}", "s32", "s32", np.minimum),
    ("max.u64 {0}, {1}, {2}", "u64", "u64", np.maximum),
    ("shl.b32 {0}, {1}, 5", "b32", "b32", lambda a: a << np.uint32(5)),
    ("shl.b32 {0}, {1}, 32", "b32", "b32", lambda a: a * np.uint32(0)),
    ("shr.s32 {0}, {1}, 40", "s32", "s32", lambda a: shifted(a, 40)),
    ("shr.s64 {0}, {1}, 3", "s64", "s64", lambda a: shifted(a, 3)),
    ("shr.u32 {0}, {1}, 3", "u32", "u32", lambda a: shifted(a, 3)),
    ("shr.u64 {0}, {1}, 63", "u64", "u64", lambda a: shifted(a, 63)),
    ("bfi.b32 {0}, {1}, {2}, 4, 8", "b32", "b32", lambda a, b: (b & 0xFFFFF00F) | ((a & 0xFF) << 4)),
    ("prmt.b32 {0}, {1}, {2}, 0x1054", "b32", "b32", lambda a, b: ((a & 0xFFFF) << 16) | (b & 0xFFFF)),
    ("prmt.b32 {0}, {1}, {2}, 0x7632", "b32", "b32", lambda a, b: (a >> 16) | (b & 0xFFFF0000)),
    ("shf.l.wrap.b32 {0}, {1}, {1}, 7", "b32", "b32", lambda a: (a << 7) | (a >> 25)),
    ("cvt.s64.s32 {0}, {1}", "s32", "s64", lambda a: a),
    ("cvt.u64.u32 {0}, {1}", "u32", "u64", lambda a: a),
    ("cvt.u32.u64 {0}, {1}", "u64", "u32", lambda a: a & np.uint64(0xFFFFFFFF)),
    ("mov.b64 {0}, {1}", "s64", "b64", lambda a: a.view("u8")),
    ("mov.b32 {0}, {1}", "b32", "f32", lambda a: a.view("f4")),
]

FLOATS: list[Case] = [
    ("add.f32 {0}, {1}, {2}", "f32", "f32", lambda a, b: a + b),
    ("sub.f64 {0}, {1}, {2}", "f64", "f64", lambda a, b: a - b),
    ("mul.f32 {0}, {1}, {2}", "f32", "f32", lambda a, b: a * b),
    ("div.rn.f32 {0}, {1}, {2}", "f32", "f32", lambda a, b: a / b),
    ("div.rn.f64 {0}, {1}, {2}", "f64", "f64", lambda a, b: a / b),
    ("rcp.rn.f64 {0}, {1}", "f64", "f64", lambda a: 1 / a),
    ("sqrt.rn.f32 {0}, {1}", "f32", "f32", np.sqrt),
    ("neg.f32 {0}, {1}", "f32", "f32", lambda a: -a),
    ("abs.f64 {0}, {1}", "f64", "f64", np.abs),
    ("copysign.f32 {0}, {1}, {2}", "f32", "f32", lambda a, b: np.copysign(b, a)),
    ("min.f32 {0}, {1}, {2}", "f32", "f32", np.fmin),
    ("max.f64 {0}, {1}, {2}", "f64", "f64", np.fmax),
    ("fma.rn.f64 {0}, {1}, {2}, {2}", "f64", "f64", lambda a, b: np.longdouble(a) * b + b),
    ("fma.rn.f32 {0}, {1}, {2}, {1}", "f32", "f32", lambda a, b: np.float64(a) * b + a),
    ("ex2.approx.ftz.f32 {0}, {1}", "f32", "f32", lambda a: flushed(np.exp2(np.float64(flushed(a))).astype("f4"))),
    ("lg2.approx.f32 {0}, {1}", "f32", "f32", lambda a: np.log2(np.float64(a))),
    ("cvt.rn.f32.f64 {0}, {1}", "f64", "f32", lambda a: a),
    ("cvt.f64.f32 {0}, {1}", "f32", "f64", lambda a: a),
    ("cvt.rn.f32.s64 {0}, {1}", "s64", "f32", lambda a: a),
    ("cvt.rni.f32.f32 {0}, {1}", "f32", "f32", np.rint),
    ("cvt.sat.f32.f32 {0}, {1}", "f32", "f32", lambda a: np.nan_to_num(np.clip(a, 0, 1), nan=0.0)),
    (
        "cvt.rzi.s32.f32 {0}, {1}",
        "f32",
        "s32",
        lambda a: np.clip(np.nan_to_num(np.float64(a), nan=0), -(2.0**31), 2.0**31 - 1),
    ),
]


def case_name(part: object) -> str:
    return "" if callable(part) else str(part).partition(" ")[0]


@pytest.mark.parametrize(("instruction", "given", "result", "expected"), INTEGERS + FLOATS, ids=case_name)
def test_an_instruction(instruction: str, given: str, result: str, expected: Callable[..., Any]) -> None:
    operands = [numbers(given, seed) for seed in range(2 if "{2}" in instruction else 1)]
    if instruction[:5] in ("div.u", "rem.u"):
        operands[1] = np.maximum(operands[1], 1)
    with np.errstate(all="ignore"):
        wanted = np.asarray(expected(*operands)).astype(DTYPE[result])
    np.testing.assert_array_equal(computed(instruction, given, result, *operands), wanted)


COMPARISONS = {
    "eq": np.equal,
    "ne": lambda a, b: (a < b) | (a > b),
    "lt": np.less,
    "ge": np.greater_equal,
    "ltu": lambda a, b: ~(a >= b),
    "geu": lambda a, b: ~(a < b),
    "neu": np.not_equal,
    "nan": lambda a, b: np.isnan(a) | np.isnan(b),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_of_floats_with_nan_among_them(name: str) -> None:
    a, b = numbers("f32", 0), numbers("f32", 0)[::-1]
    a[:5], b[2:7] = np.nan, np.nan
    found = computed(f"setp.{name}.f32 %p1, {{1}}, {{2}}; selp.u32 {{0}}, 1, 0, %p1", "f32", "u32", a, b)
    np.testing.assert_array_equal(found == 1, COMPARISONS[name](a, b))


@pytest.mark.parametrize(("kind", "function"), [("s32", np.less), ("u32", np.less), ("s64", np.less)])
def test_comparisons_of_integers(kind: str, function: Callable[..., Any]) -> None:
    a, b = numbers(kind, 0), numbers(kind, 1)
    found = computed(f"setp.lt.{kind} %p1, {{1}}, {{2}}; selp.s32 %r21, 5, -5, %p1; cvt.s64.s32 %rd21, %r21;"
                     f"mov.b64 {{0}}, %rd21", kind, "s64", a, b)  # fmt: skip
    np.testing.assert_array_equal(found, np.where(function(a, b), 5, -5))


@pytest.mark.parametrize(("mode", "towards"), [("rm", -np.inf), ("rz", 0.0), ("rp", np.inf)])
def test_rounding(mode: str, towards: float) -> None:
    a, b = np.full(N, 1.0, np.float32), np.linspace(-1e-9, 1e-9, N).astype(np.float32)
    found = computed(f"fma.{mode}.f32 {{0}}, {{1}}, {{1}}, {{2}}", "f32", "f32", a, b)
    nearest = np.ones(N, np.float32)
    off = {"rm": b < 0, "rz": b < 0, "rp": b > 0}[mode]
    np.testing.assert_array_equal(found, np.where(off, np.nextafter(nearest, np.float32(towards)), nearest))


def test_subnormal_numbers_are_flushed_where_it_says_so() -> None:
    a = np.full(N, 1e-40, np.float32)
    assert (computed("mul.f32 {0}, {1}, 0f3F800000", "f32", "f32", a) == a).all()
    assert (computed("mul.ftz.f32 {0}, {1}, 0f3F800000", "f32", "f32", a) == 0).all()


def test_halves_of_a_number() -> None:
    a = numbers("f64", 3)
    swapped = computed("mov.b64 {{%r1, %r2}}, {1}; mov.b64 {0}, {{%r2, %r1}}", "f64", "b64", a)
    np.testing.assert_array_equal(swapped, (a.view("u8") << np.uint64(32)) | (a.view("u8") >> np.uint64(32)))


@pytest.mark.parametrize(
    "line", ["brev.b32 %r1, %r2;", "ld.f32 %f1, [%rd1];", "bar.sync 1;", "add.cc.s32 %r1, %r1, 1;"]
)
def test_an_unknown_instruction_is_refused_with_its_text(line: str) -> None:
    head = ".entry kernel()\n{\n .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .b64 %rd<9>;\n"
    with pytest.raises(ValueError, match=re.escape(line.rstrip(";").removeprefix("@%p1 "))):
        translate(f"{head}{line}\nret;\n}}")


def test_threads_that_part_meet_again() -> None:
    """Every thread counts to its own number, by a loop and a branch in it."""
    out = device_array(np.zeros(64, np.int32))
    body = """
    mov.u32 %r1, 0; mov.u32 %r2, 0;
    setp.ge.s32 %p1, %r2, %r30;
    @%p1 bra $end;
    $again:
    and.b32 %r4, %r2, 1; setp.eq.s32 %p3, %r4, 0;
    @!%p3 bra $odd;
    add.s32 %r1, %r1, 2;
    bra.uni $behind;
    $odd: add.s32 %r1, %r1, 1;
    $behind: add.s32 %r2, %r2, 1;
    setp.lt.s32 %p2, %r2, %r30;
    @%p2 bra $again;
    $end:
    mul.wide.s32 %rd1, %r30, 4; add.s64 %rd1, %rd1, %rd30; st.global.u32 [%rd1], %r1;
    """
    run(body, out, block=64)
    i = np.arange(64)
    np.testing.assert_array_equal(out, 2 * ((i + 1) // 2) + i // 2)


def test_numbers_of_blocks_and_threads() -> None:
    out = device_array(np.zeros((3, 32), np.int32))
    run("mul.wide.s32 %rd1, %r33, 4; add.s64 %rd1, %rd1, %rd30; st.global.u32 [%rd1], %r33;", out, grid=3)
    np.testing.assert_array_equal(out.ravel(), np.arange(96))


def test_instructions_in_braces() -> None:
    """As inline assembly often has them."""
    out = device_array(np.zeros(1, np.int32))
    run(
        "{ mov.u32 %r1, 5; } {add.s32 %r1, %r1, 2;}\n{\n add.s32 %r1, %r1, 3;} st.global.u32 [%rd30], %r1;",
        out,
        block=1,
    )
    assert out.tolist() == [10]


TWO_KERNELS = """
.visible .entry first(.param .align 8 .b8 first_param_0[24]) { ret; }
.visible .entry second(.param .align 8 .b8 second_param_0[24], .param .u8 second_param_1)
{
    .reg .b16 %rs<9>; .reg .b64 %rd<9>;
    ld.param.u64 %rd1, [second_param_0+16]; cvta.to.global.u64 %rd2, %rd1;
    ld.param.s16 %rs1, [second_param_0+2]; ld.param.u8 %rs2, [second_param_1]; add.s16 %rs1, %rs1, %rs2;
    st.global.u16 [%rd2], %rs1; ret;
}
"""


def test_one_of_two_kernels_with_a_structure_as_its_argument() -> None:
    out, memory = device_array(np.zeros(1, np.int16)), Memory()
    memory.add_array(out)
    raw = np.array([(-3 & 0xFFFF) << 16, 0, out.ctypes.data], np.int64).view("V24")[0]
    machine = translate(TWO_KERNELS, "second")
    Launch(machine, "second", (raw, np.uint8(200)), (1,), (1,), memory).run()
    assert out.tolist() == [197]
    with pytest.raises(ValueError, match="unpack"):
        translate(TWO_KERNELS)


def test_bits_are_counted() -> None:
    values = np.array([0, 1, -1, 0x7FFFFFFF, 0x0F0F0000] + [5] * (N - 5), np.int32)
    found = computed("popc.b32 {0}, {1}", "b32", "b32", values.view(np.uint32))
    np.testing.assert_array_equal(found, [0, 1, 32, 31, 8] + [2] * (N - 5))


@pytest.mark.parametrize("barrier", ["bar.warp.sync -1;", ""])
def test_barriers_of_warps_end_the_search_in_shared_memory(barrier: str) -> None:
    body = f"{barrier} mov.u64 %rd1, tile; st.shared.u32 [%rd1], %r30;"
    if barrier:
        run(body, declarations=SHARED)
    else:
        with pytest.raises(Race):
            run(body, declarations=SHARED)


@pytest.mark.parametrize(
    ("kind", "count", "register"), [("f32", 4, "%f"), ("f64", 2, "%fd"), ("u8", 4, "%rs"), ("u32", 2, "%r")]
)
def test_wide_accesses(kind: str, count: int, register: str) -> None:
    dtype = {"f32": "f4", "f64": "f8", "u8": "u1", "u32": "u4"}[kind]
    source = device_array(np.arange(32 * count).astype(dtype))
    target = device_array(np.zeros(32 * count, dtype))
    names = [f"{register}{i}" for i in range(1, count + 1)]
    body = f"""
    mul.wide.s32 %rd1, %r30, {count * np.dtype(dtype).itemsize};
    add.s64 %rd2, %rd30, %rd1; add.s64 %rd3, %rd31, %rd1;
    ld.global.v{count}.{kind} {{{", ".join(names)}}}, [%rd2];
    st.global.v{count}.{kind} [%rd3], {{{", ".join(reversed(names))}}};
    """
    run(body, source, target)
    np.testing.assert_array_equal(target.reshape(-1, count), source.reshape(-1, count)[:, ::-1])


def test_atomic_additions_and_exchanges() -> None:
    counter, seen = device_array(np.zeros(2, np.int64)), device_array(np.zeros(64, np.int64))
    body = """
    mul.wide.s32 %rd1, %r33, 8; add.s64 %rd1, %rd1, %rd31;
    atom.global.add.u64 %rd2, [%rd30], 2;
    st.global.u64 [%rd1], %rd2;
    red.relaxed.gpu.global.add.u64 [%rd30+8], 1;
    """
    run(body, counter, seen, grid=2)
    assert counter.tolist() == [128, 64]
    assert sorted(seen.tolist()) == list(range(0, 128, 2))
    run("mov.u64 %rd1, 7; atom.global.exch.b64 %rd2, [%rd30], %rd1;", counter, seen)
    assert counter[0] == 7
