"""The update rules of scikit-learn's solvers, where they differ from those of the same name here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from accelnn.training.arguments import FloatArray
from accelnn.training.optimizers import Adam, Optimizer, resolve_optimizer
from accelnn.training.schedules import Schedule

SMALLEST_RATE = 1e-6
"""The adaptive rate is not lowered any more once it is as small as this."""


@dataclass(frozen=True)
class ScikitSGD(Optimizer):
    """Gradient descent with momentum, which may be 1 as in scikit-learn: a velocity that never decays."""

    learning_rate: float | Schedule = 0.001
    momentum: float = 0.9
    nesterov: bool = True

    @property
    def update_name(self) -> str:
        """``"sgd"`` without momentum, else ``"momentum"`` or ``"nesterov"``."""
        if self.momentum == 0.0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    @property
    def n_moments(self) -> int:
        """The velocity, if there is momentum."""
        return int(self.momentum != 0.0)

    def columns(self, steps: npt.NDArray[np.int64], rates: FloatArray) -> tuple[FloatArray | float, ...]:
        """Return lr [, mu]."""
        return (rates,) if self.momentum == 0.0 else (rates, self.momentum)


@dataclass(frozen=True)
class ScikitAdam(Adam):
    """Adam with epsilon added before the correction of the second moment.

    p -= lr * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon): the form that Kingma & Ba (2015) give at
    the end of section 2, "epsilon hat". scikit-learn uses it, TensorFlow too.
    """

    def columns(self, steps: npt.NDArray[np.int64], rates: FloatArray) -> tuple[FloatArray | float, ...]:
        """Return step_size, beta_1, beta_2, epsilon, root_scale, decay; the formula scales the root, not epsilon."""
        step_size, beta_1, beta_2, epsilon, root_scale, decay = super().columns(steps, rates)
        return step_size, beta_1, beta_2, epsilon * root_scale, root_scale, decay


@dataclass
class SolverState:
    """What a solver remembers from one call to the next: plain numbers and host arrays, so it can be pickled.

    ``rule`` is by which the rate changes between epochs, from ``initial_rate`` and with ``power_t``; ``rate`` is what
    it has become, None where it is the optimizer's. ``own`` are the estimator's ``optimizer`` and ``schedule``: others
    begin anew. ``seed`` is that of the dropout masks, 0 until there are some. Nobody writes to ``moments``: they may be
    mapped from a file.
    """

    optimizer: Optimizer
    rule: str = "constant"
    initial_rate: float = 0.001
    power_t: float = 0.5
    own: tuple[Any, Any] = (None, None)
    rate: float | None = None
    seed: int = 0
    steps: int = 0
    moments: list[np.ndarray[Any, Any]] = field(default_factory=list)

    @classmethod
    def fresh(cls, estimator: BaseEstimator) -> SolverState:
        """Return the state in which the solver that the estimator's parameters describe begins."""
        numbers = float(estimator.learning_rate_init), float(estimator.power_t)
        return cls(_make_optimizer(estimator), _rate_rule(estimator), *numbers, _own(estimator))

    def goes_on(self, estimator: BaseEstimator) -> bool:
        """Whether the optimizer and the schedule are still the user's; scikit-learn's parameters act in ``fit``."""
        return self.own == _own(estimator)

    def copied(self) -> SolverState:
        """Return a state that a training may change, without a change of this one."""
        return replace(self)


def _own(estimator: BaseEstimator) -> tuple[Any, Any]:
    return estimator.optimizer, estimator.schedule


def _rate_rule(estimator: BaseEstimator) -> str:
    """Return the rule of scikit-learn by which the rate changes between epochs: of its own "sgd" without a schedule."""
    is_theirs = estimator.solver == "sgd" and estimator.optimizer is None and estimator.schedule is None
    return estimator.learning_rate if is_theirs else "constant"


def _make_optimizer(estimator: BaseEstimator) -> Optimizer:
    """Return the optimizer that the estimator's parameters describe."""
    if estimator.optimizer is None:
        optimizer = _scikit_optimizer(estimator)
    else:
        is_name = isinstance(estimator.optimizer, str)
        optimizer = resolve_optimizer(estimator.optimizer, estimator.learning_rate_init if is_name else None)
    return optimizer if estimator.schedule is None else replace(optimizer, learning_rate=estimator.schedule)


def _scikit_optimizer(estimator: BaseEstimator) -> Optimizer:
    rate = float(estimator.learning_rate_init)
    if estimator.solver == "adam":
        return ScikitAdam(rate, float(estimator.beta_1), float(estimator.beta_2), float(estimator.epsilon))
    return ScikitSGD(rate, float(estimator.momentum), bool(estimator.nesterovs_momentum))
