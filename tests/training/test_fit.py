"""What ``fit`` promises: which rows it trains on, in which order, with which loss, and what it writes down."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from accelnn import SGD, Adam, Dense, Dropout, Sequential, schedules
from accelnn.errors import AccelnnWarning, ArgumentError, ArgumentTypeError, DivergenceError
from accelnn.training import evaluation
from accelnn.training.callbacks import Callback
from accelnn.training.runners import choice
from tests.training.parity import check_same_weights, dense, inputs, labels, said_of_runners, small_net, targets

QUIET = {"verbose": 0, "batch_size": None}


def model_of(*layers, seed=0, **options) -> Sequential:
    return Sequential(layers or small_net(), dtype="float64", seed=seed, **options)


def linear_regression(x, y, weights, rate, batch_size, epochs):
    """Return w, b and the loss of every epoch of gradient descent on the weighted squared error, written by hand."""
    w, b, losses = np.full((x.shape[1], 1), 0.1), np.zeros(1), []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, len(x), batch_size):
            batch = slice(start, start + batch_size)
            error, share = x[batch] @ w + b - y[batch], weights[batch] / weights[batch].sum()
            total += weights[batch].sum() * float(share @ error[:, 0] ** 2)
            slope = 2.0 * share[:, None] * error
            w, b = w - rate * x[batch].T @ slope, b - rate * slope.sum(axis=0)
        losses.append(total / weights.sum())
    return w, b, losses


@pytest.mark.parametrize("runner", ["plain", "compiled"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "batch_size"), [(11, 4), (12, 4), (7, 7), (9, 8), (5, 1)])
def test_the_steps_are_those_written_by_hand(runner, weighted, n, batch_size):
    """A last, partial batch is a step like every other, and counts for its rows in the loss of the epoch."""
    x, y = inputs(n=n, n_in=3), targets(1, n=n)
    weights = np.random.default_rng(4).random(n) if weighted else np.ones(n)
    model = model_of(Dense(1, initializer=np.full((3, 1), 0.1)))
    history = model.fit(
        x, y, batch_size=batch_size, epochs=3, optimizer="sgd", learning_rate=0.05, shuffle=False, verbose=0,
        runner=runner, sample_weight=weights if weighted else None,
    )  # fmt: skip
    w, b, losses = linear_regression(x, y, weights, 0.05, batch_size, 3)
    np.testing.assert_allclose(model.layers[0].W, w, rtol=1e-12)
    np.testing.assert_allclose(model.layers[0].b, b, rtol=1e-12)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-12)


def test_history():
    x, y = inputs(), labels()
    model = model_of(*small_net(dense(3, "softmax")))
    assert model.history is None
    history = model.fit(x, y, epochs=4, metrics=["accuracy"], validation_data=(x[:9], y[:9]), verbose=0, runner="plain")
    assert model.history is history
    assert len(history) == 4
    assert history.keys() == ["loss", "seconds", "samples_per_s", "accuracy", "val_loss", "val_accuracy"]
    assert (history.runner, history.interrupted, history.stopped_because) == ("plain", False, None)
    assert all(s > 0.0 for s in history["seconds"])
    np.testing.assert_allclose(history["samples_per_s"], len(x) / np.array(history["seconds"]))
    measured = model.evaluate(x[:9], y[:9], metrics="accuracy")
    assert history["val_loss"][-1] == measured["loss"]
    assert history["val_accuracy"][-1] == measured["accuracy"]
    assert history["accuracy"][-1] == model.evaluate(x, y, metrics="accuracy")["accuracy"]
    model.fit(x, y, epochs=1, verbose=0)
    assert len(model.history) == 1
    assert len(history) == 4


@pytest.mark.parametrize("runner", ["plain", "compiled"])
def test_penalties_belong_to_the_training_loss_only(runner):
    x, y = inputs(), targets()
    model = model_of(dense(3, l1=0.1, l2=0.2))
    before = model_of(dense(3, l1=0.1, l2=0.2), n_in=x.shape[1])
    history = model.fit(x, y, epochs=1, optimizer="sgd", runner=runner, validation_data=(x, y), **QUIET)
    W = before.layers[0].W
    penalty = 0.1 * np.abs(W).sum() + 0.2 / 2 * (W**2).sum()
    np.testing.assert_allclose(history["loss"][0], before.evaluate(x, y)["loss"] + penalty, rtol=1e-12)
    np.testing.assert_allclose(history["val_loss"][0], model.evaluate(x, y)["loss"], rtol=1e-12)


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("softmax", "cross_entropy"),
        ("sigmoid", "binary_cross_entropy"),
        ("exponential", "poisson"),
        ("identity", "mse"),
        ("tanh", "mse"),
    ],
)
def test_the_usual_loss_of_an_output(activation, loss):
    x, y = inputs(), np.eye(3)[labels()]
    model, other = model_of(dense(3, activation)), model_of(dense(3, activation))
    history = model.fit(x, y, epochs=2, **QUIET)
    assert other.fit(x, y, epochs=2, loss=loss, **QUIET)["loss"] == history["loss"]
    assert model.evaluate(x, y) == other.evaluate(x, y, loss=loss)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("sgd", SGD(0.02)),
        ("momentum", SGD(0.02, momentum=0.9)),
        ("adam", Adam(0.02)),
        (Adam(0.5, beta_1=0.5), Adam(0.02, beta_1=0.5)),
    ],
)
def test_a_learning_rate_replaces_that_of_the_optimizer(name, optimizer):
    a, b = model_of(), model_of()
    a.fit(inputs(), targets(), optimizer=name, learning_rate=0.02, epochs=3, **QUIET)
    b.fit(inputs(), targets(), optimizer=optimizer, epochs=3, **QUIET)
    check_same_weights(a, b, 1e-15)


def test_a_schedule_runs_over_all_epochs():
    """The rate falls to 0 at the end: with steps of full size the last epoch moves more than the one before."""
    moved = []

    class Watch(Callback):
        def on_epoch_begin(self, model, epoch):
            self.before = model.arena.values.copy()

        def on_epoch_end(self, model, epoch, record):
            moved.append(np.abs(model.arena.values - self.before).max())

    model = model_of()
    model.fit(inputs(), targets(), learning_rate=schedules.Cosine(0.01), epochs=10, callbacks=Watch(), verbose=0)
    assert moved[-1] < 0.1 * max(moved)


def orders_of(monkeypatch, model, **options) -> list[np.ndarray]:
    """Return the order of the rows in every epoch of a training."""
    orders, begin = [], choice.PlainRunner.begin_epoch

    def spy(runner, permutation):
        orders.append(permutation.copy())
        begin(runner, permutation)

    options = {"epochs": 3, "verbose": 0, "runner": "plain"} | options
    with monkeypatch.context() as patch:
        patch.setattr(choice.PlainRunner, "begin_epoch", spy)
        model.fit(inputs(), targets(), **options)
    return orders


def test_every_epoch_has_its_own_order_which_the_seed_decides(monkeypatch):
    orders = orders_of(monkeypatch, model_of(seed=5))
    assert all(np.array_equal(np.sort(order), np.arange(53)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert np.array_equal(orders, orders_of(monkeypatch, model_of(seed=5)))
    assert not np.array_equal(orders, orders_of(monkeypatch, model_of(seed=6)))


def test_without_shuffling_rows_keep_their_order(monkeypatch):
    orders = orders_of(monkeypatch, model_of(), shuffle=False)
    assert all(np.array_equal(order, np.arange(53)) for order in orders)


def test_validation_split_holds_out_rows_at_random(monkeypatch):
    orders = orders_of(monkeypatch, model_of(seed=5), validation_split=0.25)
    trained = {tuple(sorted(order)) for order in orders}
    assert len(trained) == 1
    rows = np.array(trained.pop())
    assert len(rows) == 53 - 13
    assert not np.array_equal(rows, np.arange(len(rows)))
    model = model_of(seed=5)
    history = model.fit(inputs(), targets(), validation_split=0.25, epochs=3, verbose=0)
    held_out = np.setdiff1d(np.arange(53), rows)
    np.testing.assert_allclose(
        history["val_loss"][-1], model.evaluate(inputs()[held_out], targets()[held_out])["loss"], rtol=1e-12
    )


def test_validation_data_may_be_weighted():
    x, y, weights = inputs(), targets(), np.arange(53.0)
    model = model_of()
    history = model.fit(x, y, validation_data=(x, y, weights), epochs=1, verbose=0)
    assert history["val_loss"][0] == model.evaluate(x, y, sample_weight=weights)["loss"]
    assert history["val_loss"][0] != model.evaluate(x, y)["loss"]


def test_training_goes_on_from_the_present_weights_with_a_fresh_optimizer():
    x, y = inputs(), targets()
    model, other = model_of(), model_of()
    model.fit(x, y, epochs=3, shuffle=False, **QUIET)
    other.build(x.shape[1])
    other.set_weights(model.get_weights())
    model.fit(x, y, epochs=2, shuffle=False, **QUIET)
    other.fit(x, y, epochs=2, shuffle=False, **QUIET)
    check_same_weights(model, other, 1e-15)


def test_dropout_is_off_outside_of_training_steps():
    x, y = inputs(), targets()
    model = model_of(dense(20, "tanh"), Dropout(0.5), dense(3))
    history = model.fit(x, y, epochs=2, validation_data=(x, y), metrics="mse", verbose=0)
    plain = model_of(dense(20, "tanh"), dense(3), n_in=x.shape[1])
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(history["val_loss"][-1], plain.evaluate(x, y)["loss"], rtol=1e-13)
    np.testing.assert_allclose(history["mse"][-1], plain.evaluate(x, y)["loss"], rtol=1e-13)


def test_zero_epochs_change_nothing():
    model = model_of(n_in=5)
    before = model.get_weights()
    history = model.fit(inputs(), targets(), epochs=0, verbose=0)
    assert len(history) == 0
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_batch_larger_than_the_data_is_clipped_with_a_warning():
    model, other = model_of(), model_of()
    with pytest.warns(AccelnnWarning, match=r"batch_size is 54 and there are only 53 rows") as caught:
        model.fit(inputs(), targets(), batch_size=54, epochs=2, verbose=0)
    assert caught[0].filename == __file__
    other.fit(inputs(), targets(), epochs=2, **QUIET)
    check_same_weights(model, other, 1e-15)


def metric_of_weights(output, target):
    return float(np.abs(output).max())


def test_metrics_may_be_functions():
    model = model_of()
    history = model.fit(inputs(), targets(), metrics=["r2", metric_of_weights], epochs=2, verbose=0)
    assert history.keys()[-2:] == ["r2", "metric_of_weights"]
    assert history["metric_of_weights"][-1] == np.abs(model.predict(inputs())).max()


@pytest.mark.parametrize("number", [np.float32, np.array, int])
def test_whatever_kind_of_number_a_metric_or_a_callback_has_json_takes_it(number):
    def mine(output, target):
        return number(3)

    class Notes(Callback):
        def on_epoch_end(self, model, epoch, record):
            record["noted"] = number(epoch)

    model = model_of()
    history = model.fit(inputs(), targets(), metrics=mine, callbacks=Notes(), epochs=2, verbose=0)
    assert json.dumps(history["mine"] + history["noted"]) == "[3.0, 3.0, 0.0, 1.0]"
    assert json.dumps(model.evaluate(inputs(), targets(), metrics=mine)["mine"]) == "3.0"


@pytest.mark.parametrize("change", [dict.clear, lambda record: record.update(loss=0.0)], ids=["clear", "update"])
def test_a_callback_that_changes_what_the_run_has_recorded_is_told_so(change):
    class Changes(Callback):
        def on_epoch_end(self, model, epoch, record):
            change(record)

    model = model_of()
    with pytest.raises(
        ArgumentError, match=r"^record\['loss'\] of Changes is .*: the run has recorded it: use another"
    ):
        model.fit(inputs(), targets(), callbacks=Changes(), epochs=2, verbose=0)
    assert model.history["loss"][0] > 0.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("noted", "text", r"record\['noted'\] of Notes is 'text' of type str: record a real number"),
        (3, 1.0, "a column of Notes is 3 of type int: use text as its name"),
    ],
)
def test_what_is_no_column_of_numbers_cannot_be_recorded(name, value, message):
    class Notes(Callback):
        def on_epoch_end(self, model, epoch, record):
            record[name] = value

    with pytest.raises(ArgumentTypeError, match=message):
        model_of().fit(inputs(), targets(), callbacks=Notes(), epochs=1, verbose=0)


@pytest.mark.parametrize("event", ["on_epoch_end", "on_chunk_end"])
def test_what_a_callback_returns_by_chance_ends_no_run_in_silence(event):
    callback = Callback()
    for answer in ({"loss": 0.1}, np.ones(2), 1):
        setattr(callback, event, lambda *arguments, answer=answer: answer)
        with pytest.raises(ArgumentTypeError, match=f"^the result of {event} of Callback is .*: return True to stop"):
            model_of().fit(inputs(), targets(), callbacks=callback, epochs=2, verbose=0)
    setattr(callback, event, lambda *arguments: np.bool_(True))
    assert model_of().fit(inputs(), targets(), callbacks=callback, epochs=2, verbose=0).stopped_because == "Callback"


def test_who_writes_to_the_arguments_of_a_metric_is_told_so():
    """NumPy's sort, scaling and random shuffling in place: outputs and targets are those of the next metric too."""
    model, y = model_of(), targets()
    kept = y.copy()

    def sorts(output, target):
        target.sort()
        return 0.0

    def scales(output, target):
        output *= 2.0
        return 0.0

    def shuffles(output, target):
        np.random.default_rng(0).shuffle(output)
        return 0.0

    for metric in (sorts, scales, shuffles):
        with pytest.raises(ArgumentError, match=f"metric '{metric.__name__}' writes to what it is given.*copy"):
            model.fit(inputs(), y, validation_data=(inputs(), y), metrics=["mse", metric], epochs=1, verbose=0)
    np.testing.assert_array_equal(y, kept)


