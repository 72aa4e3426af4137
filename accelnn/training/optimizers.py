"""Optimizers as values: which update formula, and its hyperparameters in every step.

An optimizer holds no arrays and no state. ``update_name`` names the formula of
``accelnn.arrays.reference`` (``UPDATES``), ``n_moments`` says how many buffers of the size of the
parameters it needs, and ``hyper`` tabulates the numbers of many steps at once, so that a runner can take
them from a table instead of asking Python in every step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from accelnn.arrays.float_errors import own_float_errors
from accelnn.errors import ArgumentTypeError, ShapeError, invalid, wrong_type
from accelnn.habits import OF_OPTIMIZERS, AnswersHabits
from accelnn.network.arguments import flag, own_name
from accelnn.signatures import by_signature
from accelnn.training.arguments import FloatArray, checked_amounts, checked_number
from accelnn.training.schedules import Schedule, as_schedule

# In float32, second moments below 1e-30 are flushed to zero: a smaller epsilon than their root would make
# huge steps out of tiny gradients, and 0 / 0 where the gradient is exactly zero (weights of blank pixels).
_SMALLEST_EPSILON = 1e-15


def _keep(optimizer: Optimizer, name: str, value: object) -> None:
    object.__setattr__(optimizer, name, value)


def _store(optimizer: Optimizer, name: str, **bounds: float) -> None:
    """Replace a field of a frozen optimizer by the checked Python float."""
    _keep(optimizer, name, checked_number(name, getattr(optimizer, name), **bounds))


def _checked_steps(steps: npt.ArrayLike, rates: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], FloatArray]:
    counted, given = np.asarray(steps), checked_amounts("rates", rates)
    if counted.ndim != 1 or counted.shape != given.shape:
        raise ShapeError(f"steps have shape {counted.shape} and rates {given.shape}: give one rate for each of n steps")
    if not np.issubdtype(counted.dtype, np.integer):
        raise ArgumentTypeError(f"steps have dtype {counted.dtype}: use integers, 0 for the first step")
    if counted.size and int(counted.min()) < 0:
        raise invalid("an entry of steps", int(counted.min()), "use integers >= 0, 0 for the first step")
    return counted.astype(np.int64), given


@dataclass(frozen=True)
class Optimizer(AnswersHabits, ABC):
    """Base of all optimizers.

    Attributes:
        learning_rate: a number > 0, or a ``Schedule``.
        clip_norm: largest norm of the gradient over all parameters; a longer one is scaled down
            (Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013).
            None: no limit.
        clip_value: largest absolute value of each entry of the gradient. None: no limit.

    Raises (when it is made):
        ArgumentError: a number out of range, or both ways of clipping.
        ArgumentTypeError: a number of the wrong type.

    """

    _elsewhere: ClassVar = OF_OPTIMIZERS

    learning_rate: float | Schedule
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        as_schedule(self.learning_rate)
        if not isinstance(self.learning_rate, Schedule):
            _keep(self, "learning_rate", float(self.learning_rate))
        if self.clip_norm is not None and self.clip_value is not None:
            raise invalid("clip_value", self.clip_value, "leave out one of clip_norm and clip_value")
        for name in ("clip_norm", "clip_value"):
            if getattr(self, name) is not None:
                _store(self, name, above=0)

    @property
    @abstractmethod
    def update_name(self) -> str:
        """Key of the update formula in ``accelnn.arrays.reference.UPDATES``."""

    @property
    @abstractmethod
    def n_moments(self) -> int:
        """Number of moment buffers, each with one entry per parameter, all zero before the first step."""

    @property
    def schedule(self) -> Schedule:
        """The learning rate as a schedule (``Constant`` where a number was given)."""
        return as_schedule(self.learning_rate)

    @abstractmethod
    def columns(self, steps: npt.NDArray[np.int64], rates: FloatArray) -> tuple[FloatArray | float, ...]:
        """Return the hyperparameters as columns; a float stands for the same value in all steps."""

    def hyper(self, steps: npt.NDArray[np.int64], rates: FloatArray) -> FloatArray:
        """Return the hyperparameters of every step, in the order that the update formula takes them.

        Args:
            steps: integers (n,), number of steps done before this one, so 0 for the first; it goes on
                counting over epochs (Adam's bias correction needs it).
            rates: float64 (n,), learning rate of every step, from ``schedule.rates``.

        Returns:
            float64 (n, H), C-contiguous.

        Raises:
            ShapeError: ``steps`` and ``rates`` are not of the same shape (n,).
            ArgumentTypeError: ``steps`` are not integers.
            ArgumentError: a negative step, or a rate that is negative or not finite.

        """
        steps, rates = _checked_steps(steps, rates)
        # A step that overflows spoils the weights, and these are looked at.
        with own_float_errors(), np.errstate(over="ignore"):
            columns = self.columns(steps, rates)
        table = np.empty((steps.size, len(columns)), np.float64)
        for index, column in enumerate(columns):
            table[:, index] = column
        return table


@by_signature
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with (Nesterov) momentum if asked for.

    Without momentum p -= lr * g. With ``momentum`` (mu, in [0, 1)) v = mu * v - lr * g, then p += v
    (Polyak, 1964), or p += mu * v - lr * g with ``nesterov`` (Sutskever et al., "On the importance of
    initialization and momentum in deep learning", ICML 2013, in the form of Keras and scikit-learn). One
    step per epoch (``batch_size=None``) makes it gradient descent.
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _store(self, "momentum", at_least=0, below=1)
        _keep(self, "nesterov", flag("nesterov", self.nesterov))
        if self.nesterov and self.momentum == 0.0:
            raise invalid("nesterov", self.nesterov, "give a momentum > 0 with it, for example momentum=0.9")

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


@by_signature
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient.

    v = rho * v + (1 - rho) * g^2, then p -= lr * g / (sqrt(v) + epsilon). Tieleman & Hinton, "Lecture 6.5:
    RMSProp", Neural Networks for Machine Learning, 2012. ``rho`` in [0, 1), ``epsilon`` >= 1e-15.
    """

    learning_rate: float | Schedule = 0.001
    rho: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _store(self, "rho", at_least=0, below=1)
        _store(self, "epsilon", at_least=_SMALLEST_EPSILON)

    @property
    def update_name(self) -> str:
        """``"rmsprop"``."""
        return "rmsprop"

    @property
    def n_moments(self) -> int:
        """The running mean of the squared gradient."""
        return 1

    def columns(self, steps: npt.NDArray[np.int64], rates: FloatArray) -> tuple[FloatArray | float, ...]:
        """Return lr, rho, epsilon."""
        return rates, self.rho, self.epsilon


@by_signature
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: momentum over RMSprop, both corrected for their start at zero.

    m = beta_1 * m + (1 - beta_1) * g, v = beta_2 * v + (1 - beta_2) * g^2, then in step t = 1, 2, ...
    p -= lr * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon). Kingma & Ba, "Adam: A Method for
    Stochastic Optimization", ICLR 2015, algorithm 1. Betas in [0, 1), ``epsilon`` >= 1e-15.
    """

    learning_rate: float | Schedule = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _store(self, "beta_1", at_least=0, below=1)
        _store(self, "beta_2", at_least=0, below=1)
        _store(self, "epsilon", at_least=_SMALLEST_EPSILON)

    @property
    def update_name(self) -> str:
        """``"adam"``, also for AdamW: the decay is one of the hyperparameters."""
        return "adam"

    @property
    def n_moments(self) -> int:
        """The running means of the gradient and of its square."""
        return 2

    def columns(self, steps: npt.NDArray[np.int64], rates: FloatArray) -> tuple[FloatArray | float, ...]:
        """Return step_size, beta_1, beta_2, epsilon, root_scale, decay; the corrections are in 1 and 5."""
        t = steps + 1.0
        step_size = rates / (1.0 - self.beta_1**t)
        root_scale = 1.0 / np.sqrt(1.0 - self.beta_2**t)
        return step_size, self.beta_1, self.beta_2, self.epsilon, root_scale, self._decay(rates)

    def _decay(self, rates: FloatArray) -> FloatArray | float:
        return 0.0


@by_signature
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: every parameter is first multiplied by 1 - lr * weight_decay.

    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2, with the learning
    rate in the decay as in PyTorch and Keras. Biases decay too. ``weight_decay`` >= 0.
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _store(self, "weight_decay", at_least=0)

    def _decay(self, rates: FloatArray) -> FloatArray | float:
        return rates * self.weight_decay


OPTIMIZERS: Final[dict[str, Optimizer]] = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(),
    "adam": Adam(),
    "adamw": AdamW(),
}
"""Optimizer by name, with default arguments."""

OPTIMIZER_ALIASES: Final[dict[str, str]] = {
    "SGD": "sgd",
    "RMSprop": "rmsprop",
    "RMSProp": "rmsprop",
    "Adam": "adam",
    "AdamW": "adamw",
}
"""The names of their classes."""

_ABSENT_OPTIMIZERS = dict.fromkeys(
    ("lbfgs", "LBFGS", "l-bfgs"), "it belongs to the estimators: MLPClassifier(solver='lbfgs')"
)


def optimizer_name(name: str, argument: str = "optimizer") -> str:
    """Return accelnn's own name of an optimizer; raises ArgumentError for an unknown one."""
    return own_name(argument, name, OPTIMIZERS, OPTIMIZER_ALIASES, "adam", _ABSENT_OPTIMIZERS)


def resolve_optimizer(
    spec: str | Optimizer, learning_rate: float | Schedule | None = None, argument: str = "optimizer"
) -> Optimizer:
    """Return an optimizer from its name or from itself.

    Args:
        spec: a key of ``OPTIMIZERS`` or ``OPTIMIZER_ALIASES``, or an optimizer.
        learning_rate: a number > 0 or a schedule that replaces the one of ``spec``; None keeps it.
        argument: what the message calls ``spec``.

    Raises:
        ArgumentError: an unknown name (the nearest one is proposed), or a bad learning rate.
        ArgumentTypeError: neither a name nor an optimizer.

    """
    if isinstance(spec, str):
        spec = OPTIMIZERS[optimizer_name(spec, argument)]
    if not isinstance(spec, Optimizer):
        raise wrong_type(argument, spec, "use a name such as 'adam' or an optimizer such as Adam(0.001)")
    return spec if learning_rate is None else replace(spec, learning_rate=learning_rate)
