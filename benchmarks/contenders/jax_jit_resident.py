"""JAX with one compiled call per step; order, position and losses stay on the device, so that a call copies nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders.jax_common import check_device, data_on, initial_state, make_step, set_precision
from benchmarks.work import Work


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    check_device(device)
    set_precision(work, device)
    x, y = data_on(device, images, labels)
    train = make_training(work)
    trained = initial_state(work.optimizer, work.initial_weights())

    def run(order: np.ndarray) -> np.ndarray:
        nonlocal trained
        batches = jnp.asarray(order.astype(np.int32).reshape(work.n_steps, work.batch_size))
        state = trained, jnp.zeros((), jnp.int32), jnp.zeros(work.n_steps)
        for _ in range(work.n_steps):
            state = train(state, x, y, batches)
        trained, _, losses = state
        return np.asarray(losses)

    return run


def make_training(work: Work) -> Callable[..., Any]:
    """Return the compiled ``train(state, images, labels, batches) -> state``; position and losses are of the state."""

    def train(state: Any, images: Any, labels: Any, batches: Any) -> Any:
        trained, position, losses = state
        trained, loss = make_step(work, images, labels)(trained, batches[position])
        return trained, position + 1, losses.at[position].set(loss)

    return jax.jit(train, donate_argnums=0)
