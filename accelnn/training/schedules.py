"""Learning-rate schedules: the rate of every training step as a function of the epoch.

A schedule sees fractional epochs (step / steps per epoch, the first step is at 0.0), so that the same
schedule means the same for every batch size, and answers for many steps at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from accelnn.arrays.float_errors import own_float_errors
from accelnn.errors import ArgumentError, ShapeError, shown, wrong_type
from accelnn.network.arguments import integer, own_name
from accelnn.signatures import by_signature
from accelnn.training.arguments import FloatArray, checked_amounts, checked_number


@by_signature
class Schedule(ABC):
    """Base of all schedules; a custom one is a subclass that writes ``curve``.

    Example:
        >>> class Sawtooth(Schedule):
        ...     def curve(self, epochs, total_epochs):
        ...         return 0.1 * (1.0 - 0.9 * (epochs % 1.0))
        >>> Sawtooth().rates(np.array([0.0, 0.5, 1.0]), total_epochs=2)
        array([0.1  , 0.055, 0.1  ])

    """

    @abstractmethod
    def curve(self, epochs: FloatArray, total_epochs: int) -> FloatArray:
        """Return the learning rates, in the shape of ``epochs``, which was checked by ``rates``."""

    def rates(self, epochs: npt.ArrayLike, total_epochs: int) -> FloatArray:
        """Return the learning rate of every step.

        Args:
            epochs: float64 of any shape, fractional epochs >= 0 at the beginning of the steps. They may go
                beyond ``total_epochs`` (training that is continued): the rate then stays at its last value
                for the schedules that have an end.
            total_epochs: number of epochs that the training is planned to last, >= 1.

        Returns:
            float64 in the shape of ``epochs``, finite and >= 0.

        Raises:
            ArgumentError: a negative or non-finite epoch, ``total_epochs`` < 1, or a custom ``curve``
                that returns negative or non-finite rates.
            ArgumentTypeError: ``epochs`` or ``total_epochs`` is not a number, or a custom ``curve`` does not return
                numbers.
            ShapeError: a custom ``curve`` that returns another shape.

        """
        at = checked_amounts("epochs", epochs)
        total = integer("total_epochs", total_epochs, minimum=1)
        with own_float_errors():  # a rate that has decayed to nothing is 0
            return _checked_rates(self, self.curve(at, total), at.shape)


@by_signature
@dataclass(frozen=True)
class Constant(Schedule):
    """The same ``rate`` (> 0) in every step."""

    rate: float

    def __post_init__(self) -> None:
        _store(self, "rate", above=0)

    def curve(self, epochs: FloatArray, total_epochs: int) -> FloatArray:
        """Return ``rate`` for every step."""
        return np.full_like(epochs, self.rate)


@by_signature
@dataclass(frozen=True)
class StepDecay(Schedule):
    """``rate * factor ** floor(epoch / every)``: a drop after every ``every`` epochs.

    ``rate`` > 0, ``factor`` in (0, 1], ``every`` > 0 in epochs.
    """

    rate: float
    factor: float = 0.1
    every: float = 10

    def __post_init__(self) -> None:
        _store(self, "rate", above=0)
        _store(self, "factor", above=0, at_most=1)
        _store(self, "every", above=0)

    def curve(self, epochs: FloatArray, total_epochs: int) -> FloatArray:
        """Return the rate after the drops so far."""
        return self.rate * self.factor ** np.floor(epochs / self.every)


@by_signature
@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """``rate * factor ** epoch``, lowered a little in every step; ``rate`` > 0, ``factor`` in (0, 1]."""

    rate: float
    factor: float = 0.95

    def __post_init__(self) -> None:
        _store(self, "rate", above=0)
        _store(self, "factor", above=0, at_most=1)

    def curve(self, epochs: FloatArray, total_epochs: int) -> FloatArray:
        """Return the decayed rate."""
        return self.rate * self.factor**epochs


@by_signature
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from ``rate`` (> 0) at the beginning to ``final`` (in [0, rate]) at the planned end.

    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5,
    without restarts.
    """

    rate: float
    final: float = 0.0

    def __post_init__(self) -> None:
        _store(self, "rate", above=0)
        _store(self, "final", at_least=0, at_most=self.rate)

    def curve(self, epochs: FloatArray, total_epochs: int) -> FloatArray:
        """Return the rate on the cosine; ``final`` after the planned end."""
        return _cosine(self.rate, self.final, np.minimum(epochs / total_epochs, 1.0))


