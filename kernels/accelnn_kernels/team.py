"""A team of threads that run one compiled loop together and meet at barriers.

The threads are ordinary ones, started by the caller for the time of one call. A barrier spins, because the others
are rarely more than microseconds behind, then yields the processor so that a crowded machine goes on.
"""

from __future__ import annotations

import numpy as np

ARRIVED, GENERATION, ABANDONED = 0, 128, 256
"""Byte offsets of the counters in a team's memory, each on cache lines of its own."""

SPINS_BEFORE_YIELD = 4096


def new_team_memory() -> np.ndarray:
    """Return zeroed memory for the counters of one team; it must outlive the team."""
    return np.zeros(384 // 8, np.int64)


def wait(counters, size, yield_address):
    """Wait until all ``size`` threads of the team are here. Returns False if the team was abandoned."""
    if size == 1:
        return True
    generation = atomic_load(counters + generation_offset)
    if atomic_add(counters + arrived_offset, 1) == size - 1:
        atomic_store(counters + arrived_offset, 0)
        atomic_add(counters + generation_offset, 1)
        return True
    spins = 0
    while atomic_load(counters + generation_offset) == generation:
        spins += 1
        if spins > spins_before_yield:
            if atomic_load(counters + abandoned_offset) != 0:
                return False
            invoke(yield_address, ())
    return True


TEMPLATES = (wait,)


def constants() -> dict[str, int]:
    """Return the names that the templates of this file need."""
    return {
        "arrived_offset": ARRIVED,
        "generation_offset": GENERATION,
        "abandoned_offset": ABANDONED,
        "spins_before_yield": SPINS_BEFORE_YIELD,
    }
