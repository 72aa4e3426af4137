"""A model is trained by one run at a time: a callback or a thread that trains it too is refused, and harms nothing."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

from accelnn import Callback, Dense, MLPRegressor, Sequential
from accelnn.errors import InTrainingError

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = X.sum(axis=1)
OPTIONS = {"epochs": 2, "batch_size": 20, "verbose": 0}


class Calls(Callback):
    """Calls a function with the model after the first epoch."""

    def __init__(self, function):
        self.function, self.result = function, None

    def on_epoch_end(self, model, epoch, record):
        if epoch == 0:
            self.result = self.function(model)


def network():
    return Sequential([Dense(4, "tanh"), Dense(1)], seed=0)


@pytest.mark.parametrize(
    "train_too",
    [lambda model: model.fit(X, Y, **OPTIONS), lambda model: model.partial_fit(X, Y)],
    ids=["fit", "partial_fit"],
)
def test_a_callback_that_trains_the_same_model_is_refused(train_too):
    model = network()
    with pytest.raises(InTrainingError, match="this Sequential is being trained by the run that this call is a part"):
        model.fit(X, Y, callbacks=Calls(train_too), **OPTIONS)
    assert len(model.history) == 1
    model.partial_fit(X, Y)  # it is over, and the model is free
    assert len(model.fit(X, Y, **OPTIONS)) == 2


def test_one_that_is_refused_and_goes_on_leaves_no_trace():
    def tries(model):
        with pytest.raises(InTrainingError):
            model.fit(X, Y, optimizer="sgd", loss="mae", **OPTIONS)

    model, undisturbed = network(), network()
    history = model.fit(X, Y, callbacks=Calls(tries), **OPTIONS)
    assert model.history is history
    assert history["loss"] == undisturbed.fit(X, Y, **OPTIONS)["loss"]
    np.testing.assert_array_equal(model.arena.values, undisturbed.arena.values)
    assert model.partial_fit(X, Y) == undisturbed.partial_fit(X, Y)  # the same loss and optimizer


def test_a_metric_and_an_iterator_of_chunks_are_a_part_of_the_run():
    model = network()

    def metric(output, target):
        return model.partial_fit(X, Y)

    def chunks():
        yield X, Y
        yield model.fit(X, Y, **OPTIONS)

    with pytest.raises(InTrainingError):
        model.fit(X, Y, metrics=metric, **OPTIONS)
    with pytest.raises(InTrainingError):
        model.partial_fit(chunks())


def test_another_thread_is_told_so():
    caught = []

    def from_a_thread(model):
        def train():
            try:
                model.partial_fit(X, Y)
            except InTrainingError as error:
                caught.append(str(error))

        thread = threading.Thread(target=train)
        thread.start()
        thread.join()

    network().fit(X, Y, callbacks=Calls(from_a_thread), **OPTIONS)
    assert len(caught) == 1
    assert "is being trained in another thread: train it when that is over" in caught[0]


def test_a_copy_may_be_trained():
    copied = Calls(lambda model: copy.deepcopy(model).fit(X, Y, **OPTIONS))
    model, undisturbed = network(), network()
    model.fit(X, Y, callbacks=copied, **OPTIONS)
    undisturbed.fit(X, Y, **OPTIONS)
    assert len(copied.result) == 2
    np.testing.assert_array_equal(model.arena.values, undisturbed.arena.values)


@pytest.mark.parametrize("which", ["estimator", "network"])
def test_estimators(which):
    estimator = MLPRegressor(hidden_layer_sizes=4, max_iter=2, random_state=0)
    train_too = Calls(lambda model: (estimator if which == "estimator" else model).partial_fit(X, Y))
    estimator.set_params(callbacks=[train_too])
    with pytest.raises(InTrainingError, match="is being trained by the run"):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "coefs_")  # as it was
    estimator.set_params(callbacks=None).partial_fit(X, Y)
