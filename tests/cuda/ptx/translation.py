"""PTX as Python: every basic block becomes a function on registers that hold a number for each thread.

A register is an array with an element for each thread of the block, or a NumPy scalar where all threads have the same
number. A function gets the threads for which it is to run: None for all, else their numbers in the block.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ptx import arithmetic, instructions
from ptx.parsing import DTYPES, BasicBlock, Instruction, Program, parse


@dataclass
class Step:
    """A basic block. Where it leads: ``target`` if what ``run`` returns holds (None: always), else to the next one.

    kind: ``"go"``, ``"exit"``, ``"trap"`` or ``"barrier"``, what happens at its end.
    """

    run: Callable[[list[Any], Any, Any], Any]
    kind: str
    target: int
    last: Instruction | None


@dataclass
class Machine:
    """A translated kernel: steps, the number of every register, and the instructions by number.

    uses_warps: its warps have barriers of their own. Threads of a warp run together here as long as they can, so these
    do nothing; what they order in shared memory is not known.
    """

    program: Program
    steps: list[Step]
    registers: dict[str, int]
    instructions: list[Instruction]
    uses_warps: bool = False


def translate(ptx: str, name: str = "") -> Machine:
    """Return the only kernel of a module, or the one of a name, as Python functions.

    An instruction that is not known raises ValueError.
    """
    program = parse(ptx, name)
    blocks = [_Translation(program, block, number) for number, block in enumerate(program.blocks)]
    registers: dict[str, int] = {}
    for block in blocks:
        for name in block.needed:
            registers.setdefault(name, len(registers))
    steps = [block.step(registers) for block in blocks]
    all_instructions = [i for block in program.blocks for i in block.instructions]
    return Machine(program, steps, registers, all_instructions, any(block.uses_warps for block in blocks))


@dataclass
class _Translation:
    """A basic block on its way to Python. ``needed``: registers it reads before it writes them."""

    program: Program
    block: BasicBlock
    number: int
    needed: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lines: list[str] = []
        self.written: dict[str, None] = {}
        self.constants: dict[str, Any] = {}
        self.kind, self.target, self.condition, self.uses_warps = "go", self.number + 1, "", False
        for instruction in self.block.instructions:
            self._translate(instruction)

    def step(self, registers: dict[str, int]) -> Step:
        kept = {name: registers[name] for name in self.written if name in registers}
        body = "\n".join(
            [
                *(f"    {_local(name)} = registers[{registers[name]}]" for name in self.needed),
                *self._for_some(f"        {_local(name)} = take({_local(name)}, lanes)" for name in self.needed),
                *(f"    {line}" for line in self.lines),
                *self._stores(kept),
                f"    return {self.condition or None}",
            ]
        )
        scope: dict[str, Any] = {"np": np, "take": take, "put": put, **vars(arithmetic), **self.constants}
        exec(f"def run(registers, lanes, block):\n{body}", scope)
        last = self.block.instructions[-1] if self.block.instructions else None
        return Step(scope["run"], self.kind, self.target, last)

    def _for_some(self, lines: Iterator[str]) -> list[str]:
        found = list(lines)
        return ["    if lanes is not None:", *found] if found else []

    def _stores(self, kept: dict[str, int]) -> list[str]:
        if not kept:
            return []
        return [
            "    if lanes is None:",
            *(f"        registers[{i}] = {_local(name)}" for name, i in kept.items()),
            "    else:",
            *(f"        put(registers, {i}, lanes, {_local(name)}, block.size)" for name, i in kept.items()),
        ]

    def _translate(self, instruction: Instruction) -> None:
        name = instruction.opcode[0]
        if name == "bra":
            self.target = self.program.labels[instruction.operands[0]]
            self.condition = self._guard(instruction.guard) if instruction.guard else ""
        elif name in ("ret", "exit", "trap", "bar", "barrier"):
            self._end(instruction)
        else:
            if instruction.guard:
                raise ValueError(f"the machine knows guards of branches only: {instruction.text}")
            self.lines += instructions.lines_of(instruction, self)

    def _guard(self, guard: str) -> str:
        return f"~{self.read(guard[1:], 'pred')}" if guard[0] == "!" else self.read(guard, "pred")

    def _end(self, instruction: Instruction) -> None:
        if instruction.guard:
            raise ValueError(f"the machine does not know a guarded end: {instruction.text}")
        name = instruction.opcode[0]
        if instruction.opcode == ("bar", "warp", "sync"):
            self.uses_warps = True
            return
        if name in ("bar", "barrier") and ("sync" not in instruction.opcode or instruction.operands != ("0",)):
            raise ValueError(f"the machine does not know this barrier: {instruction.text}")
        self.kind = {"ret": "exit", "trap": "trap", "bar": "barrier", "barrier": "barrier"}.get(name, name)

    def read(self, operand: str, kind: str) -> str:
        """Return the expression for an operand, as numbers of a type of PTX."""
        dtype = DTYPES[kind]
        if operand[0] != "%":
            return self.constant(_constant(operand, dtype, self.program))
        if operand in ("%clock", "%clock64", "%globaltimer"):
            return f"np.{dtype.name}(block.clock())"
        if operand not in self.written:
            self.needed[operand] = None
        kept = self.program.dtype_of(operand)
        return _converted(_local(operand), kept, dtype)

    def write(self, operand: str, expression: str, kind: str) -> str:
        """Return the line that sets a register to what an expression of a type of PTX gives."""
        self.written[operand] = None
        return f"{_local(operand)} = {_converted(f'({expression})', DTYPES[kind], self.program.dtype_of(operand))}"

    def constant(self, value: Any) -> str:
        """Return a name for a value."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        return name

    def address(self, operand: str) -> str:
        """Return the expression for ``[%rd1+8]``."""
        base, sign, offset = re.fullmatch(r"\[\s*([%\w.$]+)\s*(?:([+-])\s*(-?\w+))?\s*\]", operand).groups()
        text = self.read(base, "s64" if base[0] != "%" or self.program.dtype_of(base).itemsize == 8 else "u32")
        if base[0] == "%" and self.program.dtype_of(base).itemsize == 4:
            text = f"{text}.astype(np.int64)"
        return f"({text} {sign} {offset})" if sign else text


