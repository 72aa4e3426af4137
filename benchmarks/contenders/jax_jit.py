"""JAX with one compiled call per step."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders.jax_common import check_device, initial_state, make_step
from benchmarks.work import Work, scaled


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    check_device(device)
    step = make_step(work, jnp.asarray(scaled(images)), jnp.asarray(labels.astype(np.int32)))
    train = jax.jit(step, donate_argnums=0)
    state = initial_state(work.optimizer, work.initial_weights())

    def run(order: np.ndarray) -> np.ndarray:
        nonlocal state
        losses = []
        for rows in order.astype(np.int32).reshape(work.n_steps, work.batch_size):
            state, loss = train(state, rows)
            losses.append(loss)
        return np.asarray(jnp.stack(losses))

    return run
