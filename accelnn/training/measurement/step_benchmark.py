"""Measure the training step of a network on this machine against the limits of the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from accelnn_kernels.compiler import why_nothing_compiles

from accelnn.arrays import reference
from accelnn.errors import AccelnnError
from accelnn.network.network import Network
from accelnn.training.data import TrainingData
from accelnn.training.fit import OptimizerState
from accelnn.training.measurement.machine_rates import MachineRates, RateMeter
from accelnn.training.measurement.profiling import Profile, probing, profile_steps, time_steps
from accelnn.training.measurement.roofline import (
    GEMMS,
    OTHER,
    PHASES,
    Limit,
    Work,
    count_work,
    limit_of,
    title_of,
)
from accelnn.training.optimizers import Optimizer
from accelnn.training.runners.compiled import CompiledRunner
from accelnn.training.runners.lowering import Program

STEPS_S = 0.05
"""In every round, so long for steps as they are, and again for profiled ones."""

LEAST_ROUNDS = 5

SHORTEST_S = 2e-8
"""A call must take longer than this for its time to say something."""


@dataclass(frozen=True)
class PhaseTime:
    """A phase of a step: ``time_s`` in one step and thread, ``share`` of the step, ``calls`` of kernels in a step.

    ``phase`` is a key of ``roofline.PHASES`` or ``"other"``, ``title`` what people read. ``work`` and ``limit`` are
    None for a phase without a limit: waiting for other threads, or what is not counted.
    """

    phase: str
    title: str
    time_s: float
    share: float
    calls: float = 0.0
    work: Work | None = None
    limit: Limit | None = None

    @property
    def fraction(self) -> float | None:
        """The limit as a fraction of the time: 1 is as fast as can be.

        None without a limit, and for kernels that take no longer than reading a clock.
        """
        measurable = self.time_s > self.calls * SHORTEST_S
        return self.limit.time_s / self.time_s if self.limit and measurable else None


@dataclass(frozen=True)
class StepBenchmark:
    """A step on a full batch: its time, where it goes, and its limits.

    step_s, fastest_step_s: the median and the least of ``rounds`` rounds, not profiled. phases: of the round whose
    profiled step is the median one, without what reading clocks takes. slowdown: by how much of its time the profile
    slows a step down.
    """

    batch_size: int
    rates: MachineRates
    rounds: int
    step_s: float
    fastest_step_s: float
    slowdown: float
    phases: tuple[PhaseTime, ...]

    @property
    def samples_per_s(self) -> float:
        """Rows trained on per second."""
        return self.batch_size / self.step_s

    @property
    def profiled_step_s(self) -> float:
        """The sum of the phases."""
        return sum(phase.time_s for phase in self.phases)

    @property
    def gemm_limit_s(self) -> float:
        """What the matrix products of a step would take at the machine's best rate, and nothing else."""
        flops = sum(phase.work.flops for phase in self.phases if phase.work and phase.phase in GEMMS)
        return flops / self.rates.gemm_flops_per_s

    @property
    def limit_s(self) -> float:
        """What a step would take if every phase were at its limit."""
        return sum(phase.limit.time_s for phase in self.phases if phase.limit)


@dataclass(frozen=True)
class _Case:
    """What is trained and measured."""

    network: Network
    data: TrainingData
    optimizer: Optimizer
    batch_size: int
    runner: CompiledRunner

    @property
    def program(self) -> Program:
        return self.runner.machine.program

    def rounds(self, meter: RateMeter, seconds: float) -> Iterator[tuple[Profile, Profile]]:
        """Yield the times of the same steps as they are and profiled, for so long; measure the machine in between."""
        probing()
        for how in (time_steps, profile_steps):
            self._steps(how, 1)  # compiles
        step_s = min(self._steps(time_steps, 1).elapsed_s for _ in range(3))
        n_steps = max(1, min(len(self.data) // self.batch_size, int(STEPS_S / step_s)))
        stop_s = time.perf_counter() + seconds
        n_rounds = 0
        while n_rounds < LEAST_ROUNDS or time.perf_counter() < stop_s:
            meter.measure()
            self._steps(time_steps, max(1, n_steps // 4))  # the copies have emptied the caches
            plain = self._steps(time_steps, n_steps)
            yield plain, self._steps(profile_steps, n_steps)
            n_rounds += 1

    def _steps(self, how: Callable[..., Profile], n_steps: int) -> Profile:
        """Run so many steps on rows in a new order, so that no cache holds them from the steps before."""
        rng = self.network.shuffle_rng
        self.runner.begin_epoch(rng.permutation(len(self.data)))
        hyper = self.optimizer.hyper(np.arange(n_steps), self.optimizer.schedule.rates(np.zeros(n_steps), 1))
        keys = reference.dropout_keys(self.network.dropout_seed, np.arange(n_steps), self.network.n_dropout)
        return how(self.runner, 0, n_steps, hyper, keys)


def benchmark_step(
    network: Network, data: TrainingData, loss: str, optimizer: Optimizer, batch_size: int, seconds: float, *,
    threads: int | None = None,
) -> StepBenchmark:  # fmt: skip
    """Train ``network`` for about ``seconds`` with the compiled runner and measure; compiling comes on top.

    ``data`` must have ``batch_size`` rows or more and ``loss`` fit the network, whose weights change. ``threads``
    limits the threads, None takes as many as pay. Raises AccelnnError on a processor for which no clock is known, and
    where Numba compiles nothing.
    """
    reason = why_nothing_compiles()
    if reason is not None:
        raise AccelnnError(f"nothing to measure: {reason}")
    moments = OptimizerState.fresh(optimizer, network).moments
    runner = CompiledRunner(network, data, loss, optimizer, moments, batch_size, threads=threads)
    case = _Case(network, data, optimizer, batch_size, runner)
    meter = RateMeter(network.dtype, runner.threads)
    meter.measure_large_product()
    pairs = list(case.rounds(meter, seconds))
    meter.measure_large_product()
    rates = meter.rates()
    steps_s = [plain.elapsed_s / plain.n_steps for plain, _ in pairs]
    profiles = sorted((profiled for _, profiled in pairs), key=lambda profile: profile.total_s)
    return StepBenchmark(
        batch_size,
        rates,
        rounds=len(pairs),
        step_s=statistics.median(steps_s),
        fastest_step_s=min(steps_s),
        slowdown=statistics.median(profiled.elapsed_s / plain.elapsed_s - 1.0 for plain, profiled in pairs),
        phases=phase_times(profiles[len(profiles) // 2], case.program, data, optimizer, rates),
    )


def phase_times(
    profile: Profile, program: Program, data: TrainingData, optimizer: Optimizer, rates: MachineRates
) -> tuple[PhaseTime, ...]:
    """Return the phases that took place in a profiled step, in their order, and what is left behind them."""
    work = count_work(program, data, optimizer)
    phases = []
    for phase, names in PHASES.items():
        calls = sum(profile.calls.get(name, 0) for name in names)
        if calls and not (phase == "waiting" and rates.threads == 1):
            time_s = sum(profile.times_s.get(name, 0.0) for name in names)
            limit = limit_of(work[phase], rates) if phase in work else None
            title = title_of(phase, program.parameters, optimizer)
            share, n = time_s / profile.total_s, profile.n_steps
            phases.append(PhaseTime(phase, title, time_s / n, share, calls / n, work.get(phase), limit))
    rest_s = max(0.0, profile.total_s - profile.n_steps * sum(phase.time_s for phase in phases))
    return (*phases, PhaseTime(OTHER, OTHER, rest_s / profile.n_steps, rest_s / profile.total_s))