@by_signature
@dataclass(frozen=True)
class InverseScaling(Schedule):
    """``rate / (1 + epoch) ** power``; ``rate`` > 0, ``power`` >= 0.

    scikit-learn's "invscaling" is the same curve over the number of samples instead of epochs; with
    ``power`` in (0.5, 1] it satisfies the conditions of Robbins & Monro, "A Stochastic Approximation
    Method", Ann. Math. Statist. 22 (1951).
    """

    rate: float
    power: float = 0.5

    def __post_init__(self) -> None:
        _store(self, "rate", above=0)
        _store(self, "power", at_least=0)

    def curve(self, epochs: FloatArray, total_epochs: int) -> FloatArray:
        """Return the scaled rate."""
        return self.rate / (1.0 + epochs) ** self.power


@by_signature
@dataclass(frozen=True)
class OneCycle(Schedule):
    """One rise and one fall, both half cosines, over the whole training.

    The rate starts at ``max_rate / start_factor``, reaches ``max_rate`` after the fraction ``warmup`` of
    the planned epochs, and ends at ``max_rate / (start_factor * final_factor)``. The momentum is not cycled.
    Smith & Topin, "Super-Convergence", 2018 (arXiv:1708.07120), with the shape and the defaults of
    PyTorch's OneCycleLR. ``max_rate`` > 0, ``warmup`` in (0, 1), both factors >= 1.
    """

    max_rate: float
    warmup: float = 0.3
    start_factor: float = 25.0
    final_factor: float = 1e4

    def __post_init__(self) -> None:
        _store(self, "max_rate", above=0)
        _store(self, "warmup", above=0, below=1)
        _store(self, "start_factor", at_least=1)
        _store(self, "final_factor", at_least=1)

    def curve(self, epochs: FloatArray, total_epochs: int) -> FloatArray:
        """Return the rate on the cycle; the lowest one after the planned end."""
        done = np.minimum(epochs / total_epochs, 1.0)
        start = self.max_rate / self.start_factor
        rise = _cosine(start, self.max_rate, done / self.warmup)
        fall = _cosine(self.max_rate, start / self.final_factor, (done - self.warmup) / (1.0 - self.warmup))
        return np.where(done < self.warmup, rise, fall)


@by_signature
@dataclass(frozen=True)
class Warmup(Schedule):
    """The schedule (or constant rate) ``then``, multiplied by a straight ramp during the first ``epochs``.

    The ramp goes from ``1 / start_factor`` to 1. It does not start at zero, because the first step would be
    wasted, which is the whole first epoch of full-batch training. ``then`` counts its epochs from the
    beginning of the training, also during the ramp, as in Goyal et al., "Accurate, Large Minibatch SGD",
    2017 (arXiv:1706.02677), section 2.2. ``epochs`` > 0 (may be a fraction), ``start_factor`` >= 1.
    """

    epochs: float
    then: Schedule | float
    start_factor: float = 25.0

    def __post_init__(self) -> None:
        _store(self, "epochs", above=0)
        object.__setattr__(self, "then", as_schedule(self.then, "then"))
        _store(self, "start_factor", at_least=1)

    def curve(self, epochs: FloatArray, total_epochs: int) -> FloatArray:
        """Return the rate of ``then`` on the ramp."""
        start = 1.0 / self.start_factor
        ramp = start + (1.0 - start) * np.minimum(epochs / self.epochs, 1.0)
        return ramp * as_schedule(self.then).rates(epochs, total_epochs)


