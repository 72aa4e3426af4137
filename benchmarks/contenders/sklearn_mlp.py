"""scikit-learn's MLPClassifier: one epoch of ``partial_fit`` per round, from the same weights, without its penalty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.work import Work, scaled


def prepare(work: Work, images: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    x = scaled(images)
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
    model.partial_fit(x[: work.batch_size], labels[: work.batch_size], classes=np.arange(10))
    for (w, b), coefs, intercepts in zip(work.initial_weights(), model.coefs_, model.intercepts_, strict=True):
        coefs[...], intercepts[...] = w, b
    del model._optimizer

    def run(order: np.ndarray) -> np.ndarray:
        model.partial_fit(x[order], labels[order])
        return np.array([model.loss_])  # the mean over the round: it keeps no losses of steps

    return run
