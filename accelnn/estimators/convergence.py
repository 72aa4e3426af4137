"""When training ends: scikit-learn's rules, and what its estimators record about each epoch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from accelnn.errors import DivergenceError
from accelnn.estimators.solvers import SMALLEST_RATE, SolverState
from accelnn.messages import say
from accelnn.training.callbacks import Callback
from accelnn.training.history import History
from accelnn.training.stopping import finite_weights


class Convergence(Callback):
    """Fills the curves of an estimator after every epoch, and stops when they do not improve any more.

    estimator: its attributes change. state: of the solver, for rates that follow rules. n_rows: rows of an epoch.
    constant: is added to the losses. tolerance: by which they have to fall to count as better. early_stopping: look at
    the validation score, not at the loss. goes_back: whether the best weights are restored after the training.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        state: SolverState,
        n_rows: int,
        *,
        constant: float,
        tolerance: float,
        early_stopping: bool,
        goes_back: bool,
    ) -> None:
        self._estimator, self._state, self._n_rows = estimator, state, n_rows
        self._constant, self._tolerance, self._early_stopping = constant, tolerance, early_stopping
        self.sets_final_weights, self._n_recorded = goes_back, 0
        self._best_before = estimator._best_weights

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
        """Record the epoch; return whether to stop."""
        e = self._estimator
        self._record(record)
        self._count(model)
        self._lower_by_time()
        return e._no_improvement_count > e.n_iter_no_change and self._give_up()

    def on_divergence(self, model: Any, epoch: int, error: DivergenceError) -> bool:
        """Record an epoch that has no numbers; return whether there are weights to go back to."""
        e = self._estimator
        if epoch == self._n_recorded:
            measured = () if e.validation_scores_ is None else ("val_loss", "val_score")
            self._record(dict.fromkeys(("loss", *measured), np.nan))
        return self.sets_final_weights and e._best_weights is not None

    def on_train_end(self, model: Any, history: History) -> None:
        """Go back to the best weights; if those are of an earlier call, the next warm start goes on from here."""
        e = self._estimator
        if not self.sets_final_weights or e._best_weights is None:
            return
        if e._best_weights is self._best_before:
            e._last_weights = finite_weights(model)
        model.set_weights(e._best_weights)

    def _record(self, record: dict[str, float]) -> None:
        e = self._estimator
        self._n_recorded += 1
        e.n_iter_ += 1
        e.t_ += self._n_rows
        e.loss_ = record["loss"] + self._constant
        e.loss_curve_.append(e.loss_)
        self._say(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
        self._record_validation(record)

    def _record_validation(self, record: dict[str, float]) -> None:
        if "val_score" not in record:
            return
        e = self._estimator
        e.validation_loss_curve_.append(record["val_loss"])
        e.validation_scores_.append(record["val_score"])
        if not self._early_stopping:
            e.best_validation_score_ = max(e.validation_scores_)
        self._say(f"Validation score: {record['val_score']:f}")

    def _count(self, model: Any) -> None:
        """Count the epochs in a row that were no better, by more than ``tol``, than the best one."""
        e = self._estimator
        if self._early_stopping:
            score = e.validation_scores_[-1]
            worse = score < e.best_validation_score_ + e.tol
            if score > e.best_validation_score_ and (weights := finite_weights(model)) is not None:
                e.best_validation_score_, e._best_weights = score, weights
        else:
            worse = e.loss_ > e.best_loss_ - self._tolerance
            e.best_loss_ = min(e.best_loss_, e.loss_)
        e._no_improvement_count = e._no_improvement_count + 1 if worse else 0

    def _lower_by_time(self) -> None:
        """Lower an "invscaling" rate by the number of rows seen."""
        state = self._state
        if state.rule == "invscaling":
            self.set_learning_rate(state.initial_rate / (self._estimator.t_ + 1) ** state.power_t)

    def _give_up(self) -> bool:
        e = self._estimator
        measure = "Validation score" if self._early_stopping else "Training loss"
        reason = f"{measure} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        if self._state.rule != "adaptive":
            return self._stop(f"{reason} Stopping.")
        if self.get_learning_rate() <= SMALLEST_RATE:
            return self._stop(f"{reason} Learning rate too small. Stopping.")
        self.set_learning_rate(self.get_learning_rate() / 5.0)
        self._say(f"{reason} Setting learning rate to {self.get_learning_rate():f}")
        e._no_improvement_count = 0
        return False

    def _stop(self, reason: str) -> bool:
        self._say(reason)
        self.stop_reason = reason
        return True

    def _say(self, line: str) -> None:
        if self._estimator.verbose:
            say(line, sys.stdout)


CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")
"""The lists that grow by an entry with every epoch."""


def begin_curves(estimator: BaseEstimator) -> None:
    """Set the attributes that ``Convergence`` fills, before the first epoch of a new training."""
    estimator.loss_curve_, estimator.loss_ = [], np.nan  # until an epoch is over
    estimator.validation_scores_ = estimator.validation_loss_curve_ = None
    _begin_count(estimator)


def continue_curves(estimator: BaseEstimator, *, validated: bool) -> None:
    """Make the attributes fit for what the next epochs measure, which another call may not have measured."""
    if not hasattr(estimator, "loss_curve_"):  # until now L-BFGS trained
        begin_curves(estimator)
    elif estimator.early_stopping != (estimator.best_loss_ is None):
        _begin_count(estimator)
    if validated and estimator.validation_scores_ is None:
        estimator.validation_scores_, estimator.validation_loss_curve_ = [], []


def _begin_count(estimator: BaseEstimator) -> None:
    estimator._no_improvement_count = 0
    estimator.best_loss_ = None if estimator.early_stopping else np.inf
    estimator.best_validation_score_ = -np.inf if estimator.early_stopping else None
    estimator._best_weights = None
