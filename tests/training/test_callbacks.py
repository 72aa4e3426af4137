"""Callbacks: order of the calls, early stopping with its weights, targets, refusals."""

import math

import numpy as np
import pytest

from accelnn.errors import ArgumentError, ArgumentTypeError
from accelnn.training.callbacks import Callback, CallbackList, TrainingPlan
from accelnn.training.history import History
from accelnn.training.stopping import EarlyStopping, StopOnTarget

PLAN = TrainingPlan(epochs=100, steps_per_epoch=1)


class Model:
    """A model with one weight: the number of epochs trained."""

    def __init__(self):
        self.weight = np.zeros(1)
        self.n_copies = 0

    def get_weights(self):
        self.n_copies += 1
        return [self.weight.copy()]

    def set_weights(self, weights):
        self.weight = weights[0].copy()


def train(callback, values, *, metric="val_loss", model=None, plan=PLAN):
    """Train one epoch per value until ``callback`` asks to stop; return the model and how many there were."""
    model, history = model or Model(), History()
    callback.on_train_begin(model, plan)
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(model, epoch)
        model.weight += 1
        callback.on_chunk_end(model, epoch, 1, 1, value)
        if callback.on_epoch_end(model, epoch, history.record(**{"loss": 1.0, metric: value})):
            break
    callback.on_train_end(model, history)
    return model, len(history)


def test_early_stopping_counts_epochs_in_a_row():
    stopping = EarlyStopping(patience=2)
    model, n_epochs = train(stopping, [0.9, 0.5, 0.6, 0.4, 0.5, 0.4, 0.3])
    assert n_epochs == 6  # 0.5 and 0.4 are two in a row that are not below 0.4
    assert (stopping.best, stopping.best_epoch) == (0.4, 3)
    assert model.weight == 4
    assert stopping.stop_reason == "val_loss did not improve for 2 epochs (best 0.4 in epoch 4)"


def test_early_stopping_can_leave_the_last_weights():
    model, n_epochs = train(EarlyStopping(patience=1, restore_best=False), [0.5, 0.6, 0.1])
    assert n_epochs == 2
    assert model.weight == 2
    assert model.n_copies == 0


def test_early_stopping_restores_also_when_the_epochs_run_out():
    model, n_epochs = train(EarlyStopping(patience=10), [0.5, 0.4, 0.6, 0.7])
    assert n_epochs == 4
    assert model.weight == 2


def test_early_stopping_of_a_score():
    stopping = EarlyStopping("val_accuracy", patience=1)
    model, n_epochs = train(stopping, [0.5, 0.6, 0.6], metric="val_accuracy")
    assert n_epochs == 3
    assert (stopping.best, stopping.best_epoch) == (0.6, 1)
    assert model.weight == 2


def test_early_stopping_with_the_direction_given():
    _, n_epochs = train(EarlyStopping("precision", 1, mode="max"), [0.5, 0.6, 0.5], metric="precision")
    assert n_epochs == 3


def test_min_delta_is_measured_from_the_best():
    # Each value is 0.04 better than the one before: only every third is 0.1 better than the best.
    values = [1.0, 0.96, 0.92, 0.88, 0.84, 0.80, 0.76]
    stopping = EarlyStopping(patience=3, min_delta=0.1)
    _, n_epochs = train(stopping, values)
    assert n_epochs == 7
    assert stopping.best == 0.76
    _, n_epochs = train(EarlyStopping(patience=2, min_delta=0.1), values)
    assert n_epochs == 3


def test_nan_is_not_an_improvement():
    stopping = EarlyStopping(patience=2)
    model, n_epochs = train(stopping, [math.nan, 0.5, math.nan, math.nan, 0.1])
    assert n_epochs == 4
    assert stopping.best == 0.5
    assert model.weight == 2
    stopping = EarlyStopping(patience=2)
    model, n_epochs = train(stopping, [math.nan] * 5)
    assert n_epochs == 2
    assert model.weight == 2
    assert stopping.stop_reason == "val_loss did not improve for 2 epochs"


def test_early_stopping_forgets_the_run_before():
    stopping = EarlyStopping(patience=1)
    train(stopping, [0.1, 0.2])
    model, n_epochs = train(stopping, [0.9, 0.8, 0.85])
    assert n_epochs == 3
    assert stopping.best == 0.8
    assert model.weight == 2


def test_stop_on_target():
    stop = StopOnTarget("val_accuracy", 0.9)
    _, n_epochs = train(stop, [0.5, 0.9, 0.95], metric="val_accuracy")
    assert n_epochs == 2
    assert stop.stop_reason == "val_accuracy reached 0.9 (target 0.9)"
    _, n_epochs = train(stop, [0.5, 0.6], metric="val_accuracy")
    assert n_epochs == 2
    assert stop.stop_reason is None
    _, n_epochs = train(StopOnTarget("val_loss", 0.2), [0.5, math.nan, 0.2, 0.1])
    assert n_epochs == 3


