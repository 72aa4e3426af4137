"""A run that fails on another array library than NumPy, which stands in for that of a GPU, says the same."""

from __future__ import annotations

from typing import Any

import pytest

from accelnn import Dense, Dropout, Rescaling, Sequential
from accelnn.errors import DivergenceError
from tests.training.parity import inputs, targets
from tests.training.test_runner_selection import StrictBackend


def message(backend: Any, *layers: Any, **options: Any) -> str:
    model = Sequential(layers, seed=0, dtype=options.pop("dtype"), backend=backend)
    with pytest.raises(DivergenceError) as caught:
        model.fit(inputs(), targets(), batch_size=16, epochs=30, verbose=0, **options)
    return str(caught.value)


@pytest.mark.parametrize("detect_anomaly", [False, True])
@pytest.mark.parametrize("case", ["layer", "loss", "update"])
def test_the_same_is_said(case: str, detect_anomaly: bool) -> None:
    def run(backend: Any) -> str:
        layers = [Dense(4, "tanh", name="hidden"), Dropout(0.1), Dense(3, name="output")]
        options = {"optimizer": "sgd", "learning_rate": 1e60, "dtype": "float64"}
        if case == "update":
            options = {"optimizer": "adam", "learning_rate": 1e38, "dtype": "float32"}
        first = [Rescaling(1e308, name="scale")] if case == "layer" else []
        return message(backend, *first, *layers, detect_anomaly=detect_anomaly, **options)

    expected = {"layer": "the output of layer scale (forward)", "loss": "the loss mse", "update": "(update)"}[case]
    text = run(StrictBackend())
    assert expected in text
    assert text.replace("nan", "inf") == run("cpu").replace("nan", "inf")
