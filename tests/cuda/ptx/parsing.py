"""PTX as text, taken apart: instructions in basic blocks, and what a kernel declares."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

DTYPES = {
    **{f"{kind}{8 * size}": np.dtype(f"i{size}") for kind in "bs" for size in (1, 2, 4, 8)},
    **{f"u{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    "f16": np.dtype(np.float16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "pred": np.dtype(np.bool_),
}
"""The types of PTX."""

GAP_BYTES = 256
"""Between the shared variables of a kernel, so that an access behind one never hits the next."""

SPECIAL = {f"%{name}.{axis}": np.dtype(np.int32) for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"} | {
    "%laneid": np.dtype(np.int32)
}
"""Registers that say who a thread is."""

ENDS = frozenset({"bra", "ret", "exit", "trap", "bar", "barrier"})
"""The first part of instructions behind which a basic block ends."""


@dataclass(frozen=True)
class Instruction:
    """An instruction. ``opcode`` is split at its dots; ``guard``: ``"%p1"`` or ``"!%p1"`` or ``""``."""

    number: int
    guard: str
    opcode: tuple[str, ...]
    operands: tuple[str, ...]
    text: str


@dataclass
class BasicBlock:
    """Instructions that are executed one after the other; only the last one may branch or wait."""

    instructions: list[Instruction] = field(default_factory=list)


@dataclass
class Program:
    """A kernel.

    parameters: the dtype of each, by name, in order; bytes, as of a structure, have a dtype of kind V. shared: (first
    byte, size) of every shared variable; ``None`` is the name of dynamic shared memory, at the end. registers: the
    dtype of every family of registers, by prefix. labels: the number of the basic block that begins there.
    max_threads: of a block, 0 if it does not say.
    """

    parameters: dict[str, np.dtype]
    shared: dict[str, tuple[int, int]]
    registers: dict[str, np.dtype]
    blocks: list[BasicBlock]
    labels: dict[str, int]
    max_threads: int

    def dtype_of(self, register: str) -> np.dtype:
        """Return the dtype in which a register is kept: integers are signed, whatever is done with them."""
        return SPECIAL.get(register) or self.registers[register.rstrip("0123456789")]


def parse(ptx: str, name: str = "") -> Program:
    """Take a module apart: its only kernel, or the one of this name."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", ptx, flags=re.DOTALL)
    head, *kernels = re.split(r"\.entry", text)
    (rest,) = [kernel for kernel in kernels if not name or re.match(rf"\s*{re.escape(name)}\s*\(", kernel)]
    signature, body = rest[: rest.index("{")], rest[rest.index("{") :]
    parameters = {
        name: np.dtype(f"V{size}") if size else DTYPES[kind]
        for kind, name, size in re.findall(r"\.param\s+\.(?:align\s+\d+\s+\.)?(\w+)\s+(\w+)(?:\[(\d+)\])?", signature)
    }
    threads = re.search(r"\.(?:max|req)ntid\s+([\d, ]+)", signature)
    max_threads = int(np.prod([int(size) for size in threads.group(1).split(",")])) if threads else 0
    registers = {prefix: DTYPES[kind] for kind, prefix in re.findall(r"\.reg\s+\.(\w+)\s+(%\w*?)(?:<\d+>)?;", body)}
    return Program(parameters, _shared(head + body), registers, *_blocks(body), max_threads)


def _shared(text: str) -> dict[str, tuple[int, int]]:
    found, first = {}, GAP_BYTES
    for external, name, size in re.findall(
        r"(\.extern\s+)?\.shared\s+(?:\.align\s+\d+\s+)?\.b8\s+(\w+)\[(\d*)\]", text
    ):
        found[name] = first, -1 if external or not size else int(size)
        first += -(-int(size or 0) // GAP_BYTES) * GAP_BYTES + GAP_BYTES
    return found


def _blocks(body: str) -> tuple[list[BasicBlock], dict[str, int]]:
    blocks, labels, number = [BasicBlock()], {}, 0
    for line in re.split(r"[;\n]|(?<=:)|(?<=\{)(?=\s*\.reg)", body):
        statement = " ".join(line.split()).lstrip("{} ")  # inline assembly has braces of its own
        label = re.fullmatch(r"([$\w]+):", statement)
        if label:
            if blocks[-1].instructions:
                blocks.append(BasicBlock())
            labels[label.group(1)] = len(blocks) - 1
        elif statement and statement[0] not in ".)":
            _append(blocks, _instruction(statement, number))
            number += 1
    return blocks, labels


def _append(blocks: list[BasicBlock], instruction: Instruction) -> None:
    blocks[-1].instructions.append(instruction)
    if instruction.opcode[0] in ENDS:
        blocks.append(BasicBlock())


def _instruction(statement: str, number: int) -> Instruction:
    guard, rest = re.fullmatch(r"(?:@(!?%\w+)\s+)?(.*)", statement).groups()
    opcode, _, operands = rest.partition(" ")
    found = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", operands)
    return Instruction(number, guard or "", tuple(opcode.split(".")), tuple(found), statement)
