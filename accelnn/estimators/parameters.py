"""Checks of the estimators' constructor parameters, made when ``fit`` begins: constructors keep what they are given.

Ranges are those of scikit-learn, and so is the kind of error: a ``ValueError`` that is a ``TypeError`` too.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from accelnn.arrays.backend import get_backend
from accelnn.errors import ArgumentError, ArgumentTypeError, ParameterError, invalid, unknown_name, wrong_type
from accelnn.messages import warn
from accelnn.network.activations import ACTIVATION_ALIASES, ACTIVATION_ENTRIES, resolve_activation
from accelnn.network.arguments import flag, integer
from accelnn.network.losses import LOSS_ALIASES
from accelnn.training.arguments import checked_number
from accelnn.training.callbacks import CallbackList
from accelnn.training.optimizers import resolve_optimizer
from accelnn.training.schedules import Schedule

_LOSSES = {"mse": "squared_error", "mae": "absolute_error", "huber": "huber", "poisson": "poisson"}
"""What scikit-learn calls the losses; its squared error is half of mse, so they are no aliases."""

HIDDEN_ACTIVATIONS = ("logistic", *(name for name in ACTIVATION_ENTRIES if name != "softmax"))
STEP_SOLVERS = ("sgd", "adam")
"""Solvers that train by mini-batches."""

Check = Callable[[str, Any], object]


def check_parameters(estimator: BaseEstimator) -> None:
    """Raise ParameterError if a parameter of the estimator cannot be used; it is named."""
    for name, value in estimator.get_params(deep=False).items():
        try:
            _CHECKS[name](name, value)
        except (ArgumentError, ArgumentTypeError) as error:
            raise ParameterError(f"{type(estimator).__name__}: {error}") from error
    try:
        _check_per_layer(estimator)
    except ArgumentError as error:
        raise ParameterError(f"{type(estimator).__name__}: {error}") from error


def hidden_sizes(estimator: BaseEstimator) -> list[int]:
    """Return the widths of the hidden layers."""
    return [int(size) for size in _each_size(estimator.hidden_layer_sizes)]


def hidden_activations(estimator: BaseEstimator, n_layers: int) -> list[str]:
    """Return the activations of the hidden layers, by their names here."""
    return [resolve_activation(name).name for name in _one_each("activation", estimator.activation, n_layers)]


def drawing_activations(estimator: BaseEstimator) -> list[str]:
    """Return by which activation the first weights of each layer are drawn: the output layer as the last hidden one."""
    hidden = hidden_activations(estimator, len(hidden_sizes(estimator)))
    if hidden:
        return [*hidden, hidden[-1]]
    name = estimator.activation if isinstance(estimator.activation, str) else "identity"
    return [resolve_activation(name).name]


def dropout_rates(estimator: BaseEstimator, n_layers: int) -> list[float]:
    """Return the dropout rates behind the hidden layers."""
    return [float(rate) for rate in _one_each("dropout", estimator.dropout, n_layers)]


def check_widths(estimator: BaseEstimator) -> None:
    """Raise ParameterError if weights of another number of layers are to go on, and warn if they have other widths."""
    there, asked = [coef.shape[1] for coef in estimator.coefs_[:-1]], hidden_sizes(estimator)
    fix = f"the weights there are belong to {there}; fit without warm_start to begin with others"
    if len(there) != len(asked):
        raise ParameterError(str(invalid("hidden_layer_sizes", asked, fix)))
    if there != asked:
        warn(f"hidden_layer_sizes={asked} has no effect: {fix}")


def _one_each(name: str, value: Any, n_layers: int) -> list[Any]:
    """Return a value for each hidden layer: the same for all, unless there is a tuple or a list."""
    if not isinstance(value, (tuple, list)):
        return [value] * n_layers
    if len(value) != n_layers:
        raise invalid(name, value, f"give one for each of the {n_layers} hidden layers, or a single one for all")
    return list(value)


def _check_per_layer(estimator: BaseEstimator) -> None:
    n_layers = len(hidden_sizes(estimator))
    hidden_activations(estimator, n_layers)
    rates = dropout_rates(estimator, n_layers)
    if estimator.solver == "lbfgs" and estimator.optimizer is None and any(rates):
        raise invalid("dropout", estimator.dropout, "leave it out with solver='lbfgs', or use 'adam' or 'sgd'")


def _one_of(names: Iterable[str], name: str, value: object, aliases: Mapping[str, str] | None = None) -> None:
    if not isinstance(value, str):
        raise wrong_type(name, value, f"use one of {', '.join(map(repr, names))}")
    if value not in names:
        raise unknown_name(name, value, names, aliases)


def _hidden_activation(name: str, value: object) -> None:
    own = ACTIVATION_ALIASES.get(value, value) if isinstance(value, str) else value
    _one_of(HIDDEN_ACTIVATIONS, name, own, ACTIVATION_ALIASES)


def _loss(name: str, value: object) -> None:
    other = {alias: _LOSSES[own] for alias, own in LOSS_ALIASES.items() if own in _LOSSES} | _LOSSES
    _one_of(_LOSSES.values(), name, value, other)


def _number(name: str, value: object, **bounds: float) -> None:
    checked_number(name, value, **bounds)


def _sizes(name: str, value: object) -> None:
    if isinstance(value, str) or not isinstance(value, (Iterable, numbers.Integral)):
        raise wrong_type(name, value, "use an integer >= 1 or a tuple of such, one for each hidden layer")
    for size in _each_size(value):
        integer(name, size)


def _each_size(value: Any) -> list[Any]:
    """Return the widths as a list; a single one may be an array of no dimensions, which is called iterable too."""
    value = value[()] if isinstance(value, np.ndarray) else value
    return list(value) if isinstance(value, Iterable) else [value]


def _per_layer(check: Check, name: str, value: object) -> None:
    if isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            check(f"{name}[{index}]", item)
    else:
        check(name, value)


def _batch_size(name: str, value: object) -> None:
    if not (isinstance(value, str) and value == "auto"):
        if isinstance(value, str):
            raise unknown_name(name, value, ["auto"])
        integer(name, value)


def _patience(name: str, value: object) -> None:
    if not (isinstance(value, numbers.Real) and float(value) == math.inf):
        integer(name, value)


def _verbose(name: str, value: object) -> None:
    if not isinstance(value, (bool, np.bool_)):
        integer(name, value, minimum=0)


def _random_state(name: str, value: object) -> None:
    try:
        check_random_state(value)
    except ValueError as error:
        raise wrong_type(name, value, "use an integer >= 0, a numpy.random.RandomState or None") from error


def _optional(check: Check, name: str, value: object) -> None:
    if value is not None:
        check(name, value)


def _schedule(name: str, value: object) -> None:
    if not isinstance(value, Schedule):
        raise wrong_type(name, value, "use a schedule such as accelnn.schedules.Cosine(0.01), or None")


def _optimizer(name: str, value: Any) -> None:
    resolve_optimizer(value)


def _class_weight(name: str, value: object) -> None:
    if isinstance(value, str):
        _one_of(["balanced"], name, value)
        return
    for weights in value if isinstance(value, list) else [value]:  # a list has one for each of several labels
        if not isinstance(weights, dict):
            raise wrong_type(name, value, "use a dict such as {'yes': 5.0}, 'balanced' or None")
        for label, weight in weights.items():
            checked_number(f"{name}[{label!r}]", weight, at_least=0.0)


def _backend(name: str, value: Any) -> None:
    get_backend(value)


def _callbacks(name: str, value: Any) -> None:
    CallbackList(value)


_POSITIVE = partial(_number, above=0.0)
_NOT_NEGATIVE = partial(_number, at_least=0.0)
_FRACTION = partial(_number, at_least=0.0, below=1.0)

_CHECKS: dict[str, Check] = {
    "hidden_layer_sizes": _sizes,
    "activation": partial(_per_layer, _hidden_activation),
    "solver": partial(_one_of, ("lbfgs", *STEP_SOLVERS)),
    "alpha": _NOT_NEGATIVE,
    "batch_size": _batch_size,
    "learning_rate": partial(_one_of, ("constant", "invscaling", "adaptive")),
    "learning_rate_init": _POSITIVE,
    "power_t": _NOT_NEGATIVE,
    "max_iter": integer,
    "loss": _loss,
    "shuffle": flag,
    "random_state": _random_state,
    "tol": _NOT_NEGATIVE,
    "verbose": _verbose,
    "warm_start": flag,
    "momentum": partial(_number, at_least=0.0, at_most=1.0),
    "nesterovs_momentum": flag,
    "early_stopping": flag,
    "validation_fraction": _FRACTION,
    "beta_1": _FRACTION,
    "beta_2": _FRACTION,
    "epsilon": partial(_number, at_least=1e-15),  # see Adam
    "n_iter_no_change": _patience,
    "max_fun": integer,
    "backend": _backend,
    "dtype": partial(_optional, partial(_one_of, ("float32", "float64"))),
    "dropout": partial(_per_layer, _FRACTION),
    "optimizer": partial(_optional, _optimizer),
    "schedule": partial(_optional, _schedule),
    "class_weight": partial(_optional, _class_weight),
    "callbacks": partial(_optional, _callbacks),
}
