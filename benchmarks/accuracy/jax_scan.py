"""JAX with ``lax.scan`` over the steps of an epoch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy import WORK, AfterEpoch, Data, Train, orders_of, weights_of
from benchmarks.contenders.jax_common import initial_state, make_scan, scores
from benchmarks.work import scaled


def prepare(data: Data) -> Train:
    x, y = jnp.asarray(scaled(data.x_train)), jnp.asarray(data.y_train.astype(np.int32))
    x_test, y_test = jnp.asarray(scaled(data.x_test)), jnp.asarray(data.y_test.astype(np.int32))
    train_epoch = make_scan(WORK)
    accuracy = jax.jit(lambda parameters, x, y: (scores(parameters, x).argmax(1) == y).mean())

    def train(seed: int, after_epoch: AfterEpoch) -> None:
        state = initial_state("adam", weights_of(seed))
        for order in orders_of(seed):
            rows = order.astype(np.int32).reshape(WORK.n_steps, WORK.batch_size)
            state, _ = train_epoch(state, x, y, rows)
            if after_epoch(float(accuracy(state[0], x_test, y_test))):
                return

    return train
