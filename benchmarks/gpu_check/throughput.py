"""Section throughput: accelnn and its peers on MNIST-shaped data, interleaved in one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.gpu_check.child import Skipped, Task
from benchmarks.gpu_check.contender_team import measure_work, new_team
from benchmarks.work import Work

OURS, OURS_PLAIN = "accelnn_cuda", "accelnn_cuda_plain"
PEERS = ("torch_cuda", "torch_cuda_graph", "jax_jit_cuda", "jax_scan_cuda")

OVERHEAD_US = {
    OURS: 20.0, OURS_PLAIN: 1500.0, "torch_cuda": 400.0, "torch_cuda_graph": 60.0, "jax_jit_cuda": 150.0,
    "jax_scan_cuda": 80.0,
}  # fmt: skip
"""What a step may cost besides arithmetic: only for choosing how many steps a round has."""

FLOPS_PER_S = {"float32": 3e13, "tf32": 1.5e14, "bf16": 2.5e14}
ROUND_S = 0.15
MOST_STEPS, FEWEST_STEPS, MOST_ROWS = 6000, 16, 1 << 20
ROUNDS = 3
LEAST_S = 15.0
"""With less time left a work is not begun."""

SMALL, WIDE = (784, 128, 64, 10), (784, 2048, 2048, 10)
LEARNING_RATES = {SMALL: 0.1, WIDE: 0.01}
BATCHES = (128, 10, 32, 512, 2048, 16384)
"""In the order of their importance, for a run that does not finish."""

PRECISION_BATCHES = (8192, 128, 2048)


def measure(task: Task) -> None:
    names = PEERS if task.options.get("peers") else (OURS, OURS_PLAIN, *PEERS)
    team = new_team(names, task.device)
    try:
        report_cases(task, team, names)
    finally:
        for member in team:
            member.stop()
    if all(member.out is not None for member in team):
        raise Skipped("; ".join(f"{member.name}: {member.out}" for member in team))


def report_cases(task: Task, team: Any, names: tuple[str, ...]) -> None:
    """Measure one case after the other as long as there is time."""
    rounds = 2 if task.quick else ROUNDS
    for units, batch_size, precision in cases(task):
        key = case_name(units, batch_size, precision)
        if task.left_s < LEAST_S and not task.quick:
            task.report(key, {"skipped": "no time was left"})
            continue
        fields = {"units": units, "batch_size": batch_size, "precision": precision, "data": task.options["data"]}
        works = {name: sized(name, fields, task.quick) for name in names if suits(name, precision)}
        case = measure_work(team, works, rounds, task.device, lambda: task.left_s - 5.0)
        task.report(key, case)
        note_troubles(task, key, case)


def cases(task: Task) -> list[tuple[tuple[int, ...], int, str]]:
    """Return (units, batch size, precision) of all cases in their order."""
    if task.quick:
        return [((784, 16, 10), 32, "float32")]
    plain = [(units, batch, "float32") for units in (SMALL, WIDE) for batch in BATCHES]
    return plain + [(WIDE, batch, precision) for batch in PRECISION_BATCHES for precision in ("bf16", "tf32")]


def suits(name: str, precision: str) -> bool:
    """Return whether a contender has this precision."""
    return precision == "float32" or name != OURS_PLAIN


def case_name(units: tuple[int, ...], batch_size: int, precision: str) -> str:
    """Return e.g. "784-128-64-10 batch 128 float32"."""
    return f"{'-'.join(map(str, units))} batch {batch_size} {precision}"


def sized(name: str, fields: Mapping[str, Any], quick: bool = False) -> Work:
    """Return the work with so many steps that a round takes about ``ROUND_S``."""
    rate = LEARNING_RATES.get(fields["units"], 0.01)
    one = Work(n_steps=1, learning_rate=rate, **fields)
    step_us = OVERHEAD_US[name] + 1e6 * one.step_flops / FLOPS_PER_S[one.precision]
    most = FEWEST_STEPS if quick else min(MOST_STEPS, MOST_ROWS // one.batch_size)
    n_steps = max(FEWEST_STEPS, min(most, int(1e6 * ROUND_S / step_us)))
    return Work(n_steps=n_steps, learning_rate=rate, **fields)


def note_troubles(task: Task, key: str, case: Mapping[str, Any]) -> None:
    """Count accelnn's own failures and losses that differ as failures of the section; peers may be missing."""
    if OURS in case["failed"]:
        task.wrong(f"{key}: {OURS} {case['failed'][OURS]}")
    if case["disagreeing"]:
        off = ", ".join(f"{name} by {distance:.1%}" for name, distance in case["disagreeing"].items())
        task.wrong(f"{key}: losses differ: {off}")