SCHEDULES: Final[dict[str, Callable[[float], Schedule]]] = {
    "constant": Constant,
    "step": StepDecay,
    "exponential": ExponentialDecay,
    "cosine": Cosine,
    "inverse_scaling": InverseScaling,
    "one_cycle": OneCycle,
    "warmup": lambda rate: Warmup(1, Cosine(rate)),
}
"""Schedule by name, from its (largest) rate; all other arguments at their defaults."""

SCHEDULE_ALIASES: Final[dict[str, str]] = {
    "StepLR": "step",
    "step_decay": "step",
    "ExponentialLR": "exponential",
    "ExponentialDecay": "exponential",
    "exponential_decay": "exponential",
    "CosineAnnealingLR": "cosine",
    "CosineDecay": "cosine",
    "cosine_decay": "cosine",
    "cosine_annealing": "cosine",
    "invscaling": "inverse_scaling",
    "OneCycleLR": "one_cycle",
    "onecycle": "one_cycle",
    "1cycle": "one_cycle",
}
"""What Keras, PyTorch, scikit-learn and fastai call them."""


def resolve_schedule(name: str, rate: float, argument: str = "schedule") -> Schedule:
    """Return the schedule called ``name`` with the largest learning rate ``rate``.

    ``name`` is a key of ``SCHEDULES`` or ``SCHEDULE_ALIASES``; ``argument`` is what the message calls it.

    Raises:
        ArgumentError: an unknown name (the nearest one is proposed), or a rate that is not > 0.
        ArgumentTypeError: the name is not a string, or the rate is not a number.

    """
    own = own_name(argument, name, SCHEDULES, SCHEDULE_ALIASES, "cosine")
    return SCHEDULES[own](checked_number("learning_rate", rate, above=0))


def as_schedule(value: Schedule | float, argument: str = "learning_rate") -> Schedule:
    """Return ``value`` if it is a schedule, and ``Constant(value)`` if it is a number > 0.

    Raises:
        ArgumentError: a number that is not finite and > 0.
        ArgumentTypeError: neither a number nor a schedule; ``argument`` is the name in the message.

    """
    if isinstance(value, Schedule):
        return value
    if hasattr(value, "on_epoch_end"):
        raise wrong_type(argument, value, "it is a callback, give it as one: callbacks=ReduceOnPlateau()")
    if isinstance(value, (str, type)) or callable(value):
        raise wrong_type(argument, value, "use a number > 0 or a schedule such as Cosine(0.1)")
    return Constant(checked_number(argument, value, above=0))


def _cosine(first: float, last: float, done: FloatArray) -> FloatArray:
    # The weights add up to 1 at both ends, so that no rounding leaves the interval [first, last].
    weight = 0.5 * (1.0 + np.cos(np.pi * done))
    return weight * first + (1.0 - weight) * last


def _store(schedule: Schedule, name: str, **bounds: float) -> None:
    """Replace a field of a frozen schedule by the checked Python float."""
    object.__setattr__(schedule, name, checked_number(name, getattr(schedule, name), **bounds))


def _checked_rates(schedule: Schedule, returned: object, shape: tuple[int, ...]) -> FloatArray:
    given = np.asarray(returned)
    if given.dtype.kind not in "fiu":
        raise wrong_type(f"the result of schedule {shown(schedule)}", returned, "return an array of finite rates >= 0")
    rates = given.astype(np.float64, copy=False)
    if rates.shape != shape:
        raise ShapeError(
            f"the rates of schedule {shown(schedule)} have shape {rates.shape}: "
            f"return one rate per step, in the shape {shape} of the epochs"
        )
    wrong = rates[~(np.isfinite(rates) & (rates >= 0))]
    if wrong.size:
        raise ArgumentError(f"schedule {shown(schedule)} gives the learning rate {wrong[0]}: return finite rates >= 0")
    return rates