@pytest.mark.parametrize("runner", ["plain", "compiled"])
@pytest.mark.parametrize("loss", ["mse", "sse"])
def test_a_loss_that_is_not_finite_stops_the_training(runner, loss):
    ended = []

    class Watch(Callback):
        def on_train_end(self, model, history):
            ended.append(len(history))

    model = model_of(dense(3), dense(3))
    options = {"optimizer": SGD(1e3), "epochs": 200, "batch_size": 16, "verbose": 0, "runner": runner}
    words = r"in epoch \d+, step \d of 4, at .*: likely causes are a learning"
    with pytest.raises(DivergenceError, match=words) as caught:
        model.fit(inputs(), targets(), loss=loss, callbacks=[Watch()], **options)
    assert "the loss is inf" in str(caught.value) or "the loss is nan" in str(caught.value)
    assert ended == [len(model.history)]


def test_both_runners_name_the_same_step():
    messages = set()
    for runner in ("plain", "compiled"):
        model, options = model_of(dense(3), dense(3)), {"optimizer": SGD(1e3), "epochs": 200, "verbose": 0}
        with pytest.raises(DivergenceError) as caught:
            model.fit(inputs(), targets(), runner=runner, **options)
        messages.add(str(caught.value).replace("nan", "inf"))
    assert len(messages) == 1


