"""What tests of the benchmark suite share: contenders with made-up rounds."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.interleave import Contender
from benchmarks.report import Case, summary


@pytest.fixture
def contender() -> Any:
    """Return a maker of contenders that have run: ``contender(name, rates, first_loss)``."""

    def make(name: str, rates: list[float], first_loss: float = 0.5) -> Contender:
        rounds = [{"elapsed_s": 1.0, "samples_per_s": rate, "mean_loss": 0.1} for rate in rates]
        warm_up = [{"elapsed_s": 9.0, "samples_per_s": 1.0, "mean_loss": first_loss}]
        return Contender(name, warm_up=warm_up, answers=rounds)

    return make


@pytest.fixture
def cases(contender: Any) -> dict[str, Case]:
    """Return two cases: one with a contender left out, one with a contender whose loss is off."""
    first = [contender("accelnn_fit", [300.0, 200.0, 100.0]), contender("jax_scan", [100.0, 100.0, 100.0])]
    left_out = contender("thinc_mlp", [])
    left_out.why_skipped = "thinc is not installed"
    second = [*first, contender("torch_eager", [10.0, 20.0, 10.0], first_loss=0.6)]
    return {"10": summary([*first, left_out]), "32": summary(second)}
