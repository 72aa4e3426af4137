"""What these estimators have and scikit-learn's have not: more activations, dropout, optimizers, schedules, ..."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelnn import (
    SGD,
    Adam,
    Callback,
    History,
    MLPClassifier,
    MLPRegressor,
    RMSprop,
    Sequential,
    get_backend,
    schedules,
)
from accelnn.network.activations import ACTIVATION_ENTRIES
from tests.estimators.oracle import check_same, check_same_weights, fitted_pair, pair, quietly, rows, targets

HIDDEN = sorted(set(ACTIVATION_ENTRIES) - {"softmax"})


def fitted(kind: str = "multiclass", **parameters: Any) -> Any:
    """Return accelnn's estimator of the oracle after training, with parameters that scikit-learn may not know."""
    return quietly(pair(kind)[0].set_params(**parameters).fit, rows(), targets(kind))


def test_there_is_a_choice_of_activations() -> None:
    assert {"gelu", "silu", "leaky_relu", "elu", "selu", "softplus", "hard_sigmoid", "sigmoid"} <= set(HIDDEN)


@pytest.mark.parametrize("activation", HIDDEN)
def test_every_activation_trains(activation: str) -> None:
    estimator = fitted(activation=activation, max_iter=30)
    assert estimator.loss_ < estimator.loss_curve_[0]


def test_logistic_is_the_sigmoid() -> None:
    check_same(fitted(activation="logistic"), fitted(activation="sigmoid"), rtol=0.0, atol=0.0)


def test_an_activation_for_each_layer() -> None:
    ours = fitted("regression", activation=("tanh", "identity"), max_iter=3)
    hidden = np.tanh(rows() @ ours.coefs_[0] + ours.intercepts_[0]) @ ours.coefs_[1] + ours.intercepts_[1]
    np.testing.assert_allclose(ours.predict(rows()), (hidden @ ours.coefs_[2] + ours.intercepts_[2])[:, 0], rtol=1e-9)


@pytest.mark.parametrize("activation", [("tanh", "tanh"), ["tanh", "tanh"]], ids=str)
def test_the_same_for_all_layers_is_one_name(activation: Any) -> None:
    check_same(fitted(activation=activation), fitted(activation="tanh"), rtol=0.0, atol=0.0)


