"""Keras 3 on its JAX backend: ``fit`` over the rows of a round, brought into their order before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np

from benchmarks.work import Work, scaled


def model_from(units: Sequence[int], optimizer: str, learning_rate: float) -> keras.Model:
    """Return a compiled network that ends in scores, with ReLU in between."""
    hidden = [keras.layers.Dense(n, activation="relu") for n in units[1:-1]]
    model = keras.Sequential([keras.Input((units[0],)), *hidden, keras.layers.Dense(units[-1])])
    choices = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    options = {"epsilon": 1e-8} if optimizer == "adam" else {}
    model.compile(
        choices[optimizer](learning_rate, **options),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    return model


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    x = scaled(images)
    model = model_from(work.units, work.optimizer, work.learning_rate)
    model.set_weights([array for pair in work.initial_weights() for array in pair])

    def run(order: np.ndarray) -> np.ndarray:
        means = []  # it reports the mean over all rows, not the losses of steps
        for rows in work.pieces(order):
            history = model.fit(x[rows], labels[rows], work.batch_size, epochs=1, shuffle=False, verbose=0)
            means.append(history.history["loss"][0] * len(rows) / len(order))
        return np.array([sum(means)])

    return run
