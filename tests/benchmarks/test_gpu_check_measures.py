"""What the sections measure, as far as it does not take a GPU: parity of two runners, epochs, traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu_check import (
    parity,
    step_anatomy,
)
from benchmarks.gpu_check.child import Task


def task_at(tmp_path: Path, **options: Any) -> Task:
    return Task(tmp_path / "answers.json", {"device": "cpu", "data": "synthetic", "quick": True, **options})


def told(tmp_path: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((tmp_path / "answers.json").read_text())
    return answer


def test_parity_is_measured_between_any_two(tmp_path: Path) -> None:
    task, pair = task_at(tmp_path), parity.sides("cpu")
    assert all(parity.same_start(task, pair).values())
    assert parity.same_masks(task, pair[1]) == {"formula": True}
    x, y = np.random.default_rng(0).integers(0, 256, (256, 784), np.uint8), np.arange(256) % 10
    result = parity.same_training(task, pair, "case", x, y, "dropout", "adam", "float32")
    assert result["same_draws"]
    assert len(result["losses"][0]) == parity.EPOCHS["float32"]
    assert "wrong" not in task._answer


def test_parity_sees_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "LOSS_TOLERANCE", -1.0)
    task = task_at(tmp_path)
    x, y = np.zeros((128, 784), np.uint8), np.arange(128) % 10
    parity.same_training(task, parity.sides("cpu"), "case", x, y, "relu", "sgd", "float32")
    assert "case: losses differ by" in told(tmp_path)["wrong"][0]
    assert parity.distance(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(0.1)


def small_rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (60_000, 784), np.uint8), rng.integers(0, 10, 60_000)


def test_the_sum_of_a_trace() -> None:
    trace = {"traceEvents": [
        {"cat": "kernel", "name": "b", "ts": 20.0, "dur": 2.0},
        {"cat": "kernel", "name": "a", "ts": 10.0, "dur": 3.0},
        {"cat": "cpu_op", "name": "c", "ts": 0.0, "dur": 9.0},
        {"cat": "gpu_memset", "name": "b", "ts": 30.0, "dur": 1.0},
    ]}  # fmt: skip
    events = step_anatomy.gpu_events(trace)
    assert [event["name"] for event in events] == ["a", "b", "b"]
    assert step_anatomy.by_name(events, 1) == [
        {"name": "a", "per_step": 1.0, "us": 3.0},
        {"name": "b", "per_step": 2.0, "us": 3.0},
    ]


def test_epochs_on_a_cpu() -> None:
    x, y = small_rows()
    result = step_anatomy.epochs(x[:256], y[:256], (784, 8, 10), 64, "cpu")
    assert len(result["cpu_s"]) == step_anatomy.ON_CPU - 1
    assert "cuda_s" not in result
