"""JAX with ``lax.scan`` over all steps of a round: one compiled call, no Python between steps."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from benchmarks.contenders.jax_common import check_device, initial_state, make_scan
from benchmarks.work import Work, scaled


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    check_device(device)
    x, y = jnp.asarray(scaled(images)), jnp.asarray(labels.astype(np.int32))
    train = make_scan(work)
    state = initial_state(work.optimizer, work.initial_weights())

    def run(order: np.ndarray) -> np.ndarray:
        nonlocal state
        state, losses = train(state, x, y, order.astype(np.int32).reshape(work.n_steps, work.batch_size))
        return np.asarray(losses)

    return run
