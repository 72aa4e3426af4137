"""Metrics on the rows that a validation split leaves: of large data they are measured without a copy of it."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import Sequential
from accelnn.training import evaluation, held_out
from tests.training.parity import inputs, small_net, targets


def history(runner: str) -> list[float]:
    model = Sequential(small_net(), seed=0, dtype="float64")
    return model.fit(
        inputs(), targets(), epochs=2, validation_split=0.3, metrics="mae", runner=runner, verbose=0
    )["mae"]  # fmt: skip


@pytest.mark.parametrize("runner", ["plain", "compiled"])
def test_pieces_give_the_metrics_of_a_copy(runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = history(runner)
    monkeypatch.setattr(held_out, "COPIED_BYTES", 0)
    monkeypatch.setattr(evaluation, "PIECE_BYTES", 5 * 8 * 7)
    np.testing.assert_allclose(history(runner), expected, rtol=1e-12)
