"""Keras 3 on JAX: ``fit`` for an epoch and ``predict`` in turn.

A new Keras model would be traced anew, so a compiled one goes back to initial weights and a fresh optimizer instead.
"""

from __future__ import annotations

from benchmarks.accuracy import WORK, AfterEpoch, Data, Train, orders_of, weights_of
from benchmarks.contenders.keras_jax import model_from
from benchmarks.work import scaled


def prepare(data: Data) -> Train:
    x, x_test = scaled(data.x_train), scaled(data.x_test)
    model = model_from(WORK.units, WORK.optimizer, WORK.learning_rate)
    model.optimizer.build(model.trainable_variables)
    fresh = [variable.numpy() for variable in model.optimizer.variables]

    def train(seed: int, after_epoch: AfterEpoch) -> None:
        model.set_weights([array for pair in weights_of(seed) for array in pair])
        for variable, value in zip(model.optimizer.variables, fresh, strict=True):
            variable.assign(value)
        for rows in orders_of(seed):
            model.fit(x[rows], data.y_train[rows], WORK.batch_size, epochs=1, shuffle=False, verbose=0)
            predictions = model.predict(x_test, batch_size=1000, verbose=0).argmax(axis=1)
            if after_epoch(float((predictions == data.y_test).mean())):
                return

    return train