@pytest.mark.parametrize("loss", ["absolute_error", "huber"])
@pytest.mark.parametrize("kind", ["regression", "multi-output"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_losses_that_outliers_do_not_rule(loss: str, kind: str, solver: str) -> None:
    x, y = rows(200), targets(kind, 200).copy()
    y[::20] += 1000.0
    robust, squared = (
        MLPRegressor(name, (), solver=solver, random_state=0, max_iter=400, learning_rate_init=0.01, tol=0.0, alpha=0.0)
        for name in (loss, "squared_error")
    )
    errors = []
    for estimator in (robust, squared):
        quietly(estimator.fit, x, y)
        errors.append(np.abs(estimator.predict(x) - targets(kind, 200))[1:20].mean())
    assert errors[0] < 0.8 < errors[1]


def test_dropout_is_repeatable_and_off_in_predictions() -> None:
    one, two, none = fitted(dropout=0.5), fitted(dropout=0.5), fitted()
    check_same(one, two, rtol=0.0, atol=0.0)
    assert not np.allclose(one.coefs_[0], none.coefs_[0])
    np.testing.assert_array_equal(one.predict_proba(rows()), one.predict_proba(rows()))
    assert len(one.coefs_) == 3


def test_dropout_for_each_layer() -> None:
    first, second, both = fitted(dropout=(0.4, 0.0)), fitted(dropout=(0.0, 0.4)), fitted(dropout=(0.4, 0.4))
    assert not np.allclose(first.coefs_[0], second.coefs_[0])
    check_same(both, fitted(dropout=0.4), rtol=0.0, atol=0.0)
    check_same(fitted(dropout=(0.0, 0.0)), fitted(), rtol=0.0, atol=0.0)


def test_dropout_is_drawn_from_random_state() -> None:
    one, other = fitted(dropout=0.5, random_state=1), fitted(dropout=0.5, random_state=2)
    assert not np.allclose(one.coefs_[0], other.coefs_[0])
    np.random.seed(0)
    first = fitted(dropout=0.5, random_state=None)
    np.random.seed(0)
    check_same(fitted(dropout=0.5, random_state=None), first, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_optimizers_by_name_take_the_rate(name: str) -> None:
    estimator = fitted(optimizer=name, max_iter=30)
    assert estimator.loss_ < estimator.loss_curve_[0]
    assert not np.allclose(fitted(optimizer=name, learning_rate_init=0.001).coefs_[0], fitted(optimizer=name).coefs_[0])


def test_an_optimizer_takes_the_place_of_the_solver() -> None:
    plain = fitted(solver="sgd", momentum=0.9, nesterovs_momentum=False, learning_rate_init=0.05)
    for solver in ("adam", "sgd", "lbfgs"):
        check_same(fitted(optimizer=SGD(0.05, momentum=0.9), solver=solver), plain, rtol=1e-9, atol=1e-12)
    plain = fitted(solver="adam", epsilon=1e-15, learning_rate_init=0.05)
    check_same(fitted(optimizer=Adam(0.05, epsilon=1e-15)), plain, rtol=1e-6, atol=1e-7)
    assert fitted(optimizer=RMSprop(0.01, clip_norm=1.0)).loss_ > 0.0


def test_an_optimizer_brings_partial_fit() -> None:
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    estimator = MLPClassifier((3,), solver="lbfgs", optimizer="adam", random_state=0)
    estimator.partial_fit(rows(), targets("binary"), classes=["no", "yes"])
    assert len(estimator.loss_curve_) == 1


class Half(schedules.Schedule):
    """A rate for six epochs, then 0."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def curve(self, epochs: Any, total_epochs: int) -> Any:
        return np.where(epochs < 6, self.rate, 0.0)


def test_a_constant_schedule_is_the_rate() -> None:
    for solver in ("sgd", "adam"):
        check_same(
            fitted(schedule=Half(0.01), max_iter=6, solver=solver),
            fitted(max_iter=6, solver=solver),
            rtol=0.0,
            atol=0.0,
        )


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_schedule_sets_the_rate_of_every_step(solver: str) -> None:
    """A rate that falls to 0 after half of the epochs leaves the weights of that half."""
    options: dict[str, Any] = {"solver": solver, "momentum": 0.0}
    half = fitted(max_iter=6, **options)
    scheduled = fitted(max_iter=12, schedule=Half(0.01), **options)
    check_same_weights(scheduled, half, rtol=1e-12, atol=1e-15)
    assert scheduled.n_iter_ == 12


def test_a_schedule_takes_the_place_of_the_optimizers_rate() -> None:
    schedule = schedules.Cosine(0.05)
    check_same(fitted(optimizer=SGD(9.0), schedule=schedule), fitted(optimizer=SGD(schedule)), rtol=0.0, atol=0.0)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_weights_of_classes_are_weights_of_rows(solver: str, kind: str) -> None:
    y = targets(kind)
    classes, counts = np.unique(y, return_counts=True)
    by_class = {label: float(n) for n, label in enumerate(classes, 1)}
    of_rows = np.array([by_class[label] for label in y])
    check_weights(kind, by_class, of_rows, solver)
    balanced = dict(zip(classes, len(y) / len(classes) / counts, strict=True))
    check_weights(kind, "balanced", np.array([balanced[label] for label in y]), solver)


def check_weights(kind: str, class_weight: Any, of_rows: np.ndarray, solver: str) -> None:
    """Compare ``class_weight`` with weights of the rows, and both with their product."""
    options: dict[str, Any] = {"solver": solver, "max_iter": 5}
    expected = fitted_pair(kind, sample_weight=of_rows, **options)[0]
    check_same(fitted(kind, class_weight=class_weight, **options), expected, rtol=1e-9, atol=1e-12)
    both = quietly(
        pair(kind, **options)[0].set_params(class_weight=class_weight).fit, rows(), targets(kind), sample_weight=of_rows
    )
    check_same(both, fitted_pair(kind, sample_weight=of_rows**2, **options)[0], rtol=1e-9, atol=1e-12)


def test_weights_of_classes_in_partial_fit() -> None:
    plain, weighted = (pair("binary", batch_size="auto")[0] for _ in range(2))
    weighted.set_params(class_weight={"yes": 3.0})
    y = targets("binary")
    for _ in range(2):
        weighted.partial_fit(rows(), y, classes=["no", "yes"])
        plain.partial_fit(rows(), y, np.where(y == "yes", 3.0, 1.0), ["no", "yes"])
    check_same(weighted, plain, rtol=0.0, atol=0.0)


class Watcher(Callback):
    """Keeps what it is told, and stops after the third epoch."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.records: list[dict[str, float]] = []
        self.models: list[Any] = []

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
        self.epochs.append(epoch)
        self.records.append(dict(record))
        self.models.append(model)
        return epoch == 2


@pytest.mark.parametrize("wrap", [lambda callback: callback, lambda callback: [callback]], ids=["one", "a list"])
def test_callbacks_see_the_sequential_and_can_stop(wrap: Any) -> None:
    watcher = Watcher()
    estimator = MLPClassifier((4,), random_state=0, callbacks=wrap(watcher))
    estimator.fit(rows(), targets("binary"), X_val=rows(), y_val=targets("binary"))  # no warning: it was stopped
    assert watcher.epochs == [0, 1, 2]
    assert estimator.n_iter_ == 3
    assert all(isinstance(model, Sequential) for model in watcher.models)
    assert [record["loss"] for record in watcher.records] == estimator.loss_curve_
    assert [record["val_loss"] for record in watcher.records] == estimator.validation_loss_curve_
    np.testing.assert_array_equal(watcher.models[-1].get_weights()[0], estimator.coefs_[0])


class Last(Callback):
    """Keeps the weights that there are at the end; may stop within the first epoch."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.at_once = at_once

    def on_chunk_end(self, model: Any, epoch: int, steps_done: int, steps_total: int, loss: float) -> bool:
        return self.at_once

    def on_train_end(self, model: Any, history: History) -> None:
        self.weights = model.get_weights()


def test_callbacks_see_the_best_weights_at_the_end() -> None:
    last = Last()
    estimator = MLPClassifier((4,), random_state=0, callbacks=last, early_stopping=True, learning_rate_init=0.3)
    estimator.fit(rows(), targets("binary"))
    assert np.argmax(estimator.validation_scores_) < estimator.n_iter_ - 1  # else there would be nothing to go back to
    np.testing.assert_array_equal(last.weights[0], estimator.coefs_[0])


def test_a_training_that_is_stopped_in_its_first_epoch_has_a_model_and_no_loss() -> None:
    estimator = MLPClassifier((4,), batch_size=2, random_state=0, callbacks=Last(at_once=True))
    estimator.fit(rows(), targets("binary"))
    assert (estimator.n_iter_, estimator.loss_curve_) == (0, [])
    assert np.isnan(estimator.loss_)
    assert len(estimator.predict(rows())) == len(rows())


@pytest.mark.parametrize("backend", ["cpu", "auto", get_backend("cpu")], ids=str)
def test_backends(backend: Any) -> None:
    check_same(fitted(backend=backend), fitted(backend="cpu"), rtol=0.0, atol=0.0)


def test_probabilities_too_small_to_be_told_have_logarithms() -> None:
    ours, theirs = fitted_pair("multiclass", max_iter=200, learning_rate_init=0.05)
    far = 1000.0 * rows()
    logs = ours.predict_log_proba(far)
    assert np.isfinite(logs).all()
    assert (ours.predict_proba(far) == 0.0).any()
    likely = theirs.predict_proba(far) > 1e-200
    np.testing.assert_allclose(logs[likely], np.log(theirs.predict_proba(far)[likely]), rtol=1e-5, atol=1e-9)
