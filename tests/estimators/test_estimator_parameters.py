"""Parameters that change between two calls act in ``partial_fit`` and ``warm_start`` as those of scikit-learn do."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from accelnn import SGD, Adam, MLPRegressor, schedules
from accelnn.errors import AccelnnWarning, ParameterError
from accelnn.training.callbacks import Callback
from tests.estimators.oracle import N_ROWS, check_numbers, check_same_weights, pair, quietly, rows, targets

CHANGES: list[dict[str, Any]] = [
    {"activation": "logistic"},
    {"alpha": 10.0},
    {"batch_size": 5},
    {"beta_1": 0.1},
    {"beta_2": 0.1},
    {"epsilon": 0.1},
    {"learning_rate": "adaptive"},
    {"learning_rate": "invscaling"},
    {"learning_rate_init": 0.1},
    {"max_fun": 2},
    {"max_iter": 3},
    {"momentum": 0.1},
    {"n_iter_no_change": 1},
    {"nesterovs_momentum": False},
    {"power_t": 0.1},
    {"random_state": 8},
    {"shuffle": False},
    {"solver": "adam"},
    {"solver": "sgd"},
    {"tol": 10.0},
    {"validation_fraction": 0.3},
    {"verbose": True},
]
ADAPTIVE: dict[str, Any] = {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1}
INVSCALING: dict[str, Any] = {"solver": "sgd", "learning_rate": "invscaling"}
OF_RATES = ("learning_rate", "learning_rate_init", "n_iter_no_change", "power_t", "solver", "tol")
CASES = [
    *((start, change) for start in ({"solver": "adam"}, {"solver": "sgd"}) for change in CHANGES),
    *((start, change) for start in (ADAPTIVE, INVSCALING) for change in CHANGES if set(change) <= set(OF_RATES)),
]
KINDS = ("regression", "multiclass")


def fit(estimator: Any, kind: str, call: str = "fit", *, times: int = 1) -> None:
    """Call ``fit`` or ``partial_fit`` so often."""
    options = {"classes": np.unique(targets(kind))} if call == "partial_fit" and kind == "multiclass" else {}
    for _ in range(times):
        quietly(getattr(estimator, call), rows(), targets(kind), **options)


def changed_pair(kind: str, call: str, start: dict[str, Any], change: dict[str, Any], *, times: int = 2) -> Any:
    """Return both after a call with the parameters ``start`` and some with ``change``."""
    estimators = pair(kind, **{"activation": "tanh", "max_iter": 2, "warm_start": True} | start)
    for estimator in estimators:
        fit(estimator, kind, call)
        fit(estimator.set_params(**change), kind, call, times=times)
    return estimators


@pytest.mark.parametrize(("start", "change"), CASES, ids=str)
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_a_parameter_that_changes(call: str, start: dict[str, Any], change: dict[str, Any]) -> None:
    kind = KINDS[CHANGES.index(change) % 2]
    ours, theirs = changed_pair(kind, call, start, change)
    check_same_weights(ours, theirs)
    check_same_answers(ours, theirs)


def check_same_answers(ours: Any, theirs: Any) -> None:
    """Hold predictions to those of scikit-learn, also after a change that acts there at once."""
    for activation in (ours.activation, "identity"):
        for estimator in (ours, theirs):
            estimator.set_params(activation=activation)
        answers = [getattr(e, "predict_proba", e.predict)(rows(9, seed=1)) for e in (ours, theirs)]
        np.testing.assert_allclose(*answers, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("start", "change"),
    [
        ("sgd", {"solver": "lbfgs"}),
        ("adam", {"solver": "lbfgs"}),
        ("lbfgs", {"max_fun": 3}),
        ("lbfgs", {"max_iter": 3}),
        ("lbfgs", {"tol": 10.0}),
        ("lbfgs", {"alpha": 10.0}),
        ("lbfgs", {"activation": "logistic"}),
    ],
    ids=str,
)
def test_a_parameter_of_lbfgs_that_changes(kind: str, start: str, change: dict[str, Any]) -> None:
    ours, theirs = changed_pair(kind, "fit", {"solver": start}, change, times=1)
    check_same_weights(ours, theirs, rtol=1e-5, atol=1e-7)


CURVES: dict[str, Any] = {"loss_curve_": [], "_no_improvement_count": 0}
"""What scikit-learn sets in its first call only, so that it fails in the second one where other things are measured."""

WITHOUT: dict[str, Any] = CURVES | {"best_loss_": np.inf, "validation_scores_": None, "best_validation_score_": None}
WITH: dict[str, Any] = CURVES | {"best_loss_": None, "validation_scores_": [], "best_validation_score_": -np.inf}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("start", "change", "there"),
    [
        ({"solver": "lbfgs"}, {"solver": "sgd"}, WITHOUT),
        ({"solver": "lbfgs"}, {"solver": "adam"}, WITHOUT),
        ({"early_stopping": False}, {"early_stopping": True}, WITH),
        ({"early_stopping": False}, {"early_stopping": True, "validation_fraction": 0.4}, WITH),
        ({"early_stopping": True}, {"early_stopping": False}, WITHOUT),
    ],
    ids=str,
)
def test_what_scikit_learn_cannot_change_is_what_it_would_be(
    kind: str, start: dict[str, Any], change: dict[str, Any], there: dict[str, Any]
) -> None:
    ours, theirs = pair(kind, activation="tanh", max_iter=3, warm_start=True, **start)
    for estimator in (ours, theirs):
        fit(estimator, kind)
        estimator.set_params(**change)
    with pytest.raises((AttributeError, TypeError)):
        fit(pickle.loads(pickle.dumps(theirs)), kind)
    vars(theirs).update(pickle.loads(pickle.dumps(there)))
    for estimator in (ours, theirs):
        fit(estimator, kind)
    check_same_weights(ours, theirs, rtol=1e-5)


def test_the_rows_that_are_held_out_change() -> None:
    start = {"early_stopping": True, "learning_rate_init": 0.001, "activation": "identity"}
    ours, theirs = changed_pair("regression", "fit", start, {"validation_fraction": 0.4})
    check_numbers("validation_scores_", theirs.validation_scores_, ours.validation_scores_, rtol=1e-6)


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_other_widths_have_no_effect_and_another_number_of_layers_is_an_error(call: str) -> None:
    with pytest.warns(AccelnnWarning, match=r"hidden_layer_sizes=\[9, 9\] has no effect: .* belong to \[7, 5\]"):
        estimators = changed_pair("regression", call, {}, {"hidden_layer_sizes": (9, 9)})
    check_same_weights(*estimators)
    ours, theirs = (estimator.set_params(hidden_layer_sizes=(9,)) for estimator in estimators)
    np.testing.assert_allclose(ours.predict(rows()), theirs.predict(rows()))
    with pytest.raises(ParameterError, match=r"hidden_layer_sizes .*fit without warm_start"):
        fit(ours, "regression", call)
    with pytest.raises((TypeError, IndexError, ValueError)):
        fit(theirs, "regression", call)


def test_another_loss_has_its_own_gradient_behind_the_activation_that_there_is() -> None:
    ours = pair("counts", solver="sgd", momentum=0.0, batch_size=N_ROWS)[0]
    fit(ours, "counts", "partial_fit")
    before, outputs = ours.intercepts_[-1], ours.predict(rows())
    fit(ours.set_params(loss="squared_error"), "counts", "partial_fit")
    assert ours.out_activation_ == "exp"
    gradient = ((outputs - targets("counts")) * outputs).mean()
    np.testing.assert_allclose(before - ours.intercepts_[-1], ours.learning_rate_init * gradient)


def regressor(**parameters: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(7,), batch_size=16, max_iter=1, random_state=0, **parameters)


@pytest.mark.parametrize(
    "change", [{"optimizer": SGD(0.1, momentum=0.5)}, {"schedule": schedules.Cosine(0.1)}], ids=str
)
@pytest.mark.parametrize("start", [{}, {"optimizer": Adam(0.01)}, {"schedule": schedules.Constant(0.01)}], ids=str)
def test_another_optimizer_or_schedule_begins_anew_and_goes_on_from_then(start: Any, change: dict[str, Any]) -> None:
    ours, anew = regressor(**start), regressor(**start | change)
    fit(ours, "regression", "partial_fit", times=2)
    fit(anew, "regression", "partial_fit")
    anew.coefs_, anew.intercepts_ = ours.coefs_, ours.intercepts_
    anew._solver = None
    for times in (1, 2):
        fit(ours.set_params(**change), "regression", "partial_fit", times=times)
        fit(anew, "regression", "partial_fit", times=times)
        check_same_weights(ours, anew, rtol=0, atol=0)
    assert ours._solver.steps == 3 * 4


def test_dropout_acts_at_the_next_call_and_pickles_go_on_alike() -> None:
    plain, dropped, off = regressor(), regressor(), regressor(dropout=0.5)
    for estimator in (plain, dropped, off):
        fit(estimator, "regression", "partial_fit")
    off.coefs_, off.intercepts_, off._solver = plain.coefs_, plain.intercepts_, plain._solver
    loaded = pickle.loads(pickle.dumps(dropped.set_params(dropout=0.5)))
    for estimator in (plain, dropped, loaded, off.set_params(dropout=0.0)):
        fit(estimator, "regression", "partial_fit", times=2)
    check_same_weights(dropped, loaded, rtol=0, atol=0)
    check_same_weights(plain, off, rtol=0, atol=0)
    assert not np.allclose(plain.coefs_[0], dropped.coefs_[0])


class Epochs(Callback):
    def __init__(self) -> None:
        self.n = 0

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        self.n += 1


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_callbacks_and_weights_of_classes_act_at_the_next_call(call: str) -> None:
    ours, theirs = pair("binary", max_iter=1, warm_start=True, activation="tanh")
    weights, epochs = np.where(targets("binary") == "yes", 5.0, 1.0), Epochs()
    for estimator, sample_weight in ((ours, None), (theirs, weights)):
        options = {"classes": ["no", "yes"]} if call == "partial_fit" else {}
        quietly(getattr(estimator, call), rows(), targets("binary"), **options)
        if estimator is ours:
            ours.set_params(class_weight={"yes": 5.0}, callbacks=[epochs])
        quietly(getattr(estimator, call), rows(), targets("binary"), sample_weight=sample_weight)
    check_same_weights(ours, theirs)
    assert epochs.n == 1
