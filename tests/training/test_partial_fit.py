"""``partial_fit``: one pass over some data, with an optimizer that goes on where it was."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import SGD, Adam, Dropout, Sequential, schedules
from accelnn.errors import ArgumentError
from tests.training.parity import check_same_weights, dense, inputs, labels, small_net, targets

WHOLE = {"batch_size": None, "shuffle": False}
MANY = 10_000


def model_of(*layers) -> Sequential:
    return Sequential(layers or small_net(), dtype="float64", seed=0)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "rmsprop", "adam"])
def test_many_calls_are_one_training(optimizer):
    """Adam's moments and its step count live on; with a fresh optimizer every call would be a first step."""
    x, y = inputs(), targets()
    model, other = model_of(), model_of()
    history = model.fit(x, y, optimizer=optimizer, epochs=5, verbose=0, **WHOLE)
    losses = [other.partial_fit(x, y, optimizer=optimizer, **WHOLE) for _ in range(5)]
    check_same_weights(model, other, 1e-14)
    np.testing.assert_allclose(losses, history["loss"], rtol=1e-14)


def test_it_goes_on_with_the_optimizer_and_the_loss_of_fit():
    x, y = inputs(), targets()
    model, other = model_of(), model_of()
    model.fit(x, y, optimizer=Adam(0.01), loss="huber", epochs=3, verbose=0, **WHOLE)
    model.partial_fit(x, y, **WHOLE)
    other.fit(x, y, optimizer=Adam(0.01), loss="huber", epochs=4, verbose=0, **WHOLE)
    check_same_weights(model, other, 1e-14)


def test_another_optimizer_starts_afresh_and_an_equal_one_goes_on():
    x, y = inputs(), targets()
    model = model_of()
    model.partial_fit(x, y, optimizer=Adam(0.01), **WHOLE)
    assert model._state.steps == 1
    model.partial_fit(x, y, optimizer=Adam(0.01), **WHOLE)
    assert model._state.steps == 2
    model.partial_fit(x, y, optimizer=SGD(0.01), **WHOLE)
    assert model._state.steps == 1
    assert model._state.optimizer == SGD(0.01)


def test_the_first_call_takes_the_defaults_of_fit():
    x, y = inputs(), labels()
    model, other = (model_of(dense(3, "softmax")) for _ in range(2))
    loss = model.partial_fit(x, y)
    history = other.fit(x, y, epochs=1, optimizer="adam", loss="cross_entropy", verbose=0)
    check_same_weights(model, other, 1e-15)
    assert loss == history["loss"][0]
    assert model.history is None


def test_a_schedule_sees_one_epoch_in_every_call():
    x, y = inputs(), targets()
    model, other = model_of(), model_of()
    for _ in range(3):
        model.partial_fit(x, y, optimizer=SGD(schedules.StepDecay(0.05, 0.1, every=1)), **WHOLE)
        other.partial_fit(x, y, optimizer=SGD(0.05), **WHOLE)
    check_same_weights(model, other, 1e-15)


def test_a_stream_of_single_rows():
    x, y = inputs(), targets()
    model, other = model_of(), model_of()
    for i in range(20):
        model.partial_fit(x[i : i + 1], y[i : i + 1], optimizer="adam", batch_size=1)
    other.fit(x[:20], y[:20], optimizer="adam", epochs=1, batch_size=1, shuffle=False, verbose=0)
    check_same_weights(model, other, 1e-14)


def test_classes_that_a_piece_of_the_data_lacks_may_have_weights():
    model = model_of(dense(3, "softmax"))
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    losses = [model.partial_fit(inputs()[:8], np.full(8, k), class_weight=weights, **WHOLE) for k in (0, 1, 2)]
    assert np.isfinite(losses).all()


def test_weights_of_rows_and_classes():
    x, y = inputs(), labels()
    model, other = (model_of(dense(3, "softmax")) for _ in range(2))
    model.partial_fit(x, y, class_weight={0: 3.0}, **WHOLE)
    other.partial_fit(x, y, sample_weight=np.where(y == 0, 3.0, 1.0), **WHOLE)
    check_same_weights(model, other, 1e-15)


def test_dropout_masks_differ_from_call_to_call():
    x = np.ones((1, 1000))
    model = model_of(Dropout(0.5), dense(1, use_bias=False, initializer="zeros"))
    still = []
    for _ in range(3):
        before = model.arena.values.copy() if model.built else np.zeros(1000)
        model.partial_fit(x, [[1.0]], optimizer=SGD(1e-3), batch_size=None)
        still.append(model.arena.values == before)
    shared = np.mean(still[0] & still[1]), np.mean(still[1] & still[2])
    assert all(0.15 < share < 0.35 for share in shared)  # a quarter of the inputs is dropped twice by chance


def test_a_call_that_fails_changes_neither_loss_nor_optimizer():
    model = model_of()
    model.partial_fit(inputs(), targets(), optimizer=SGD(0.01), loss="huber", **WHOLE)
    before, state = model.get_weights(), model._state
    with pytest.raises(ArgumentError, match="batch_size"):
        model.partial_fit(inputs(), targets(), loss="mae", optimizer="adam", batch_size=0)
    with pytest.raises(ArgumentError, match="batch_size"):
        model.fit(inputs(), targets(), loss="mae", batch_size=-3)
    assert model._state is state
    assert model.evaluate(inputs(), targets()) == model.evaluate(inputs(), targets(), loss="huber")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