@pytest.mark.parametrize("make", [EarlyStopping, lambda metric: StopOnTarget(metric, 0.1)])
def test_a_metric_that_is_not_recorded(make):
    record = {"loss": 1.0, "accuracy": 0.5}
    with pytest.raises(ArgumentError, match=r"^metric is 'rmse': known names are accuracy, loss"):
        make("rmse").on_epoch_end(Model(), 0, record)
    with pytest.raises(ArgumentError, match=r"did you mean 'val_accuracy'"):
        make("vall_accuracy").on_epoch_end(Model(), 0, record | {"val_loss": 1.0, "val_accuracy": 1.0})
    with pytest.raises(ArgumentError, match=r"give validation_data or validation_split; recorded: loss, accuracy"):
        make("val_loss").on_epoch_end(Model(), 0, record)


@pytest.mark.parametrize("make", [EarlyStopping, lambda metric: StopOnTarget(metric, 0.1)])
def test_the_plan_tells_before_the_first_epoch(make):
    plan = TrainingPlan(epochs=1, steps_per_epoch=1, recorded=("loss", "seconds"))
    make("loss").on_train_begin(Model(), plan)
    with pytest.raises(ArgumentError, match="give validation_data"):
        make("val_loss").on_train_begin(Model(), plan)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(patience=0), "^patience is 0: use an integer >= 1"),
        (lambda: EarlyStopping(min_delta=-1), "^min_delta is -1: use a finite number >= 0"),
        (lambda: EarlyStopping(mode="best"), "^mode is 'best'"),
        (lambda: EarlyStopping("precision"), "say mode='max' or mode='min'"),
        (lambda: StopOnTarget("loss", math.nan), "^target is nan"),
        (lambda: StopOnTarget("precision", 0.5), "say mode="),
    ],
)
def test_bad_values(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(patience=2.5), "^patience is 2.5"),
        (lambda: EarlyStopping(min_delta="0"), "^min_delta is '0'"),
        (lambda: EarlyStopping(restore_best=1), "^restore_best is 1"),
        (lambda: EarlyStopping(5), "^metric is 5"),
        (lambda: EarlyStopping(None, mode="max"), "^metric is None"),
        (lambda: StopOnTarget("loss", None), "^target is None"),
        (lambda: CallbackList(3), "^callbacks is 3"),
        (lambda: CallbackList([EarlyStopping]), "^callbacks is .*: use instances of Callback"),
        (lambda: CallbackList([print]), "^callbacks is .*: use instances of Callback"),
    ],
)
def test_wrong_types(make, message):
    with pytest.raises(ArgumentTypeError, match=message):
        make()


class Notes(Callback):
    """Writes down the calls; stops in the epoch given."""

    def __init__(self, name, notes, stops_in=None, reason=None):
        self.name, self.notes, self.stops_in, self.stop_reason = name, notes, stops_in, reason

    def on_train_begin(self, model, plan):
        self.notes.append((self.name, "train begins"))

    def on_epoch_begin(self, model, epoch):
        self.notes.append((self.name, "epoch begins"))

    def on_chunk_end(self, model, epoch, steps_done, steps_total, loss):
        self.notes.append((self.name, "chunk"))

    def on_epoch_end(self, model, epoch, record):
        self.notes.append((self.name, "epoch"))
        return epoch == self.stops_in

    def on_train_end(self, model, history):
        self.notes.append((self.name, "train"))


def test_a_list_calls_in_order():
    notes = []
    _, n_epochs = train(CallbackList([Notes("a", notes), Notes("b", notes)]), [0.1])
    assert n_epochs == 1
    calls = ["train begins", "epoch begins", "chunk", "epoch", "train"]
    assert notes == [(name, call) for call in calls for name in "ab"]


def test_a_list_stops_if_one_does_and_joins_the_reasons():
    notes = []
    both = CallbackList([Notes("a", notes, stops_in=1), Notes("b", notes, 1, "enough"), Notes("c", notes)])
    _, n_epochs = train(both, [0.1] * 5)
    assert n_epochs == 2
    assert both.stop_reason == "Notes; enough"
    assert notes.count(("c", "epoch")) == 2
    train(both, [0.1])
    assert both.stop_reason is None


def test_a_list_from_none_one_or_an_iterator():
    assert CallbackList().callbacks == []
    one = Callback()
    assert CallbackList(one).callbacks == [one]
    assert CallbackList(iter([one])).callbacks == [one]
    assert train(CallbackList(one), [0.1, 0.2])[1] == 2


def test_the_end_reaches_every_callback_even_if_one_fails():
    class Fails(Callback):
        def on_train_end(self, model, history):
            raise RuntimeError("mine")

    notes = []
    callbacks = CallbackList([Fails(), Notes("b", notes)])
    with pytest.raises(RuntimeError, match="mine"):
        callbacks.on_train_end(Model(), History())
    assert notes == [("b", "train")]


def test_chunks_are_told_to_those_who_listen():
    class Listener(Callback):
        def __init__(self):
            self.heard = 0

        def on_chunk_end(self, model, epoch, steps_done, steps_total, loss):
            self.heard += 1

    own, patched = Listener(), Callback()
    notes = []
    patched.on_chunk_end = lambda *arguments: notes.append(arguments)
    silent = CallbackList([Callback(), EarlyStopping("loss")])
    assert not silent.hears_chunks
    silent.on_chunk_end(None, 0, 1, 2, 0.5)
    callbacks = CallbackList([Callback(), own, patched, CallbackList([own])])
    assert callbacks.hears_chunks
    callbacks.on_chunk_end(None, 0, 1, 2, 0.5)
    assert own.heard == 2
    assert notes == [(None, 0, 1, 2, 0.5)]