def _local(register: str) -> str:
    return "r_" + register[1:].replace(".", "_")


def _converted(text: str, kept: np.dtype, wanted: np.dtype) -> str:
    """Return bits as another dtype of the same size; of another size, integers with as many bits as fit."""
    if kept == wanted:
        return text
    if kept.itemsize == wanted.itemsize:
        return f"{text}.view(np.{wanted.name})"
    assert {kept.kind, wanted.kind} <= {"i", "u"}, f"{text}: {kept} as {wanted}"
    bits = [8 * dtype.itemsize for dtype in (kept, wanted)]
    return f"{text}.view(np.uint{bits[0]}).astype(np.uint{bits[1]}).view(np.{wanted.name})"


def _constant(operand: str, dtype: np.dtype, program: Program) -> Any:
    """Return a number that stands in the text: a float as its bits, an integer, or a shared variable."""
    if operand[:2].lower() in ("0f", "0d") and len(operand) in (10, 18):
        raw = bytes.fromhex(operand[2:])
        return dtype.type(struct.unpack(">f" if len(raw) == 4 else ">d", raw)[0])
    if operand in program.shared:
        return np.int64(program.shared[operand][0])
    number = int(operand, 0)
    if dtype.kind == "b":
        return np.bool_(number != 0)
    return np.array(number % (1 << 8 * dtype.itemsize), f"u{dtype.itemsize}").view(dtype)[()]


def take(values: Any, lanes: np.ndarray) -> Any:
    """Return a register for some threads."""
    return values[lanes] if values.ndim else values


def put(registers: list[Any], number: int, lanes: np.ndarray, values: Any, size: int) -> None:
    """Set a register of some threads. Arrays are never changed in place: two registers may be the same array."""
    before = registers[number]
    after = before.copy() if before.ndim else np.full(size, before)
    after[lanes] = values
    registers[number] = after
