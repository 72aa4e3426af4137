"""What each instruction of PTX does, as a line of Python; :mod:`ptx.translation` makes functions of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptx import access_instructions
from ptx.access_instructions import names_of
from ptx.arithmetic import COMPARISONS
from ptx.parsing import DTYPES, Instruction

if TYPE_CHECKING:
    from ptx.translation import _Translation as Translation

ROUNDINGS = ("rn", "rz", "rm", "rp")
INFIX = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^"}
UNARY = {
    "neg": "-{0}", "not": "~{0}", "abs": "np.abs({0})", "sqrt": "np.sqrt({0})", "rcp": "reciprocal({0})",
    "ex2": "in_wider(np.exp2, {0})", "lg2": "in_wider(np.log2, {0})",
}  # fmt: skip
ROOMY = {"min": ("np.minimum", "np.fmin"), "max": ("np.maximum", "np.fmax")}


def lines_of(instruction: Instruction, block: Translation) -> list[str]:
    """Return what an instruction does. One that is not known raises ValueError with its text."""
    try:
        return _MAKERS[instruction.opcode[0]](instruction, block)
    except (KeyError, IndexError):
        raise ValueError(f"the machine does not know this instruction: {instruction.text}") from None


def _parts(instruction: Instruction, *allowed: str) -> tuple[str, list[str]]:
    """Return the type, the last part of the opcode, and the parts between, which have to be known."""
    *between, kind = instruction.opcode[1:]
    if kind not in DTYPES or not set(between) <= set(allowed):
        raise KeyError(kind)
    return kind, between


def _mode(parts: list[str]) -> str:
    return next((part for part in parts if part in ROUNDINGS), "rn")


def _flush(expression: str, parts: list[str]) -> str:
    return f"flushed({expression})" if "ftz" in parts else expression


def _operands(instruction: Instruction, block: Translation, kind: str, parts: Any = ()) -> list[str]:
    return [_flush(block.read(operand, kind), parts) for operand in instruction.operands[1:]]


def _infix(instruction: Instruction, block: Translation) -> list[str]:
    name = instruction.opcode[0]
    kind, parts = _parts(instruction, *ROUNDINGS, "ftz", "lo", "wide", "hi", "approx", "full")
    a, b = _operands(instruction, block, kind, parts)
    mode, result = _mode(parts), kind
    if "wide" in parts:
        result = f"{kind[0]}64"
        expression = f"{a}.astype(np.{DTYPES[result].name}) * {b}.astype(np.{DTYPES[result].name})"
    elif "hi" in parts:
        expression = f"high({a}, {b})"
    elif mode != "rn":
        b = f"-{b}" if name == "sub" else b
        expression = f"{'multiply' if name == 'mul' else 'add'}({a}, {b}, {mode!r})"
    else:
        expression = f"{a} {INFIX[name]} {b}"
    return [block.write(instruction.operands[0], _flush(f"({expression})", parts), result)]


def _unary(instruction: Instruction, block: Translation) -> list[str]:
    name = instruction.opcode[0]
    kind, parts = _parts(instruction, "rn", "approx", "ftz")
    (a,) = _operands(instruction, block, kind, parts)
    expression = UNARY[name].format(a)
    if name == "rcp" and kind == "f64" and "approx" in parts:
        expression = f"approximate_reciprocal_of_double({a})"
    return [block.write(instruction.operands[0], _flush(f"({expression})", parts), kind)]


def _divide(instruction: Instruction, block: Translation) -> list[str]:
    kind, parts = _parts(instruction, "rn", "approx", "full", "ftz")
    a, b = _operands(instruction, block, kind, parts)
    if kind[0] == "f":
        expression = f"({a} / {b})"
    else:
        expression = f"{'divide' if instruction.opcode[0] == 'div' else 'remainder'}({a}, {b})"
    return [block.write(instruction.operands[0], _flush(expression, parts), kind)]


def _multiply_add(instruction: Instruction, block: Translation) -> list[str]:
    kind, parts = _parts(instruction, *ROUNDINGS, "ftz", "lo", "wide", "hi")
    a, b, c = (
        _flush(block.read(operand, kind), parts)
        if place < 2 or "wide" not in parts
        else block.read(operand, f"{kind[0]}64")
        for place, operand in enumerate(instruction.operands[1:])
    )
    result = kind
    if kind[0] == "f":
        expression = f"fma({a}, {b}, {c}, {_mode(parts)!r})"
    elif "wide" in parts:
        result = f"{kind[0]}64"
        wide = DTYPES[result].name
        expression = f"{a}.astype(np.{wide}) * {b}.astype(np.{wide}) + {c}"
    else:
        expression = f"high({a}, {b}) + {c}" if "hi" in parts else f"{a} * {b} + {c}"
    return [block.write(instruction.operands[0], _flush(f"({expression})", parts), result)]


def _extremum(instruction: Instruction, block: Translation) -> list[str]:
    kind, parts = _parts(instruction, "ftz", "NaN")
    a, b = _operands(instruction, block, kind, parts)
    function = ROOMY[instruction.opcode[0]]["NaN" not in parts and kind[0] == "f"]
    return [block.write(instruction.operands[0], f"{function}({a}, {b})", kind)]


def _shift(instruction: Instruction, block: Translation) -> list[str]:
    kind, _ = _parts(instruction)
    # shr.b fills with zeros, as shr.u does; numbers of type b are kept with a sign
    kind = kind.replace("b", "u")
    function = "shift_left" if instruction.opcode[0] == "shl" else "shift_right"
    amount = block.read(instruction.operands[2], "u32")
    return [
        block.write(instruction.operands[0], f"{function}({block.read(instruction.operands[1], kind)}, {amount})", kind)
    ]


def _funnel(instruction: Instruction, block: Translation) -> list[str]:
    _, direction, wrap, kind = instruction.opcode
    if wrap != "wrap":
        raise KeyError(wrap)
    low, upper, bits = _operands(instruction, block, kind)
    return [block.write(instruction.operands[0], f"funnel({low}, {upper}, {bits}, {direction == 'l'})", kind)]


def _bits(instruction: Instruction, block: Translation) -> list[str]:
    """Translate bfi, prmt and copysign."""
    kind, _ = _parts(instruction)
    name = {"bfi": "insert_bits", "prmt": "permute_bytes"}.get(instruction.opcode[0])
    operands = [
        block.read(operand, kind if name is None or place < 2 else "u32")
        for place, operand in enumerate(instruction.operands[1:])
    ]
    if name is None:  # the sign of the first operand and the value of the second
        name, operands = "np.copysign", operands[::-1]
    return [block.write(instruction.operands[0], f"{name}({', '.join(operands)})", kind)]


def _select(instruction: Instruction, block: Translation) -> list[str]:
    kind, _ = _parts(instruction)
    a, b, condition = instruction.operands[1:]
    chosen = f"select({block.read(condition, 'pred')}, {block.read(a, kind)}, {block.read(b, kind)})"
    return [block.write(instruction.operands[0], chosen, kind)]


def _compare(instruction: Instruction, block: Translation) -> list[str]:
    comparison, *parts, kind = instruction.opcode[1:]
    if not set(parts) <= {"ftz"} or len(instruction.operands) != 3:
        raise KeyError(kind)
    a, b = _operands(instruction, block, kind, parts)
    text = "{a} != {b}" if comparison == "ne" and kind[0] != "f" else COMPARISONS[comparison]
    return [block.write(instruction.operands[0], text.format(a=a, b=b), "pred")]


def _convert(instruction: Instruction, block: Translation) -> list[str]:
    *parts, wanted, given = instruction.opcode[1:]
    if not set(parts) <= {*ROUNDINGS, "rni", "rzi", "rmi", "rpi", "sat", "ftz"}:
        raise KeyError(wanted)
    a = _flush(block.read(instruction.operands[1], given), parts)
    whole = next((part for part in parts if part in ("rni", "rzi", "rmi", "rpi")), "")
    if wanted[0] != "f" and given[0] == "f":
        expression = f"to_integer({a}, np.dtype(np.{DTYPES[wanted].name}), {whole!r})"
    elif whole:
        expression = f"{ {'rni': 'np.rint', 'rzi': 'np.trunc', 'rmi': 'np.floor', 'rpi': 'np.ceil'}[whole] }({a})"
    elif _mode(parts) != "rn":
        expression = f"rounded({a}.astype(np.longdouble), np.dtype(np.{DTYPES[wanted].name}), {_mode(parts)!r})"
    else:
        expression = f"{a}.astype(np.{DTYPES[wanted].name})"
    expression = f"saturated({expression})" if "sat" in parts else expression
    return [block.write(instruction.operands[0], expression, wanted)]


def _move(instruction: Instruction, block: Translation) -> list[str]:
    kind, _ = _parts(instruction)
    target, source = instruction.operands
    if target[0] == "{":
        low, upper = names_of(target)
        return [
            f"low, upper = unpack({block.read(source, 's64')})",
            *(block.write(name, text, "s32") for name, text in ((low, "low"), (upper, "upper")) if name != "_"),
        ]
    if source[0] == "{":
        low, upper = (block.read(name, "s32") for name in names_of(source))
        return [block.write(target, f"pack({low}, {upper})", "s64")]
    if source[0] == "%" and kind in ("b32", "b64", "b16", "u32", "u64"):  # bits, whatever they stand for
        return [_moved_bits(block, target, source, kind)]
    return [block.write(target, block.read(source, kind), kind)]


def _moved_bits(block: Translation, target: str, source: str, kind: str) -> str:
    if source in ("%clock", "%clock64", "%globaltimer"):
        return block.write(target, block.read(source, kind), kind)
    integer = f"s{kind[1:]}"
    return block.write(target, block.read(source, integer), integer)


def _count_bits(instruction: Instruction, block: Translation) -> list[str]:
    kind, _ = _parts(instruction)
    bits = block.read(instruction.operands[1], kind.replace("b", "u"))
    return [block.write(instruction.operands[0], f"np.bitwise_count({bits}).astype(np.int32)", "s32")]


def _nothing(instruction: Instruction, block: Translation) -> list[str]:
    return []


_MAKERS = {
    **dict.fromkeys(INFIX, _infix),
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(("div", "rem"), _divide),
    **dict.fromkeys(("fma", "mad"), _multiply_add),
    **dict.fromkeys(("min", "max"), _extremum),
    **dict.fromkeys(("shl", "shr"), _shift),
    **dict.fromkeys(("bfi", "prmt", "copysign"), _bits),
    **access_instructions.MAKERS,
    "popc": _count_bits,
    "shf": _funnel,
    "selp": _select,
    "setp": _compare,
    "cvt": _convert,
    "mov": _move,
    "nanosleep": _nothing,
}
