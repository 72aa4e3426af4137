"""Run contenders in turn, A B C A B C ..., so that a slow minute of the machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.process import WorkerFailed, WorkerProcess
from benchmarks.work import QUICK, Work

SETTLE_S = 0.0 if QUICK else 0.5
"""Pause before each turn: the thread pools of the one before go on spinning for a while."""


@dataclass
class Contender:
    """A contender's process and what it measured, round by round; the warm-up does not count for speed.

    ``why_skipped`` is the reason why it could not start or had to be given up, None while it runs well.
    """

    name: str
    process: Any = None
    warm_up: list[dict[str, float]] = field(default_factory=list)
    answers: list[dict[str, float]] = field(default_factory=list)
    why_skipped: str | None = None

    @classmethod
    def start(cls, name: str, work: Work) -> Contender:
        """Start its process, which prepares itself while the others are started."""
        peer = CONTENDERS[name]
        if reason := peer.why_missing:
            return cls(name, why_skipped=reason)
        return cls(name, WorkerProcess("benchmarks.worker", [name, work.to_json()], peer.environment))

    def take_turn(self, round_number: int, counts: bool) -> None:
        """Let it train one round; one that fails is skipped from now on."""
        try:
            answer = self.process.ask(round_number)
        except WorkerFailed as reason:
            self.why_skipped = str(reason)
            return
        (self.answers if counts else self.warm_up).append(answer)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    @property
    def rates(self) -> list[float]:
        """Samples per second of each round."""
        return [answer["samples_per_s"] for answer in self.answers]

    @property
    def first_loss(self) -> float:
        """The mean loss of the very first round, which all contenders start from the same weights."""
        return (self.warm_up + self.answers)[0]["mean_loss"]


def interleave(names: Iterable[str], work: Work, rounds: int, warm_up: int = 2) -> list[Contender]:
    """Run all contenders for ``rounds`` rounds, after ``warm_up`` rounds that do not count."""
    contenders = [Contender.start(name, work) for name in names]
    try:
        take_turns(contenders, rounds, warm_up)
    finally:
        for contender in contenders:
            contender.stop()
    return contenders


def take_turns(contenders: list[Contender], rounds: int, warm_up: int, settle_s: float = SETTLE_S) -> None:
    """Give every contender that still runs its turn in every round."""
    for round_number in range(warm_up + rounds):
        for contender in contenders:
            if contender.why_skipped is None:
                time.sleep(settle_s)
                contender.take_turn(round_number, counts=round_number >= warm_up)
