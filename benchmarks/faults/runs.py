"""The runs that are killed: small, and between them with everything that a checkpoint has to remember."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from accelnn import (
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Checkpoint,
    Dense,
    Dropout,
    EarlyStopping,
    LayerNorm,
    RMSprop,
    Sequential,
    schedules,
)
from accelnn.network import Layer

N_ROWS, N_IN, N_CLASSES, BATCH_SIZE = 300, 12, 4, 32


@dataclass(frozen=True)
class Run:
    """A training run: how its network is made, how often it is written, and what ``fit`` is told besides."""

    name: str
    layers: Callable[[], list[Layer]]
    every: str
    options: dict[str, Any] = field(default_factory=dict)
    patience: int | None = None


def _plain() -> list[Layer]:
    return [Dense(16, "relu", l2=1e-3), Dense(N_CLASSES, "softmax")]


def _normalized() -> list[Layer]:
    return [Dense(16, "tanh", l1=1e-4), BatchNorm(), Dropout(0.2), Dense(8, "gelu"), LayerNorm(), _output()]


def _output() -> Layer:
    return Dense(N_CLASSES, "softmax")


RUNS = (
    Run("adam, early stopping", _normalized, "3 steps", {"optimizer": Adam(0.01), "validation_split": 0.2}, patience=4),
    Run("sgd, one step at a time", _plain, "1 step", {"optimizer": SGD(0.05), "epochs": 6}),
    Run("nesterov, cosine, weights", _normalized, "epoch", {
        "optimizer": SGD(schedules.Cosine(0.05), momentum=0.9, nesterov=True), "class_weight": "balanced",
    }),
    Run("rmsprop, plain runner", _plain, "5 steps", {"optimizer": RMSprop(0.01, clip_norm=1.0), "runner": "plain"}),
    Run("adamw, one cycle, float64", _normalized, "0.005 seconds", {
        "optimizer": AdamW(schedules.OneCycle(0.02)), "metrics": "accuracy", "validation_split": 0.1,
    }),
    Run("two threads, full batches", _plain, "1 epoch", {"optimizer": Adam(0.02), "batch_size": None, "threads": 2}),
)  # fmt: skip


def trained(run: Run, folder: Path | None = None) -> dict[str, Any]:
    """Train, or go on in ``folder``; return what must be the same however often the run was killed.

    The checkpoints that are made on the way count too: ``starts_at`` is where the run has begun.
    """
    x, y = _data()
    dtype: Any = "float64" if "float64" in run.name else "float32"
    model = Sequential(run.layers(), dtype=dtype, seed=7)
    stopping = [] if run.patience is None else [EarlyStopping(patience=run.patience)]
    options = {"epochs": 12, "batch_size": BATCH_SIZE, "verbose": 0, "callbacks": stopping} | run.options
    kept = {} if folder is None else {"checkpoint": Checkpoint(folder, run.every), "resume": True}
    history = model.fit(x, y, **options, **kept)
    times = ("seconds", "samples_per_s")
    records = [{name: value for name, value in record.items() if name not in times} for record in history.epochs]
    weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
    best = [(callback.best, callback.best_epoch) for callback in stopping]
    steps, drawn = model.steps_trained, int(model.shuffle_rng.integers(2**62))
    summary = {"weights": weights, "history": records, "stopped": history.stopped_because, "best": best}
    return json.loads(json.dumps({**summary, "steps": steps, "drawn": drawn}))  # type: ignore[no-any-return]


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(N_ROWS, N_IN)), rng.integers(0, N_CLASSES, N_ROWS)
