"""All contenders at one work: prepared one after the other, then trained in turn, A B C A B C ..."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gpu_check.contender_process import peer_on
from benchmarks.process import WorkerFailed, WorkerProcess
from benchmarks.report import disagreeing, spread
from benchmarks.work import Work

PREPARE_LIMIT_S, ROUND_LIMIT_S = 45.0, 20.0
MOST_FAILURES = 3
"""A contender that failed in so many works is not tried again."""

LOSS_TOLERANCES = {"float32": 0.02, "tf32": 0.03, "bf16": 0.1}


@dataclass
class Member:
    """A contender: its process, which serves one work after the other, and what it measured in the present one.

    out: why it is not tried in any work; failed: why it is not in the present one.
    """

    name: str
    process: Any = None
    out: str | None = None
    failed: str | None = None
    failures: int = 0
    n_steps: int = 0
    prepared_s: float = 0.0
    warm_up: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, question: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        """Return the answer; raise WorkerFailed, after which the process is started anew for the next work."""
        assert self.process is not None
        try:
            answer: dict[str, Any] = self.process.ask(json.dumps(question), max(1.0, limit_s))
        except WorkerFailed:
            self.stop()
            raise
        return answer

    def stop(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.stop()
            self.process = None


def new_team(names: tuple[str, ...], device: str) -> list[Member]:
    """Return the contenders; those that can be started are being started, all at once."""
    members = [Member(name, out=peer_on(name, device).why_missing) for name in names]
    for member in members:
        if member.out is None:
            member.process = _started(member.name, device)
    return members


def _started(name: str, device: str) -> WorkerProcess:
    return WorkerProcess("benchmarks.gpu_check.contender_process", [name, device], peer_on(name, device).environment)


def measure_work(
    team: list[Member], works: Mapping[str, Work], rounds: int, device: str, left_s: Callable[[], float]
) -> dict[str, Any]:
    """Let all contenders that are in ``works`` train and return what came out, see :func:`summary`.

    works: by the contender's name; they differ in their number of steps alone. left_s: the seconds that are left.
    """
    present = [member for member in team if member.name in works and member.out is None]
    for member in present:
        _prepare(member, works[member.name], device, left_s)
    for number in range(rounds + 1):
        for member in present:
            if member.failed is None and left_s() > 1.0:
                _train(member, number, left_s)
    return summary([member for member in team if member.name in works], next(iter(works.values())))


def _prepare(member: Member, work: Work, device: str, left_s: Callable[[], float]) -> None:
    member.failed, member.warm_up, member.answers, member.n_steps = None, [], [], work.n_steps
    if member.process is None:
        member.process = _started(member.name, device)
    try:
        fields = json.loads(work.to_json())
        answer = member.ask({"work": fields}, min(PREPARE_LIMIT_S, left_s()))
    except WorkerFailed as reason:
        _note(member, reason)
    else:
        member.prepared_s = answer["prepared_s"]


def _train(member: Member, number: int, left_s: Callable[[], float]) -> None:
    # The first round may compile, as JAX does.
    limit_s = PREPARE_LIMIT_S if number == 0 else ROUND_LIMIT_S
    try:
        start_s = time.perf_counter()
        answer = member.ask({"round": number}, min(limit_s, left_s()))
    except WorkerFailed as reason:
        _note(member, reason)
        return
    answer["asked_s"] = time.perf_counter() - start_s
    (member.answers if number else member.warm_up).append(answer)


def _note(member: Member, reason: WorkerFailed) -> None:
    member.failed = str(reason)
    member.failures += 1
    if member.failures >= MOST_FAILURES:
        member.out = f"it failed in {MOST_FAILURES} works; in the last: {reason}"


def summary(members: list[Member], work: Work) -> dict[str, Any]:
    """Return the results of one work, JSON-able.

    Keys: "results" by name (us_per_step and samples_per_s as median, minimum, maximum; "us_of_rounds", n_steps of a
    round, prepared_s, first_round_s, first_losses), "failed" (reasons by name), "disagreeing" (by name: the relative
    distance of the first losses from the median).
    """
    finished = [member for member in members if member.failed is None and member.answers]
    return {
        "batch_size": work.batch_size, "units": list(work.units), "precision": work.precision, "data": work.data,
        "results": {member.name: _result(member) for member in finished},
        "failed": {m.name: m.failed or m.out or "no time was left" for m in members if m not in finished},
        "disagreeing": disagreeing(_first_losses(finished), LOSS_TOLERANCES[work.precision]),
    }  # fmt: skip


def _result(member: Member) -> dict[str, Any]:
    return {
        "us_per_step": spread([answer["us_per_step"] for answer in member.answers]),
        "samples_per_s": spread([answer["samples_per_s"] for answer in member.answers]),
        "us_of_rounds": [answer["us_per_step"] for answer in member.answers],
        "n_steps": member.n_steps,
        "prepared_s": member.prepared_s,
        "first_round_s": member.warm_up[0]["elapsed_s"],
        "first_losses": member.warm_up[0]["first_losses"],
    }


def _first_losses(members: list[Member]) -> dict[str, float]:
    """Return the mean of the first losses, over as many steps as all have told."""
    told = {member.name: member.warm_up[0]["first_losses"] for member in members}
    count = min((len(losses) for losses in told.values()), default=0)
    return {name: sum(losses[:count]) / count for name, losses in told.items()} if count else {}
