"""A learning rate that is lowered where a metric stands still."""

from __future__ import annotations

from typing import Any

from accelnn.network.arguments import integer
from accelnn.signatures import by_signature
from accelnn.training.arguments import checked_number
from accelnn.training.callbacks import Callback, TrainingPlan
from accelnn.training.metrics import resolve_mode
from accelnn.training.stopping import check_planned, is_better, recorded


@by_signature
class ReduceOnPlateau(Callback):
    """Lower the learning rate when a metric has not improved for a while.

    The rate is multiplied by ``factor``, as it is then: with a schedule it stays constant from there on. The history
    gets a column ``learning_rate``, as it is at the end of each epoch.

    Args:
        metric: a recorded value, such as "val_loss", "val_accuracy" or "loss".
        factor: in (0, 1).
        patience: number of epochs in a row without improvement after which to lower it, >= 1.
        min_delta: smallest change that counts as an improvement, >= 0, in the unit of the metric.
        min_rate: the rate is not lowered below it, >= 0.
        mode: "min", "max", or "auto" to know from the name which values are better.

    Raises:
        ArgumentError: a number out of range, an unknown mode, a metric whose direction is not known; when
            training: a metric that is not recorded.
        ArgumentTypeError: an argument of the wrong type.

    """

    columns = ("learning_rate",)

    def __init__(
        self,
        metric: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 0.0,
        min_rate: float = 0.0,
        mode: str = "auto",
    ) -> None:
        self.metric = metric
        self.factor = checked_number("factor", factor, above=0, below=1)
        self.patience = integer("patience", patience, minimum=1)
        self.min_delta = checked_number("min_delta", min_delta, at_least=0)
        self.min_rate = checked_number("min_rate", min_rate, at_least=0)
        self.mode = mode
        self._higher = resolve_mode(metric, mode)
        self._best: float | None = None
        self._waited = 0

    def on_train_begin(self, model: Any, plan: TrainingPlan) -> None:
        """Forget an earlier run; raise if the metric will not be recorded."""
        self._best, self._waited = None, 0
        check_planned(self.metric, plan)

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        """Record the rate, and lower it after ``patience`` epochs that were no better."""
        value, rate = recorded(self.metric, record), self.get_learning_rate()
        record["learning_rate"] = rate
        if is_better(value, self._best, higher=self._higher, min_delta=self.min_delta):
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited >= self.patience and rate > self.min_rate:
            self._waited = 0
            self.set_learning_rate(max(self.min_rate, rate * self.factor))

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor; "mode" says which values are better."""
        limits = {"patience": self.patience, "min_delta": self.min_delta, "min_rate": self.min_rate}
        return {"metric": self.metric, "factor": self.factor, **limits, "mode": "max" if self._higher else "min"}

    def state(self) -> dict[str, Any]:
        """Return the best value, and how many epochs were no better since; the rate is kept by the run."""
        return {"best": self._best, "waited": self._waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` has returned."""
        self._best, self._waited = state["best"], state["waited"]