def test_a_diverging_validation_loss_is_recorded():
    x, y = inputs(), targets()
    far = np.full((4, 5), 1e200)
    history = model_of(dense(3)).fit(x, y, validation_data=(far, y[:4]), metrics="mse", epochs=1, verbose=0)
    assert history["val_loss"] == [np.inf]
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("runner", ["plain", "compiled"])
def test_a_network_without_parameters_is_trained_in_vain(runner):
    from accelnn import Activation, Rescaling

    for layers in ([Rescaling(2.0, 1.0)], [Dropout(0.0)], [Activation("tanh")], [Dropout(0.5)]):
        model = model_of(*layers)
        x = inputs()
        history = model.fit(x, x, epochs=2, batch_size=16, verbose=0, runner=runner)
        assert np.isfinite(history["loss"]).all()
    assert model.predict(x).shape == x.shape


def test_the_runner_is_chosen_in_silence_when_it_can_do_the_work(caplog):
    with caplog.at_level(logging.INFO, "accelnn"):
        assert model_of(backend="cpu").fit(inputs(), targets(), epochs=1, verbose=0).runner == "compiled"
    assert said_of_runners(caplog) == []


def test_a_second_fit_goes_on_with_new_dropout_masks():
    def trained(calls):
        model = Sequential([Dropout(0.5), Dense(3, "softmax")], n_in=6, seed=0, dtype="float64", backend="cpu")
        x = np.random.default_rng(0).normal(size=(16, 6))
        for epochs in calls:
            arguments = {"optimizer": "sgd", "batch_size": 4, "shuffle": False, "verbose": 0}
            model.fit(x, np.arange(16) % 3, epochs=epochs, **arguments)
        return model.get_weights()

    for once, twice in zip(trained([2]), trained([1, 1]), strict=True):
        np.testing.assert_array_equal(once, twice)


def test_evaluations_are_prepared_once_for_all_epochs(monkeypatch):
    prepared, choose = [], evaluation.choose_predictor

    def spy(*arguments, **options):
        prepared.append(choose(*arguments, **options))
        return prepared[-1]

    monkeypatch.setattr(evaluation, "choose_predictor", spy)
    model_of().fit(inputs(), targets(), epochs=5, validation_split=0.2, metrics="mse", verbose=0)
    assert len(prepared) == 2
