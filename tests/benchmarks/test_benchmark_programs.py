"""The other programs: what they make of their measurements, and short runs of what measures."""

from __future__ import annotations

import argparse
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn import Dense, Sequential
from benchmarks import checkpoints, endurance, interpreter_lock, options, threads
from benchmarks.accuracy import TARGETS, orders_of
from benchmarks.accuracy.__main__ import accuracy_table, panels
from benchmarks.accuracy.trials import Runner, reached, seconds_to, take_turn, trial_summary
from benchmarks.accuracy.worker import reporter
from benchmarks.process import WorkerFailed
from benchmarks.programs import aligned, finish
from benchmarks.work import synthetic_rows

SLOW = [(1.0, 0.9), (2.0, 0.976), (3.0, 0.97), (4.0, 0.981)]
NEVER = [(1.0, 0.9), (2.0, 0.979)]


def test_the_first_time_counts() -> None:
    assert seconds_to(SLOW, 0.975) == 2.0
    assert seconds_to(SLOW, 0.98) == 4.0
    assert seconds_to(NEVER, 0.98) is None


def test_all_rounds_have_to_reach_a_target() -> None:
    assert reached([SLOW, NEVER], 0.975) == (2.0, 2.0, 2.0)
    assert reached([SLOW, NEVER], 0.98) is None
    assert reached([], 0.98) is None


def test_accuracy_table_and_panels(tmp_path: Path) -> None:
    runner = Runner("accelnn_fit", tmp_path, cold=[SLOW, SLOW], warm=[SLOW, NEVER])
    results = {"accelnn_fit": trial_summary(runner)}
    cells = "2.00 (2.00 to 2.00) | 4.00 (4.00 to 4.00) | 2.00 (2.00 to 2.00) | not in every round | 3 | 1.00"
    assert accuracy_table(results).splitlines()[2] == f"| accelnn_fit | {cells} |"
    assert panels(results)["98.0%"] == {
        "cold": {"accelnn_fit": (4.0, 4.0, 4.0)},
        "warm": {"accelnn_fit": None},
    }


def test_a_contender_that_fails_in_a_trial_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(runner: Runner, seed: int) -> Any:
        raise WorkerFailed("it broke")

    monkeypatch.setattr(Runner, "run_cold", fail)
    monkeypatch.setattr("benchmarks.accuracy.trials.SETTLE_S", 0.0)
    runner = Runner("accelnn_fit", tmp_path)
    take_turn(runner, "cold", 0)
    take_turn(runner, "warm", 0)
    assert (runner.why_skipped, runner.cold, runner.warm) == ("it broke", [], [])


def test_training_ends_at_the_last_target_or_with_the_epochs() -> None:
    told: list[Any] = []
    after_epoch = reporter(told.append, epochs=3)
    assert [after_epoch(accuracy) for accuracy in (0.5, max(TARGETS), 0.5)] == [False, True, True]
    assert told[0] == {"accuracy": 0.5}


def test_peers_get_the_order_that_fit_draws() -> None:
    x, y = synthetic_rows(60)
    one, two = (Sequential([Dense(10, "softmax")], n_in=784, seed=3) for _ in range(2))
    one.fit(x / 255, y, optimizer="sgd", epochs=2, batch_size=7, verbose=0)
    for order in orders_of(3, epochs=2, n=60):
        two.partial_fit(x[order] / 255, y[order], optimizer="sgd", batch_size=7, shuffle=False)
    for mine, others in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(mine, others, rtol=1e-5, atol=1e-7)


def test_endurance_compares_the_ends() -> None:
    summary = endurance.endurance_summary([1.0] * 10 + [5.0] * 7 + [1.5] * 10)
    assert (summary["first_s"], summary["last_s"], summary["last_to_first"]) == (1.0, 1.5, 1.5)
    lines = endurance.endurance_lines(summary)
    assert lines[-1] == "the last 10 take 1.500 times as long as the first 10"


def test_options_are_compared_round_by_round() -> None:
    summary = options.options_summary({options.PLAIN: [100.0, 50.0, 80.0], "dropout": [50.0, 50.0, 40.0]})
    assert summary["dropout"]["times"] == [2.0, 1.0, 2.0]
    assert summary["dropout"]["times_median"] == 2.0
    assert options.options_lines(summary)[-1].split() == ["dropout", "50", "2.000", "1.000", "2.000", "+100.0%"]


def test_threads_are_compared_round_by_round() -> None:
    times = {threads.ONE: [40.0, 60.0], threads.BY_ROWS: [40.0, 20.0], threads.BY_BANDS: [20.0, 20.0]}
    last = threads.threads_lines({10: times})[-1]
    assert last.split()[:5] == ["batch", "10", "50.0", "30.0", "20.0"]
    assert last.endswith("2.00 (1.00..3.00)  2.50 (2.00..3.00)  1.50 (1.00..2.00)")


def test_counting_beside_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter_lock, "COUNT_S", 0.01)
    monkeypatch.setattr(interpreter_lock, "SETTLE_S", 0.0)
    monkeypatch.setenv(interpreter_lock.LIMIT, "2")
    result = interpreter_lock.measure_beside(*synthetic_rows(256), "1", rounds=2)
    assert os.environ[interpreter_lock.LIMIT] == "2"
    assert len(result["kept"]) == 2
    assert min(result["alone_per_s"] + result["beside_per_s"]) > 0.0
    assert interpreter_lock.lock_lines({"1 thread": result})[1].startswith("1 thread")


def test_aligned_columns() -> None:
    lines = aligned(("name", "x"), [("a longer name", 1), ("b", 123)])
    assert lines == ["name             x", "a longer name    1", "b              123"]
    assert all(len(one) == len(two) for one, two in pairwise(lines))


def test_results_are_written_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish("first_step", argparse.Namespace(output=None), ["a line"], {})
    assert capsys.readouterr().out == "a line\n"
    finish("first_step", argparse.Namespace(output=tmp_path), [], {"a": 1})
    (path,) = tmp_path.iterdir()
    assert path.name.endswith("-cpu-first-step.json")


def test_runs_with_checkpoints_are_compared_within_a_round(tmp_path: Path) -> None:
    seconds = checkpoints.measured_s(*synthetic_rows(300), {"epochs": 1}, 1, tmp_path / "run")
    assert {case: len(times) for case, times in seconds.items()} == dict.fromkeys(checkpoints.CASES, 1)
    assert not list(tmp_path.iterdir())
    results = checkpoints.summary({"none": [1.0, 2.0, 4.0], "every epoch": [1.5, 2.2, 4.4]})
    assert results["every epoch"]["times"] == pytest.approx([1.5, 1.1, 1.1])
    assert "+10.0%" in checkpoints.lines(results, "10 epochs")[2]
