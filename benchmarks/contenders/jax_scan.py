"""JAX with ``lax.scan`` over all steps of a round: one compiled call, no Python between steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.contenders.jax_common import check_device, data_on, initial_state, make_scan, set_precision
from benchmarks.work import Work


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    check_device(device)
    set_precision(work, device)
    x, y = data_on(device, images, labels)
    train = make_scan(work)
    state = initial_state(work.optimizer, work.initial_weights())

    def run(order: np.ndarray) -> np.ndarray:
        nonlocal state
        state, losses = train(state, x, y, order.astype(np.int32).reshape(work.n_steps, work.batch_size))
        return np.asarray(losses)

    return run
