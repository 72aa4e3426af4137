"""Take the time of training steps of the compiled runner: as they are, and kernel by kernel.

Nothing is replayed: the loop that is timed is the loop that trains, compiled once more with calls that read a clock
before and after each kernel (:mod:`accelnn_kernels.profile`), and it leaves behind bitwise the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from accelnn_kernels import catalog, profile, tables

from accelnn.arrays.addresses import address_to_write
from accelnn.errors import AccelnnError
from accelnn.training.runners import step
from accelnn.training.runners.compiled import CompiledNet, CompiledRunner, Machine

FRAME_KERNELS = (
    "gather_rows", "gather_targets", "gather_weights", "sum_weights",
    "matmul", "matmul_transposed", "weight_gradient", "add_parts", "loss",
    "update", "penalize", "sum_of_squares", "scale_values", "copy",
    "dropout", "column_sums", "column_squares", "inverse_deviation", "running_average",
    "batch_norm", "batch_norm_sums", "batch_norm_gradient", "layer_norm", "layer_norm_gradient", "rescaling",
)  # fmt: skip
"""Fields of a frame whose kernels are timed. Not ``gemm``: other kernels call it, and their time contains its own."""

WAIT = "yield_address"
"""The field under which waiting for other threads is booked."""

LAYER_KERNELS = ("forward", "backward")


@dataclass(frozen=True)
class Profile:
    """Where the time of ``n_steps`` training steps went, in the thread that began them.

    elapsed_s: what they took. times_s, calls: time in kernels and number of calls, by the field of a frame or of a
    layer that names the kernel (of layers: all together); empty where only the whole was timed. total_s: what they
    would have taken if reading clocks took no time; the sum of ``times_s`` is less.
    """

    n_steps: int
    elapsed_s: float
    total_s: float
    times_s: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Probing:
    """What a timed call costs: ticks that are booked for a kernel that does nothing, ticks of the whole call."""

    booked: float
    whole: float
    s_per_tick: float


def time_steps(runner: CompiledRunner, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> Profile:
    """Train on the mini-batches [first, last) as ``CompiledRunner.train`` does and return how long that took."""
    machine = _TimedMachine(runner.machine)
    _train_on(machine, runner, first, last, hyper, dropout_keys)
    return Profile(last - first, machine.elapsed_s, machine.elapsed_s)


def profile_steps(
    runner: CompiledRunner, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray
) -> Profile:
    """Do the same, kernel by kernel. Raises AccelnnError on a processor for which no clock is known."""
    machine = _ProfiledMachine(runner.machine)
    _train_on(machine, runner, first, last, hyper, dropout_keys)
    return machine.profile(last - first)


def _train_on(machine: Machine, runner: CompiledRunner, *arguments: Any) -> None:
    before, runner.machine = runner.machine, machine
    try:
        runner.train(*arguments)
    finally:
        runner.machine = before


class _TimedMachine(Machine):
    """Shares all tables with another machine and takes the time of its first thread."""

    def __init__(self, machine: Machine) -> None:
        vars(self).update(vars(machine))
        self.elapsed_s = 0.0

    def run(self, function: Callable[..., None], first: int, last: int, *outputs: np.ndarray) -> None:
        """Call a compiled loop for the steps [first, last) on all threads."""
        own = self.first_net()
        timed = self.first_loop(function)
        beginner = int(self.frame["rank"][0])

        def work(net: CompiledNet, *arguments: Any) -> None:
            if int(net.frame["rank"][0]) != beginner:
                return function(net, *arguments)
            start_s = time.perf_counter()
            timed(own, *arguments)
            self.elapsed_s += time.perf_counter() - start_s
            return None

        super().run(work, first, last, *outputs)

    def first_net(self) -> CompiledNet:
        """Return the tables of the first thread."""
        return self._net(0)

    def first_loop(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return the loop that the first thread runs."""
        return function


class _ProfiledMachine(_TimedMachine):
    """Takes the time of each kernel too: in the tables of the first thread, rows of a profile stand for kernels."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        if not profile.has_clock():
            raise AccelnnError("a profile needs a processor of the kind x86-64 or AArch64: this one has no known clock")
        kinds = self.program.layers["kind"]
        own_kernels = np.flatnonzero(np.isin(kinds, (*tables.DENSE_KINDS, tables.ACTIVATION)))
        self._places = [(name, index) for name in LAYER_KERNELS for index in own_kernels]
        frame_kernels = [name for name in (*FRAME_KERNELS, WAIT) if self.frame[name][0] != 0]
        self._names = [*(name for name, _ in self._places), *frame_kernels]
        addresses = [self.program.layers[name][index] for name, index in self._places]
        self.rows = profile.new_rows([*addresses, *(self.frame[name][0] for name in frame_kernels)])

    def first_net(self) -> CompiledNet:
        """Return tables of the first thread that name rows of the profile."""
        layers, frame = self.program.layers.copy(), self.frame[:1].copy()
        first = address_to_write("a profile", self.rows, np.int64)
        addresses = first + self.rows.strides[0] * np.arange(len(self.rows))
        for (name, index), address in zip(self._places, addresses, strict=False):
            layers[name][index] = address
        n_places = len(self._places)
        for name, address in zip(self._names[n_places:], addresses[n_places:], strict=True):
            frame[name] = address
        return CompiledNet(layers, self.program.parameters, frame)

    def first_loop(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return the loop with timed calls."""
        return _profiled_train_steps()

    def profile(self, n_steps: int) -> Profile:
        """Return what was booked, less what reading the clocks took."""
        cost = probing()
        ticks, calls = self.rows[:, profile.TICKS], self.rows[:, profile.CALLS]
        times_s = np.maximum(ticks - cost.booked * calls, 0.0) * cost.s_per_tick
        total_s = self.elapsed_s - cost.whole * cost.s_per_tick * int(calls.sum())
        names = dict.fromkeys(self._names)
        chosen = {name: [i for i, other in enumerate(self._names) if other == name] for name in names}
        return Profile(
            n_steps,
            self.elapsed_s,
            max(total_s, float(times_s.sum())),
            {name: float(times_s[rows].sum()) for name, rows in chosen.items()},
            {name: int(calls[rows].sum()) for name, rows in chosen.items()},
        )


@cache
def _profiled_train_steps() -> Callable[..., None]:
    loop: Callable[..., None] = catalog.program_loop(step.train_steps, step.train_step, profiled=True)
    return loop


@cache
def probing() -> Probing:
    """Measure what a timed call costs and how long a tick is, in a few hundredths of a second; keep the least."""
    rounds, times = 8, 100_000
    rows = profile.new_rows([catalog.kernel("copy", "", "float32").address])
    nothing = (address_to_write("a profile", rows, np.int64), (0, 0, 0))
    call = catalog.probe()
    call(*nothing, 1)  # compiles
    found = []
    for _ in range(rounds):
        rows[0, profile.TICKS] = 0
        start_s = time.perf_counter()
        whole = call(*nothing, times)
        elapsed_s = time.perf_counter() - start_s
        found.append((int(rows[0, profile.TICKS]) / times, whole / times, elapsed_s / whole))
    return Probing(*np.min(found, axis=0).tolist())
