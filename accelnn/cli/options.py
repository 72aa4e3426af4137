"""What ``accelnn train`` and ``accelnn bench`` were asked for, as on the command line: nothing is checked yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainOptions:
    """The flags of ``accelnn train`` by name; ``as_json`` is ``--json``."""

    dataset: str
    data_dir: str | None
    hidden: str
    activation: str
    optimizer: str
    learning_rate: float | None
    epochs: int
    batch_size: int | None
    dropout: float
    l2: float
    schedule: str
    early_stopping: int | None
    backend: str
    dtype: str
    runner: str
    seed: int | None
    save: str | None
    plot: str | None
    as_json: bool
    threads: int | None = None
    precision: str | None = None
    checkpoint: str | None = None
    checkpoint_every: str = "epoch"
    resume: bool = False


@dataclass(frozen=True)
class BenchOptions:
    """The flags of ``accelnn bench`` by name."""

    hidden: str
    activation: str
    optimizer: str
    batch_size: int
    backend: str
    dtype: str
    threads: int | None
    seconds: float
    plot: str | None
    as_json: bool
