"""The network in JAX, for both ways of running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders import Unavailable
from benchmarks.work import SCALE, Weights, Work, scaled

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def check_device(device: str) -> None:
    """Raise Unavailable if JAX has no device of this kind; which one it takes, its environment decides."""
    try:
        jax.devices(device)
    except RuntimeError as error:
        raise Unavailable(str(error).splitlines()[0]) from error


MATMUL_PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "default"}
"""What JAX calls the precision of products; by default it rounds float32 to TF32 on a GPU."""


def set_precision(work: Work, device: str) -> None:
    """Set the precision of products on a GPU; on a CPU they are float32 anyway."""
    if device == "cuda":
        jax.config.update("jax_default_matmul_precision", MATMUL_PRECISIONS[work.precision])


def data_on(device: str, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Any]:
    """Return images and labels on the device: bytes on a GPU, where a step scales them, else scaled before."""
    x = images if device == "cuda" else scaled(images)
    return jnp.asarray(x), jnp.asarray(labels.astype(np.int32))


def element_of(work: Work) -> Any:
    """Return the dtype in which layers compute."""
    return jnp.bfloat16 if work.precision == "bf16" else jnp.float32


def scores(parameters: Any, x: Any, element: Any = jnp.float32) -> Any:
    for w, b in parameters[:-1]:
        x = jax.nn.relu(x @ w.astype(element) + b.astype(element))
    w, b = parameters[-1]
    return (x @ w.astype(element) + b.astype(element)).astype(jnp.float32)


def loss(parameters: Any, x: Any, y: Any) -> Any:
    log_probabilities = jax.nn.log_softmax(scores(parameters, x, x.dtype))
    return -jnp.mean(jnp.take_along_axis(log_probabilities, y[:, None], 1))


def initial_state(optimizer: str, weights: Weights) -> Any:
    """Return the parameters and, for Adam, the moments and the number of steps done."""
    parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in weights]
    if optimizer == "sgd":
        return parameters
    # Two sets of moments with buffers of their own: all are donated to the compiled call.
    m, v = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
    return parameters, m, v, jnp.zeros((), jnp.int32)


def make_scan(work: Work) -> Callable[..., tuple[Any, Any]]:
    """Return the compiled ``scan(state, images, labels, rows) -> (state, losses)`` over all steps of a round.

    The data are arguments: what a function closes over becomes a constant, with which compiling takes seconds longer.
    """

    def scan(state: Any, images: Any, labels: Any, rows: Any) -> tuple[Any, Any]:
        return jax.lax.scan(make_step(work, images, labels), state, rows)

    return jax.jit(scan, donate_argnums=0)


def make_step(work: Work, images: Any, labels: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return ``step(state, rows) -> (state, loss)``, to be compiled."""

    def batch(rows: Any) -> Any:
        if images.dtype != jnp.uint8:
            return images[rows]
        return (images[rows].astype(jnp.float32) * SCALE).astype(element_of(work))

    def sgd(parameters: Any, rows: Any) -> tuple[Any, Any]:
        value, gradients = jax.value_and_grad(loss)(parameters, batch(rows), labels[rows])
        return jax.tree.map(lambda p, g: p - work.learning_rate * g, parameters, gradients), value

    def adam(state: Any, rows: Any) -> tuple[Any, Any]:
        parameters, m, v, t = state
        value, gradients = jax.value_and_grad(loss)(parameters, batch(rows), labels[rows])
        t = t + 1
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradients)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradients)
        rate = work.learning_rate / (1 - BETA_1**t)
        root = 1 / jnp.sqrt(1 - BETA_2**t)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + EPSILON), parameters, m, v)
        return (parameters, m, v, t), value

    return sgd if work.optimizer == "sgd" else adam
