"""A block of threads: its registers, and where its threads are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ptx.accesses import Accesses, Operation
from ptx.faults import DivergentBarrier, Trap, at_instruction
from ptx.parsing import SPECIAL

if TYPE_CHECKING:
    from ptx.machine import Launch

STEPS_OF_THE_FURTHEST_BEHIND = 32
"""After so many steps others than the threads furthest behind have one: nobody waits for ever for one of them."""


class ThreadBlock:
    """Block ``number`` of a launch. Functions of translated code call its methods."""

    def __init__(self, launch: Launch, number: int) -> None:
        self.launch, self.number, self.size = launch, number, launch.threads
        self.all = np.arange(self.size)
        self.groups: dict[int, np.ndarray] = {0: self.all}
        """The threads that can go on, by the number of their step."""
        self.waiting: dict[int, np.ndarray] = {}
        """The threads at a barrier, by the number of the step behind it."""
        self.alive = self.size
        self.registers = self._registers()
        self._accesses = Accesses(launch, number)
        self._turns = 0

    def _registers(self) -> list[Any]:
        machine, launch = self.launch.machine, self.launch
        special = {"laneid": self.all % 32}
        for axis, own, size, block, count in zip(
            "xyz",
            launch.thread_of(self.all),
            launch.block,
            launch.index_of(self.number),
            launch.grid,
            strict=True,
        ):
            special |= {f"tid.{axis}": own, f"ntid.{axis}": size, f"ctaid.{axis}": block, f"nctaid.{axis}": count}
        return [
            np.asarray(special[name[1:]], np.int32)[()] if name in SPECIAL else machine.program.dtype_of(name).type(0)
            for name in machine.registers
        ]

    def step(self, turns: random.Random) -> None:
        """Execute one basic block for the threads that are furthest behind, or now and then for some others."""
        self._turns += 1
        others = len(self.groups) > 1 and self._turns % STEPS_OF_THE_FURTHEST_BEHIND == 0
        place = turns.choice(sorted(self.groups)) if others else min(self.groups)
        lanes = self.groups.pop(place)
        step = self.launch.machine.steps[place]
        answer = step.run(self.registers, None if lanes.size == self.size else lanes, self)
        if step.kind == "go":
            self._branch(lanes, place + 1, step.target, answer)
        elif step.kind == "barrier":
            _join(self.waiting, place + 1, lanes)
        elif step.kind == "exit":
            self.alive -= lanes.size
            self.progress()
        else:
            raise Trap(
                f"{self.launch.name} traps: {at_instruction(self.launch, step.last.number, self.number, int(lanes[0]))}"
            )
        if not self.groups and self.waiting:
            self._meet()

    def _branch(self, lanes: np.ndarray, behind: int, target: int, answer: Any) -> None:
        if answer is None or not answer.ndim:
            _join(self.groups, target if answer is None or answer else behind, lanes)
            return
        taken = np.count_nonzero(answer)
        if taken:
            _join(self.groups, target, lanes if taken == lanes.size else lanes[answer])
        if taken < lanes.size:
            _join(self.groups, behind, lanes if taken == 0 else lanes[~answer])

    def _meet(self) -> None:
        """Let all threads pass the barrier at which they are; there has to be one, and all have to be there."""
        (place, lanes), *others = self.waiting.items()
        if others or lanes.size < self.size:
            text = "\n".join(self.places())
            raise DivergentBarrier(f"{self.launch.name}: not all threads of a block come to a barrier\n{text}")
        self.waiting.clear()
        self._accesses.end_interval()
        self.launch.clocks.barrier(self.number)
        self.groups[place] = self.all
        self.progress()

    def finish(self) -> None:
        """Look at what happened since the last barrier."""
        self._accesses.end_interval()

    def progress(self) -> None:
        """Say that something happened for which others may have waited."""
        self.launch.last_progress = self.launch.steps

    def places(self) -> Iterator[str]:
        """Return where the threads of the block are, as lines of text."""
        launch, index = self.launch, self.launch.index_of(self.number)
        for place, lanes in sorted(self.groups.items()):
            texts = [instruction.text for instruction in launch.machine.program.blocks[place].instructions[:1]]
            yield f"block {index}: {lanes.size} of its threads before {texts}"
        for place, lanes in sorted(self.waiting.items()):
            last, first = launch.machine.steps[place - 1].last, launch.thread_of(int(lanes[0]))
            which = f"{lanes.size} of its threads, from {first} on"
            yield f"block {index}: {which}, at {last.text!r} (instruction {last.number})"
        if self.alive < self.size:
            yield f"block {index}: {self.size - self.alive} of its threads have ended"

    def parameter(self, name: str, dtype: np.dtype, offset: int = 0) -> Any:
        """Return an argument of the launch, or the part of one that begins with a byte."""
        return np.frombuffer(self.launch.parameters[name].tobytes(), dtype, 1, offset)[0]

    def clock(self) -> int:
        """Return a number that grows."""
        return self.launch.steps

    def load(self, operation: Operation, lanes: Any, addresses: Any) -> list[Any]:
        """Return what lies at the addresses; this and the next ones are as in :class:`Accesses`."""
        return self._accesses.load(operation, self.all if lanes is None else lanes, addresses)

    def store(self, operation: Operation, lanes: Any, addresses: Any, values: tuple[Any, ...]) -> None:
        """Write registers."""
        self._accesses.store(operation, self.all if lanes is None else lanes, addresses, values)
        self.progress()

    def atomic(self, operation: Operation, lanes: Any, addresses: Any, amount: Any) -> np.ndarray:
        """Change numbers in memory; who adds 0 only looks at one."""
        if operation.name == "exch" or np.any(amount):
            self.progress()
        return self._accesses.atomic(operation, self.all if lanes is None else lanes, addresses, amount)

    def fence(self, lanes: Any) -> None:
        """Pass a fence."""
        self._accesses.fence(self.all if lanes is None else lanes)


def _join(groups: dict[int, np.ndarray], place: int, lanes: np.ndarray) -> None:
    """Put threads to those that are at the same place."""
    others = groups.get(place)
    groups[place] = lanes if others is None else np.sort(np.concatenate([others, lanes]))
