"""Contenders in processes of their own: they answer, or they are skipped with the reason; nothing hangs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.interleave import Contender, take_turns
from benchmarks.process import WorkerFailed, WorkerProcess, one_line
from benchmarks.work import Work

ECHO = """
import sys
from benchmarks.process import serve_answers
answer = serve_answers()
print("a library talks")
for line in sys.stdin:
    answer({"heard": line.strip()})
"""
DEAD = """
import os, sys
print("first words", file=sys.stderr)
print("out of everything", file=sys.stderr, flush=True)
os._exit(7)
"""
SILENT = "import time; time.sleep(60)"
COMPLAINING = """
from benchmarks.process import serve_answers
serve_answers()({"failed": "no C++ compiler"})
"""


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """Return a function that starts a worker from its source; workers are stopped in the end."""
    workers = []

    def started(source: str) -> WorkerProcess:
        (tmp_path / "a_worker.py").write_text(source)
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        workers.append(WorkerProcess("a_worker", [], {"PYTHONPATH": path}))
        return workers[-1]

    yield started
    for worker in workers:
        worker.stop()


def test_answers_are_not_mixed_with_what_libraries_print(start: Any) -> None:
    worker = start(ECHO)
    assert worker.ask(3) == {"heard": "3"}
    assert worker.ask("four") == {"heard": "four"}


def test_a_worker_that_dies_tells_its_last_words(start: Any) -> None:
    worker = start(DEAD)
    with pytest.raises(WorkerFailed, match=r"its process ended \(exit code 7\): out of everything"):
        worker.receive()


def test_asking_the_dead(start: Any) -> None:
    worker = start(DEAD)
    worker._process.wait()
    with pytest.raises(WorkerFailed, match="out of everything"):
        worker.ask(1)


def test_a_worker_that_does_not_answer_is_given_up(start: Any) -> None:
    worker = start(SILENT)
    with pytest.raises(WorkerFailed, match="no answer within 0 s"):
        worker.ask(1, timeout_s=0.1)
    worker._process.kill()  # stop would wait some seconds for it


def test_a_worker_may_give_the_reason_itself(start: Any) -> None:
    worker = start(COMPLAINING)
    worker._process.wait()  # also when it is gone before it is asked
    with pytest.raises(WorkerFailed, match=r"^no C\+\+ compiler$"):
        worker.ask(1)


def test_errors_in_one_line() -> None:
    assert one_line(ValueError("first\nsecond")) == "ValueError: first"
    assert one_line(KeyError()) == "KeyError"


class Scripted:
    """Stands for a process that gives answers until it fails."""

    def __init__(self, n_answers: int, log: list[str], name: str) -> None:
        self.left, self.log, self.name = n_answers, log, name

    def ask(self, round_number: int) -> dict[str, float]:
        self.log.append(f"{self.name}{round_number}")
        self.left -= 1
        if self.left < 0:
            raise WorkerFailed("it broke")
        return {"elapsed_s": 1.0, "samples_per_s": 1.0, "mean_loss": 0.5}


def test_turns_are_interleaved_and_go_on_without_those_that_fail() -> None:
    log: list[str] = []
    contenders = [Contender(name, Scripted(n, log, name)) for name, n in (("a", 9), ("b", 2), ("c", 9))]
    contenders.append(Contender("d", why_skipped="not installed"))
    take_turns(contenders, rounds=3, warm_up=1, settle_s=0.0)
    assert log == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2", "a3", "c3"]
    assert [c.why_skipped for c in contenders] == [None, "it broke", None, "not installed"]
    assert [(len(c.warm_up), len(c.answers)) for c in contenders] == [(1, 3), (1, 1), (1, 3), (0, 0)]


def test_accelnn_through_a_worker() -> None:
    """From a real process, on random images: losses fall."""
    contender = Contender.start("accelnn_fit", Work(128, n_steps=60, data="synthetic"))
    try:
        take_turns([contender], rounds=2, warm_up=1, settle_s=0.0)
    finally:
        contender.stop()
    assert contender.why_skipped is None
    assert len(contender.rates) == 2
    assert contender.answers[-1]["mean_loss"] < contender.first_loss


def test_a_contender_whose_preparation_fails_is_skipped_with_the_error() -> None:
    contender = Contender.start("accelnn_fit", Work(128, "sgd", (784, 0, 10), n_steps=1, data="synthetic"))
    try:
        take_turns([contender], rounds=1, warm_up=1, settle_s=0.0)
    finally:
        contender.stop()
    assert contender.why_skipped is not None
    assert contender.why_skipped.startswith("ArgumentError: units is 0")
