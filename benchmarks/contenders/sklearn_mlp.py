"""scikit-learn's MLPClassifier: ``partial_fit`` on the rows of a round, from the same weights, without its penalty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.work import Weights, Work, scaled


def model_from(work: Work, weights: Weights) -> MLPClassifier:
    """Return a model that goes on from the weights at its next ``partial_fit``."""
    model = MLPClassifier(
        work.units[1:-1],
        solver=work.optimizer,
        momentum=0.0,
        nesterovs_momentum=False,
        alpha=0.0,
        batch_size=work.batch_size,
        learning_rate_init=work.learning_rate,
        shuffle=False,
    )
    labels = np.arange(work.units[-1])
    rows = np.resize(labels, work.batch_size)  # a first step builds the network
    model.partial_fit(np.zeros((len(rows), work.units[0]), np.float32), rows, classes=labels)
    for (w, b), coefs, intercepts in zip(weights, model.coefs_, model.intercepts_, strict=True):
        coefs[...], intercepts[...] = w, b
    del model._optimizer
    return model


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    x = scaled(images)
    model = model_from(work, work.initial_weights())

    def run(order: np.ndarray) -> np.ndarray:
        means = []  # it keeps no losses of steps
        for rows in work.pieces(order):
            model.partial_fit(x[rows], labels[rows])
            means.append(model.loss_ * len(rows) / len(order))
        return np.array([sum(means)])

    return run
