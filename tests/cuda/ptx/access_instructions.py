"""Instructions that access memory, as lines of Python that call a thread block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptx.accesses import Operation
from ptx.parsing import DTYPES, Instruction

if TYPE_CHECKING:
    from ptx.translation import _Translation as Translation

SPACES = ("global", "shared", "param")
ORDERS = ("relaxed", "acquire", "release", "acq_rel", "volatile")
SCOPES = ("gpu", "sys")
CACHES = ("ca", "cg", "cs", "cv", "lu", "wb", "wt", "nc")
UPDATES = ("add", "exch")
COUNTS = {"v2": 2, "v4": 4}


def names_of(braces: str) -> list[str]:
    """Return the registers in ``{%f1, %f2}``, or the one that stands alone."""
    return [name.strip() for name in braces.strip("{} ").split(",")]


def _operation(instruction: Instruction) -> Operation:
    """Return what an instruction does. Scopes smaller than the device are not known: they order nothing here."""
    *parts, kind = instruction.opcode[1:]
    if not set(parts) <= {*SPACES, *ORDERS, *SCOPES, *CACHES, *UPDATES, "weak", *COUNTS}:
        raise KeyError(kind)
    space, order, name = (next((part for part in parts if part in known), "") for known in (SPACES, ORDERS, UPDATES))
    if not space or (instruction.opcode[0] in ("atom", "red")) != (name != ""):
        raise KeyError(space)
    return Operation(instruction.number, space, order, DTYPES[kind], COUNTS.get(parts[-1], 1), name)


def _load(instruction: Instruction, block: Translation) -> list[str]:
    operation, kind = _operation(instruction), instruction.opcode[-1]
    target, source = instruction.operands
    if operation.space == "param":
        name, _, offset = source.strip("[]").partition("+")
        argument = f"block.parameter({name!r}, {block.constant(operation.dtype)}, {int(offset or 0)})"
        return [f"loaded = {argument}", _extended(block, target, "loaded", kind)]
    return [
        f"loaded = block.load({block.constant(operation)}, lanes, {block.address(source)})",
        *(_extended(block, name, f"loaded[{i}]", kind) for i, name in enumerate(names_of(target))),
    ]


def _extended(block: Translation, name: str, text: str, kind: str) -> str:
    """Return the line that keeps what was loaded in a register that may be wider: unsigned numbers get zeros."""
    size = block.program.dtype_of(name).itemsize
    if kind[0] == "f" or DTYPES[kind].itemsize == size:
        return block.write(name, text, kind)
    wide = f"{'s' if kind[0] == 's' else 'u'}{8 * size}"
    unsigned = text if kind[0] == "s" else f"{text}.view(np.uint{8 * DTYPES[kind].itemsize})"
    return block.write(name, f"{unsigned}.astype(np.{DTYPES[wide].name})", wide)


def _to_space(instruction: Instruction, block: Translation) -> list[str]:
    """Translate cvta: an address is the same in all spaces."""
    kind = instruction.opcode[-1]
    return [block.write(instruction.operands[0], block.read(instruction.operands[1], kind), kind)]


def _store(instruction: Instruction, block: Translation) -> list[str]:
    target, source = instruction.operands
    values = "".join(f"{block.read(name, instruction.opcode[-1])}, " for name in names_of(source))
    operation = block.constant(_operation(instruction))
    return [f"block.store({operation}, lanes, {block.address(target)}, ({values}))"]


def _atomic(instruction: Instruction, block: Translation) -> list[str]:
    operation, kind = _operation(instruction), instruction.opcode[-1]
    *target, address, amount = instruction.operands
    if operation.space != "global":
        raise KeyError(operation.space)
    arguments = f"{block.constant(operation)}, lanes, {block.address(address)}, {block.read(amount, kind)}"
    call = f"block.atomic({arguments})"
    return [block.write(target[0], call, kind)] if target and target[0] != "_" else [call]


def _fence(instruction: Instruction, block: Translation) -> list[str]:
    is_for_the_device = {"gl": True, "sys": True, "gpu": True, "cta": False}[instruction.opcode[-1]]
    return ["block.fence(lanes)"] if is_for_the_device else []


MAKERS = {
    **dict.fromkeys(("atom", "red"), _atomic),
    **dict.fromkeys(("membar", "fence"), _fence),
    "cvta": _to_space,
    "ld": _load,
    "st": _store,
}
"""What makes the lines, by the first part of the opcode."""
