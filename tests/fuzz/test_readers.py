"""Ten thousand executions of each reader: whatever is in a file, only errors of accelnn come out.

``make fuzz`` runs as many, guided by coverage where atheris can be installed, and more if asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.fuzz.mutation import Mutator, fuzz
from tests.fuzz.targets import TARGETS, Target

EXECUTIONS = 10_000


@pytest.mark.parametrize("reader", TARGETS)
def test_only_our_errors_come_out(reader: str, tmp_path: Path) -> None:
    target = TARGETS[reader]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [target.run(seed, tmp_path / "input") for seed in target.seeds] == ["read"] * len(target.seeds)
        counts = fuzz(target, tmp_path / "input", EXECUTIONS)
    assert counts["read"] + counts["refused"] == EXECUTIONS
    assert counts["read"] > 0
    assert counts["different"] > 10, "the fuzzer does not get anywhere"


def test_the_fuzzer_finds_a_fault(tmp_path: Path) -> None:
    def faulty(path: Path) -> None:
        if b"9" in path.read_bytes():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fuzz(Target(faulty, [b"1 2 3"]), tmp_path / "input", 1000)
    assert b"9" in (tmp_path / "input.crash").read_bytes()


def test_the_same_seed_gives_the_same_inputs() -> None:
    target = TARGETS["csv"]()
    first, second, other = (Mutator(target, seed) for seed in (1, 1, 2))
    inputs = [[mutator.next_input() for _ in range(20)] for mutator in (first, second, other)]
    assert inputs[0] == inputs[1] != inputs[2]


def test_memory_is_watched_from_the_outside() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--plain", "--executions", "50", "--readers", "idx", "csv"],
        capture_output=True, text=True, check=False, env=environment, timeout=120,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.partition(" executions")[0] for line in done.stdout.splitlines()] == ["idx: 50", "csv: 50"]
