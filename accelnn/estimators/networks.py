"""The networks behind the estimators, and the weights that go in and out of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from accelnn.arrays.backend import Backend, get_backend
from accelnn.errors import BackendError, ShapeError
from accelnn.estimators.initial_weights import Weights
from accelnn.estimators.parameters import dropout_rates, hidden_activations
from accelnn.messages import warn
from accelnn.network.layers import Dense, Dropout
from accelnn.network.layers.base import Layer
from accelnn.training.sequential import Sequential

SCIKIT_OUTPUTS = {"sigmoid": "logistic", "exponential": "exp"}
"""What scikit-learn calls activations of the output."""


def make_network(estimator: BaseEstimator, weights: Weights, backend: Backend, *, seed: int) -> Sequential:
    """Return the network of an estimator whose ``out_activation_`` is set, with these weights; ``seed`` of dropout."""
    coefs = weights[0]
    dtype: Any = coefs[0].dtype.name
    layers = _layers(estimator, coefs)
    network = Sequential(layers, n_in=len(coefs[0]), dtype=dtype, backend=backend, seed=seed)
    load(network, weights)
    return network


def load(network: Sequential, weights: Weights) -> None:
    """Copy ``coefs_`` and ``intercepts_`` into the network. Raises ShapeError if they belong to another one."""
    arrays = [array for pair in zip(*weights, strict=True) for array in pair]
    expected = [parameter.shape for parameter in network.arena.parameters]
    if [array.shape for array in arrays] != expected:
        shapes = [array.shape for array in arrays]
        raise ShapeError(f"coefs_ and intercepts_ have shapes {shapes}: this network takes {expected}")
    flat = np.concatenate([np.ravel(array) for array in arrays]).astype(network.dtype, copy=False)
    network.arena.fill(flat, np.zeros(0, network.dtype))


def penalize(network: Sequential, l2: float) -> None:
    """Set the factor of the penalty of each layer's weights; biases have none."""
    for parameter in network.arena.parameters:
        parameter.l2 = l2 if parameter.name == "W" else 0.0


def unloaded(network: Sequential) -> Weights:
    """Return host copies of the weights as ``coefs_`` and ``intercepts_``."""
    arrays = network.get_weights()
    return arrays[0::2], arrays[1::2]


def usable_backend(name: Any) -> Backend:
    """Return the backend, or the CPU with a warning: what was trained on a GPU is to predict on any machine."""
    try:
        return get_backend(name)
    except BackendError as error:
        warn(f"predicting on the CPU: {error}")
        return get_backend("cpu")


def made_of(estimator: BaseEstimator) -> tuple[Any, ...]:
    """Return what the user may change in a network with the present weights: one made of something else is no more."""
    n_layers = len(estimator.coefs_) - 1
    return hidden_activations(estimator, n_layers), dropout_rates(estimator, n_layers), estimator.backend


def _layers(estimator: BaseEstimator, coefs: list[np.ndarray]) -> list[Layer]:
    layers: list[Layer] = []
    activations, rates, _ = made_of(estimator)
    for coef, activation, rate in zip(coefs, activations, rates, strict=False):  # the last one is the output layer's
        layers.append(Dense(coef.shape[1], activation, initializer="zeros"))
        if rate > 0.0:
            layers.append(Dropout(rate))
    here = {there: name for name, there in SCIKIT_OUTPUTS.items()}
    activation = here.get(estimator.out_activation_, estimator.out_activation_)
    return [*layers, Dense(coefs[-1].shape[1], activation, initializer="zeros")]
