"""What the machine finds wrong with a kernel."""

from __future__ import annotations

from typing import Any


class Fault(Exception):  # noqa: N818 - what sanitizers call it
    """Something that a kernel may not do."""


class MemoryFault(Fault):
    """An access outside of all allocations, or misaligned, or to what was never written."""


class Race(Fault):
    """Two accesses that nothing brings into an order."""


class DivergentBarrier(Fault):
    """A barrier to which not all threads of the block come."""


class Deadlock(Fault):
    """A launch that can never end."""


class Trap(Fault):
    """A kernel that stops itself."""


def at_instruction(launch: Any, instruction: int, block: int, lane: int) -> str:
    """Return where a thread is, as text."""
    text = launch.machine.instructions[instruction].text
    return f"{text!r}, block {launch.index_of(block)}, thread {launch.thread_of(lane)}"
