"""The names that the calls of the tables use: all of accelnn's public ones, some data, and a few shorthands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from typer.testing import CliRunner

import accelnn
from accelnn import Dense, History, Sequential, data, schedules
from accelnn.cli import app
from accelnn.errors import AccelnnError
from accelnn.training import METRICS

X = np.random.default_rng(0).normal(size=(12, 3))
LABELS = np.arange(12) % 3


def net(output: str = "softmax", units: int = 3, **options: Any) -> Sequential:
    """Return a model of three inputs that has its weights."""
    return Sequential([Dense(4, "tanh"), Dense(units, output)], **{"seed": 0, "n_in": 3, **options})


def fit(model: Sequential | None = None, x: Any = X, y: Any = LABELS, **options: Any) -> History:
    """Train for an epoch."""
    return (model or net()).fit(x, y, **{"epochs": 1, "verbose": 0, "batch_size": 4, **options})


def history() -> History:
    """Return a history of one epoch."""
    result = History()
    result.record(loss=1.0, share=0.5)
    return result


def saved_model() -> str:
    """Return the name of a file with a model of three inputs."""
    net().save("saved.npz")
    return "saved.npz"


def command(*arguments: str) -> None:
    """Run ``accelnn`` with these arguments and raise its line of standard error if it fails."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    if result.exit_code:
        assert result.exit_code == 2, result.stderr
        assert result.stderr.count("\n") == 1
        raise UsageError(result.stderr.strip())


class UsageError(AccelnnError):
    """A command ended with exit code 2."""


class Curve(schedules.Schedule):
    """A schedule of the user's own."""

    def __init__(self, rates: Callable[[Any], Any]) -> None:
        self.curve_of = rates

    def curve(self, epochs: Any, total_epochs: int) -> Any:
        return self.curve_of(epochs)

    def __repr__(self) -> str:
        return "Curve()"


def text_metric(output: Any, target: Any) -> Any:
    return "good"


def array_metric(output: Any, target: Any) -> Any:
    return np.ones(2)


NAMES: dict[str, Any] = {
    **{name: getattr(accelnn, name) for name in accelnn.__all__},
    **{name: getattr(data, name) for name in data.__all__},
    "METRICS": METRICS,
    "np": np,
    "nan": float("nan"),
    "inf": float("inf"),
    "X": X,
    "LABELS": LABELS,
    "net": net,
    "fit": fit,
    "history": history,
    "saved_model": saved_model,
    "command": command,
    "Curve": Curve,
    "text_metric": text_metric,
    "array_metric": array_metric,
}
