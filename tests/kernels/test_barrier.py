"""The barrier at which a team meets, one thread at a time: what it does to the counters, and when it ends."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from accelnn_kernels import catalog, team
from accelnn_kernels.compiler import Kernel, bind
from numba import types

ARRIVED, GENERATION, ABANDONED = (offset // 8 for offset in (team.ARRIVED, team.GENERATION, team.ABANDONED))


def waited(counters, size, yield_address):
    """Return 1 if the team has met, 0 if it was abandoned."""
    return 1.0 if wait(counters, size, yield_address) else 0.0  # noqa: F821


@pytest.fixture(params=["compiled", "python"], scope="module")
def wait_at(request):
    """Return ``wait(counters, size, meanwhile)``; ``meanwhile`` is called whenever the thread gives way to others."""
    scope = catalog._formulas("float64", compiled=request.param == "compiled")
    function = bind(waited, scope, "waited.test")
    if request.param == "compiled":
        function = Kernel(function, types.float64(types.intp, types.intp, types.intp))

    def wait(counters, size, meanwhile=lambda: None):
        callback = ctypes.CFUNCTYPE(None)(meanwhile)
        return function(counters.ctypes.data, size, ctypes.cast(callback, ctypes.c_void_p).value) == 1.0

    return wait


def test_a_team_of_one_does_not_wait(wait_at):
    counters = team.new_team_memory()
    assert wait_at(counters, 1)
    assert not counters.any()


def test_the_last_to_arrive_opens_the_barrier_for_the_next_meeting(wait_at):
    counters = team.new_team_memory()
    for meeting in range(1, 4):
        counters[ARRIVED] = 2
        assert wait_at(counters, 3)
        assert counters[ARRIVED] == 0
        assert counters[GENERATION] == meeting


def test_others_wait_until_the_last_one_arrives(wait_at):
    counters = team.new_team_memory()
    seen = []

    def others_arrive():
        seen.append(int(counters[ARRIVED]))
        if len(seen) == 3:
            counters[GENERATION] += 1

    assert wait_at(counters, 2, others_arrive)
    assert seen == [1, 1, 1]


def test_an_abandoned_team_does_not_wait_for_ever(wait_at):
    counters = team.new_team_memory()

    def abandon():
        counters[ABANDONED] = 1

    assert not wait_at(counters, 2, abandon)


def test_counters_lie_on_cache_lines_of_their_own():
    offsets = [team.ARRIVED, team.GENERATION, team.ABANDONED]
    assert np.diff(offsets).min() >= 128
    assert team.new_team_memory().nbytes > max(offsets)
