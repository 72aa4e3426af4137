"""Measure a network on data: its loss and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from accelnn.arrays import reference
from accelnn.arrays.foreign import taken
from accelnn.errors import AccelnnError, ArgumentError, about
from accelnn.network.losses import resolve_loss
from accelnn.network.network import Network
from accelnn.training.arguments import real_number
from accelnn.training.data import TrainingData
from accelnn.training.metrics import MetricFunction
from accelnn.training.runners.choice import Predictor, choose_predictor

PIECE_BYTES = 4 << 20
"""Inputs that are copied at a time where only some rows are measured."""


@dataclass
class Evaluator:
    """Computes the loss (if ``with_loss``) and the metrics of a network on ``data``, with names behind a prefix.

    The loss has no penalties: it says how well the network does on the data. Dropout is off and batch normalization
    uses its running statistics. ``threads`` limits the threads, None does not. ``rows``, host integers (m,), are those
    of the data to measure on, copied a piece at a time; None takes all. They are for metrics, without the loss.
    """

    network: Network
    data: TrainingData
    loss: str
    metrics: dict[str, MetricFunction] = field(default_factory=dict)
    prefix: str = ""
    with_loss: bool = True
    threads: int | None = None
    rows: np.ndarray | None = None

    def __post_init__(self) -> None:
        formula = resolve_loss(self.loss)
        self._y = self.network.backend.to_host(self.data.y)  # losses and metrics are computed on the host
        if self.rows is not None:
            assert not self.with_loss, "the loss of some rows needs their weights"
            self._y = self._y[self.rows]
        self._fused = formula.fused_activation

    @cached_property
    def _predictor(self) -> Predictor:
        """Chosen when it is needed: then the training has begun, and Ctrl-C ends it while code is compiled."""
        return choose_predictor(self.network, self.data.x, scores=self._fused is not None, threads=self.threads)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what ``evaluate`` returns."""
        first = ("loss",) if self.with_loss else ()
        return tuple(f"{self.prefix}{name}" for name in (*first, *self.metrics))

    def evaluate(self) -> dict[str, float]:
        """Return loss and metrics by name. Not-a-number is possible and is returned as it is."""
        raw = self._predictor.predict(self.data.x) if self.rows is None else self._outputs_of(self.rows)
        with np.errstate(over="ignore", invalid="ignore"):
            values = {"loss": self._loss(raw)} if self.with_loss else {}
            output = raw if self._fused is None else reference.ACTIVATIONS[self._fused](raw)
            values |= {name: self._measured(name, metric, output) for name, metric in self.metrics.items()}
        return {f"{self.prefix}{name}": value for name, value in values.items()}

    def _outputs_of(self, rows: np.ndarray) -> np.ndarray:
        x = self.data.x
        n = max(1, PIECE_BYTES // (x.shape[1] * x.dtype.itemsize))
        pieces = (rows[start : start + n] for start in range(0, len(rows), n))
        return np.concatenate([self._predictor.predict(taken(x, piece)) for piece in pieces])

    def _measured(self, name: str, metric: MetricFunction, output: np.ndarray) -> float:
        try:
            with about(f"metric {name!r}"):
                value = metric(_read_only(output), _read_only(self._y))
        except ValueError as error:
            if "read-only" not in str(error) or isinstance(error, AccelnnError):
                raise
            fix = "outputs and targets belong to the run and to other metrics, change a copy of them"
            raise ArgumentError(f"metric {name!r} writes to what it is given ({error}): {fix}") from error
        return real_number(name, value)

    def _loss(self, raw: np.ndarray) -> float:
        # In float64: a sum over a whole data set needs the digits.
        y = self._y if self.data.has_labels else self._y.astype(np.float64)
        loss, _ = reference.loss_and_gradient(self.loss, raw.astype(np.float64), y, self.data.weights)
        return float(loss)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
