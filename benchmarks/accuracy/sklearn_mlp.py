"""scikit-learn's MLPClassifier: ``partial_fit`` and ``score`` in turn."""

from __future__ import annotations

from benchmarks.accuracy import WORK, AfterEpoch, Data, Train, orders_of, weights_of
from benchmarks.contenders.sklearn_mlp import model_from
from benchmarks.work import scaled


def prepare(data: Data) -> Train:
    x, x_test = scaled(data.x_train), scaled(data.x_test)

    def train(seed: int, after_epoch: AfterEpoch) -> None:
        model = model_from(WORK, weights_of(seed))
        for rows in orders_of(seed):
            model.partial_fit(x[rows], data.y_train[rows])
            if after_epoch(float(model.score(x_test, data.y_test))):
                return

    return train
