"""Train the network of an estimator: by mini-batches, or by L-BFGS on all rows at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from accelnn.estimators.convergence import Convergence
from accelnn.estimators.solvers import SolverState
from accelnn.messages import say, warn
from accelnn.training.callbacks import CallbackList
from accelnn.training.data import TrainingData
from accelnn.training.evaluation import Evaluator
from accelnn.training.exclusive import alone
from accelnn.training.fit import OptimizerState, Settings, Training
from accelnn.training.full_gradient import FullGradient
from accelnn.training.history import History
from accelnn.training.metrics import MetricFunction
from accelnn.training.objective import Objective
from accelnn.training.sequential import Sequential

AUTO_BATCH_SIZE = 200


@dataclass(frozen=True)
class Task:
    """What to learn.

    data: all rows given to ``fit``. rows: those to train on, int64. validation: to measure after each epoch, or None.
    score: measures it, ``(outputs, targets) -> float``. loss, scale: name of the loss and its factor. constant: what
    is added to the losses that are reported, for some targets and their weights. tolerance: is multiplied by ``tol``.
    """

    data: TrainingData
    rows: np.ndarray
    validation: TrainingData | None
    score: MetricFunction
    loss: str
    scale: float = 1.0
    constant: Callable[[np.ndarray, np.ndarray | None], float] = lambda targets, weights: 0.0
    tolerance: float = 1.0

    @property
    def training_constant(self) -> float:
        """The constant for the rows to train on."""
        weights = self.data.weights
        return self.constant(self.data.y[self.rows], None if weights is None else weights[self.rows])


def train_by_steps(
    estimator: BaseEstimator,
    network: Sequential,
    task: Task,
    state: SolverState,
    random: np.random.RandomState,
    *,
    incremental: bool,
) -> History:
    """Train by mini-batches, for one epoch if ``incremental``; ``state`` and the curves of the estimator go on."""
    n = len(task.rows)
    settings = Settings(
        task.loss,
        1 if incremental else estimator.max_iter,
        _batch_size(estimator.batch_size, n),
        Shuffling(random, n) if estimator.shuffle else None,
        "auto",
        task.rows,
        objective=Objective(task.scale, penalty_per_row=True, batches_weigh_rows=True),
        divergence_warning=ConvergenceWarning,
    )
    rules = Convergence(
        estimator,
        state,
        n,
        constant=task.training_constant,
        tolerance=task.tolerance * estimator.tol,
        early_stopping=estimator.early_stopping,
        goes_back=estimator.early_stopping and not incremental,
    )
    callbacks = CallbackList([rules, *CallbackList(estimator.callbacks).callbacks])
    running = OptimizerState.fresh(state.optimizer, network)
    if state.steps:
        running.go_on_from(state.moments, state.steps, network)
    running.rate, network.steps_trained = state.rate, state.steps
    training = Training(network, task.data, settings, running, callbacks, _evaluators(network, task))
    with alone(network):  # callbacks have it
        history = training.run()
    state.steps, state.rate = running.steps, running.rate
    state.moments = [network.backend.to_host(moment) for moment in running.moments]
    return history


def train_by_lbfgs(estimator: BaseEstimator, network: Sequential, task: Task) -> None:
    """Minimise the loss over all rows with SciPy's L-BFGS-B; sets ``n_iter_`` and ``loss_``."""
    from scipy.optimize import minimize

    function = FullGradient(network, task.data, task.loss, Objective(task.scale))
    start = np.array(network.backend.to_host(network.arena.values), np.float64)
    options: Any = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    constant = task.training_constant
    callback: Any = _Announcer(constant) if estimator.verbose else None
    result = minimize(function, start, method="L-BFGS-B", jac=True, options=options, callback=callback)
    function(result.x)  # the last point that was tried need not be the best one
    estimator.n_iter_ = min(int(result.nit), int(estimator.max_iter))
    estimator.loss_ = float(result.fun) + constant
    if result.status != 0:
        message = (
            f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}): {result.message}. "
            "Increase max_iter or max_fun, or scale the data."
        )
        warn(message, ConvergenceWarning)


class Shuffling:
    """Orders of rows as scikit-learn draws them: each epoch mixes the order of the one before."""

    def __init__(self, random: np.random.RandomState, n_rows: int) -> None:
        self._random, self._order = random, np.arange(n_rows)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return ``rows`` in the order of the next epoch."""
        mixed = np.arange(len(self._order))
        self._random.shuffle(mixed)
        self._order = self._order[mixed]
        return np.asarray(rows[self._order])


class _Announcer:
    """Prints the iterations of L-BFGS."""

    def __init__(self, constant: float) -> None:
        self._constant, self._n = constant, 0

    def __call__(self, intermediate_result: Any) -> None:
        self._n += 1
        say(f"Iteration {self._n}, loss = {intermediate_result.fun + self._constant:.8f}", sys.stdout)


def _batch_size(requested: Any, n: int) -> int:
    if requested == "auto":
        return min(AUTO_BATCH_SIZE, n)
    if requested > n:
        message = f"Got `batch_size` larger than sample size: {requested} is clipped to {n}"
        warn(message)
    return min(int(requested), n)


def _evaluators(network: Sequential, task: Task) -> dict[str, Evaluator]:
    if task.validation is None:
        return {}
    evaluator = _Validation(network, task.validation, task.loss, {"score": task.score}, "val_", scale=task.scale)
    evaluator.constant = task.constant(task.validation.y, task.validation.weights)
    return {"validation": evaluator}


@dataclass
class _Validation(Evaluator):
    """Reports the loss as the training does."""

    scale: float = 1.0
    constant: float = 0.0

    def evaluate(self) -> dict[str, float]:
        """Return loss and score by name."""
        values = super().evaluate()
        return values | {"val_loss": self.scale * values["val_loss"] + self.constant}
