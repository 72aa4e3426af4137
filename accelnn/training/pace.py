"""How many steps to run between two looks at the world: progress, callbacks and Ctrl-C wait for the end of a chunk."""

from __future__ import annotations

CHUNK_S = 0.1
"""A chunk should last so long: short enough for progress and Ctrl-C, long enough to make Python's part vanish.

It is a fifth of the longest time that people should wait for a sign of life, because steps can become slower while a
chunk is running.
"""

GROWTH = 10
"""A chunk has at most so many times the steps of the one before: one short measurement says little."""


class Pace:
    """Chooses the length of the next chunk from how long the last one took.

    The first chunk has ``first_steps``: by default a single one, which may have to compile something. A step that lasts
    longer than a chunk should is a chunk of its own.
    """

    def __init__(self, first_steps: int = 1) -> None:
        self._steps = first_steps

    @property
    def steps(self) -> int:
        """The steps of the next chunk, >= 1."""
        return self._steps

    def record(self, n_steps: int, seconds: float) -> None:
        """Learn that ``n_steps`` took so long, whether faster or slower than those before."""
        longest = GROWTH * max(n_steps, self._steps)
        affordable = int(CHUNK_S * n_steps / seconds) if seconds > 0.0 else longest
        self._steps = max(1, min(affordable, longest))
