"""The network in JAX, for both ways of running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.work import Work

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def loss(parameters: Any, x: Any, y: Any) -> Any:
    for w, b in parameters[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = parameters[-1]
    scores = jax.nn.log_softmax(x @ w + b)
    return -jnp.mean(jnp.take_along_axis(scores, y[:, None], 1))


def initial_state(work: Work) -> Any:
    parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in work.initial_weights()]
    if work.optimizer == "sgd":
        return parameters
    # Two sets of moments with buffers of their own: all are donated to the compiled call.
    m, v = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
    return parameters, m, v, jnp.zeros((), jnp.int32)


def make_step(work: Work, images: Any, labels: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return ``step(state, rows) -> (state, loss)``, to be compiled."""

    def sgd(parameters: Any, rows: Any) -> tuple[Any, Any]:
        value, gradients = jax.value_and_grad(loss)(parameters, images[rows], labels[rows])
        return jax.tree.map(lambda p, g: p - work.learning_rate * g, parameters, gradients), value

    def adam(state: Any, rows: Any) -> tuple[Any, Any]:
        parameters, m, v, t = state
        value, gradients = jax.value_and_grad(loss)(parameters, images[rows], labels[rows])
        t = t + 1
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradients)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradients)
        rate = work.learning_rate / (1 - BETA_1**t)
        root = 1 / jnp.sqrt(1 - BETA_2**t)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + EPSILON), parameters, m, v)
        return (parameters, m, v, t), value

    return sgd if work.optimizer == "sgd" else adam
