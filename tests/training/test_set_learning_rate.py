"""A learning rate that callbacks set: the same steps as a schedule that says it, in every runner, kept and resumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelnn import SGD, Adam, Callback, Checkpoint, MLPRegressor, ReduceOnPlateau, Sequential, schedules
from accelnn.errors import ArgumentError, ArgumentTypeError, DivergenceError
from accelnn.training.runners.step_tables import HyperTable
from tests.training.parity import check_same_weights, dense, inputs, targets

X, Y = inputs()[:40], targets()[:40]
OPTIONS: dict[str, Any] = {"epochs": 4, "batch_size": 10, "verbose": 0}


def model_of() -> Sequential:
    return Sequential([dense(4), dense(Y.shape[1], "identity")], dtype="float64", seed=0, n_in=X.shape[1])


class Sets(Callback):
    """Sets the rate of each epoch at its beginning, or at the end of the one before."""

    def __init__(self, rates: list[float], *, early: bool = False) -> None:
        self.rates, self.early = rates, early

    def on_train_begin(self, model: Any, plan: Any) -> None:
        if self.early:
            self.set_learning_rate(self.rates[0])

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        if not self.early:
            self.set_learning_rate(self.rates[epoch])
        assert self.get_learning_rate() == self.rates[epoch]

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        if self.early:
            self.set_learning_rate(self.rates[min(epoch + 1, len(self.rates) - 1)])


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("runner", ["plain", "compiled"])
@pytest.mark.parametrize("optimizer", [SGD, Adam])
@pytest.mark.parametrize("first", [0.3, schedules.Cosine(0.3)], ids=["constant", "schedule"])
def test_steps_are_those_of_a_schedule_with_these_rates(runner, optimizer, first, early):
    rates = [0.05, 0.02, 0.02, 0.01]

    class Stairs(schedules.Schedule):
        def curve(self, epochs, total_epochs):
            return np.array(rates)[epochs.astype(int)]

    one, other = model_of(), model_of()
    one.fit(X, Y, optimizer=optimizer(first), callbacks=Sets(rates, early=early), runner=runner, **OPTIONS)
    other.fit(X, Y, optimizer=optimizer(Stairs()), runner=runner, **OPTIONS)
    np.testing.assert_array_equal(one.arena.values, other.arena.values)


def test_a_rate_that_was_set_lasts_for_partial_fit_and_not_for_the_next_fit():
    one, other = model_of(), model_of()
    one.fit(X, Y, optimizer=SGD(0.3), callbacks=Sets([0.01] * 4), shuffle=False, **OPTIONS)
    other.set_weights(one.get_weights())
    one.partial_fit(X, Y, shuffle=False)
    other.partial_fit(X, Y, optimizer=SGD(0.01), shuffle=False)
    check_same_weights(one, other, 1e-15)
    one.fit(X, Y, optimizer=SGD(0.1), shuffle=False, **OPTIONS)
    other.fit(X, Y, optimizer=SGD(0.1), shuffle=False, **OPTIONS)
    check_same_weights(one, other, 1e-15)


def test_hyperparameters_of_steps_that_are_run_again():
    table = HyperTable(SGD(schedules.ExponentialDecay(1.0, 0.5)), 9, 4)
    before = table.rows(0, 0, 4, 0).copy()
    table.set_rate(0.25, 4)
    table.set_rate(0.125, 6)
    assert table.rows(1, 2, 4, 6)[:, 0].tolist() == [0.125] * 2
    assert table.rows(1, 0, 4, 4)[:, 0].tolist() == [0.25, 0.25, 0.125, 0.125]
    np.testing.assert_array_equal(table.rows(0, 0, 4, 0), before)
    assert (table.rate(0, 0, 3), table.rate(1, 1, 5), table.rate(9, 0, 99)) == (1.0, 0.25, 0.125)
    table.forget_before(7)
    assert table.rows(1, 2, 4, 7)[:, 0].tolist() == [0.125] * 2


class Curve(Callback):
    """Records a metric as it is told, and the rate of each epoch."""

    columns = ("cost",)

    def __init__(self, values: list[float]) -> None:
        self.values, self.rates = values, []

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        self.rates.append(self.get_learning_rate())

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        record["cost"] = self.values[epoch]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"patience": 2}, [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]),
        ({"patience": 1, "min_delta": 0.5, "min_rate": 0.3}, [0.8, 0.8, 0.8, 0.4, 0.3, 0.3, 0.3, 0.3]),
    ],
)
def test_reduce_on_plateau(arguments, expected):
    curve = Curve([3.0, 2.0, 2.0, 2.5, 1.6, float("nan"), 1.7, 1.0])
    plateau = ReduceOnPlateau("cost", mode="min", factor=0.5, **arguments)
    history = model_of().fit(X, Y, optimizer=SGD(0.8), callbacks=[curve, plateau], **OPTIONS | {"epochs": 8})
    assert curve.rates == expected
    assert history["learning_rate"] == expected


def test_a_resumed_run_has_the_rate_that_was_set(tmp_path):
    class Crash(Callback):
        def on_epoch_begin(self, model, epoch):
            if epoch == 5:
                raise RuntimeError("mine")

    def train(*more: Callback, **options: Any) -> Any:
        model = model_of()
        plateau = ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=1.0)
        model.fit(X, Y, optimizer="adam", callbacks=[plateau, *more], **OPTIONS | {"epochs": 8} | options)
        return model

    whole = train()
    with pytest.raises(RuntimeError, match="mine"):
        train(Crash(), checkpoint=Checkpoint(tmp_path))
    resumed = train(checkpoint=Checkpoint(tmp_path), resume=True)
    np.testing.assert_array_equal(resumed.arena.values, whole.arena.values)
    assert resumed.history["learning_rate"] == whole.history["learning_rate"]
    assert len(set(whole.history["learning_rate"])) > 3


def test_estimators_keep_it_from_one_partial_fit_to_the_next():
    lowers = ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    estimator = MLPRegressor(hidden_layer_sizes=3, solver="sgd", callbacks=[lowers], random_state=0)
    estimator.fit(X, Y)  # stops where the loss stands still
    rate = estimator._solver.rate
    assert rate == 0.001 * 0.5 ** (estimator.n_iter_ - 1)
    estimator.partial_fit(X, Y)
    assert estimator._solver.rate == rate  # the only epoch of a call is better than none


def test_the_rate_in_the_report_of_a_divergence():
    with pytest.raises(DivergenceError, match=r"at the learning rate 1e\+12"):
        model_of().fit(X, Y, optimizer=SGD(0.01), callbacks=Sets([0.01, 1e12, 1e12, 1e12]), **OPTIONS)


@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (-1.0, ArgumentError, "^learning_rate is -1.0: use a finite number >= 0"),
        (float("nan"), ArgumentError, "^learning_rate is nan"),
        ("0.1", ArgumentTypeError, "^learning_rate is '0.1' of type str"),
    ],
)
def test_rates_that_cannot_be_set(rate, error, message):
    with pytest.raises(error, match=message):
        model_of().fit(X, Y, callbacks=Sets([rate] * 4), **OPTIONS)


def test_there_has_to_be_a_training():
    with pytest.raises(ArgumentError, match="no training runs here; use it in a method such as on_epoch_end"):
        Callback().set_learning_rate(0.1)
    with pytest.raises(ArgumentError, match=r"^factor is 1: use a finite number > 0 and < 1"):
        ReduceOnPlateau(factor=1)
