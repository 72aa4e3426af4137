"""accelnn: one call of ``fit``, with a callback that looks at the test accuracy."""

from __future__ import annotations

from accelnn import Adam, Callback, Dense, Rescaling, Sequential
from benchmarks.accuracy import MAX_EPOCHS, WORK, AfterEpoch, Data, Train, weights_of


class Watch(Callback):
    """Stop the training when ``after_epoch`` says so."""

    def __init__(self, data: Data, after_epoch: AfterEpoch) -> None:
        self.data, self.after_epoch = data, after_epoch

    def on_epoch_end(self, model: Sequential, epoch: int, record: dict[str, float]) -> bool:
        return self.after_epoch(float((model.predict(self.data.x_test) == self.data.y_test).mean()))


def prepare(data: Data) -> Train:
    def train(seed: int, after_epoch: AfterEpoch) -> None:
        hidden = [Dense(n, "relu") for n in WORK.units[1:-1]]
        layers = [Rescaling(1 / 255), *hidden, Dense(WORK.units[-1], "softmax")]
        model = Sequential(layers, n_in=WORK.units[0], backend="cpu", seed=seed)
        model.set_weights([array for pair in weights_of(seed) for array in pair])
        model.fit(
            data.x_train,
            data.y_train,
            optimizer=Adam(WORK.learning_rate),
            epochs=MAX_EPOCHS,
            batch_size=WORK.batch_size,
            callbacks=Watch(data, after_epoch),
            verbose=0,
        )

    return train
