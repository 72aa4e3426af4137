"""Two thousand examples of models and data in odd memory; ``make fuzz`` has a hundred thousand."""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fuzz import odd_arrays

EXAMPLES = 2_000


def test_nothing_that_is_not_ours_is_written_and_odd_memory_changes_no_number() -> None:
    assert odd_arrays.explore(EXAMPLES) == []


def _writes(model: Any, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    if x.flags.writeable:
        x[0, 0] += 1.0
    return 0.0


def _writes_to_the_model(model: Any, *data: np.ndarray) -> float:
    if hasattr(model, "_solver") and model._solver.moments[0].flags.writeable:
        model._solver.moments[0] += 1.0
    return 0.0


@pytest.mark.parametrize("fault", [_writes, _writes_to_the_model, lambda model, *data: np.random.rand()])
def test_a_fault_is_found(fault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = odd_arrays._prepared(tmp_path)
    monkeypatch.setattr(odd_arrays, "CALLS", {"faulty": fault})
    monkeypatch.setattr(odd_arrays.Example, "_expected", {})
    found = 0
    for number in range(20):
        example = odd_arrays.Example(np.random.default_rng(number), tmp_path, models)
        with contextlib.suppress(AssertionError):
            example.run()
            continue
        found += 1
    assert found > 0


def test_a_process_that_dies_is_told_with_its_example(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "print('example 7'); import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(odd_arrays, "COMMAND", [sys.executable, "-c", program])
    assert ["example 7" in text for text in odd_arrays.explore(2)] == [True, True]
