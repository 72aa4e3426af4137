"""Run contenders in turn, A B C A B C ..., so that a slow minute of the machine hits all alike."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median

SETTLE_S = 0.5
"""Pause before each turn: the thread pools of the one before go on spinning for a while."""


@dataclass
class Contender:
    """A contender's process and what it measured, round by round; the warm-up does not count for speed."""

    name: str
    process: subprocess.Popen[str]
    warm_up: list[dict[str, float]] = field(default_factory=list)
    answers: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def start(cls, name: str, batch_size: int, optimizer: str) -> Contender:
        command = [sys.executable, "-m", "benchmarks.worker", name, str(batch_size), optimizer]
        return cls(name, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def ask(self, round_number: int) -> dict[str, float]:
        """Let it train one round and return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{round_number}\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self.process.stdout.readline())
        return answer

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    @property
    def rates(self) -> list[float]:
        """Samples per second of each round."""
        return [answer["samples_per_s"] for answer in self.answers]


def interleave(names: list[str], batch_size: int, optimizer: str, rounds: int, warm_up: int = 2) -> list[Contender]:
    """Run all contenders for ``rounds`` rounds, after ``warm_up`` rounds that do not count."""
    contenders = [Contender.start(name, batch_size, optimizer) for name in names]
    for round_number in range(warm_up + rounds):
        for contender in contenders:
            time.sleep(SETTLE_S)
            answers = contender.answers if round_number >= warm_up else contender.warm_up
            answers.append(contender.ask(round_number))
    for contender in contenders:
        contender.stop()
    return contenders


def ratios(one: Contender, other: Contender) -> list[float]:
    """Return how many times faster ``one`` was than ``other``, round by round."""
    return [mine / theirs for mine, theirs in zip(one.rates, other.rates, strict=True)]


def spread(values: list[float]) -> tuple[float, float, float]:
    """Return median, minimum and maximum."""
    return median(values), min(values), max(values)
