"""What estimators print and warn of, and how Ctrl-C ends them: as scikit-learn's."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from accelnn import Callback, MLPClassifier, MLPRegressor
from accelnn.errors import AccelnnWarning
from tests.estimators.oracle import fitted_pair, pair, quietly, rows, targets

PRINTING: list[dict[str, Any]] = [
    {"max_iter": 4},
    {"max_iter": 4, "early_stopping": True, "validation_fraction": 0.2},
    {"max_iter": 50, "tol": 1.0, "n_iter_no_change": 2},
    {"max_iter": 50, "tol": 1.0, "n_iter_no_change": 2, "early_stopping": True, "validation_fraction": 0.2},
    {"max_iter": 90, "solver": "sgd", "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 2},
]


@pytest.mark.parametrize("parameters", PRINTING, ids=str)
def test_lines_of_verbose_are_the_same(parameters: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for estimator in pair("multiclass", activation="tanh", verbose=True, **parameters):
        quietly(estimator.fit, rows(), targets("multiclass"))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


def test_lbfgs_prints_its_iterations(capsys: pytest.CaptureFixture[str]) -> None:
    quietly(pair("multiclass", solver="lbfgs", verbose=True, max_iter=3)[0].fit, rows(), targets("multiclass"))
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"Iteration {n}" for n in (1, 2, 3)
    ]


def test_nothing_is_printed_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    fitted_pair("multiclass")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_the_end_of_the_epochs_is_a_warning_of_the_same_words() -> None:
    messages = []
    for estimator in pair("multiclass", max_iter=3):
        with pytest.warns(ConvergenceWarning) as caught:
            estimator.fit(rows(), targets("multiclass"))
        messages.append(str(caught[0].message))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor()], ids=["classifier", "regressor"])
def test_a_training_that_has_ended_does_not_warn(estimator: Any) -> None:
    kind = "binary" if isinstance(estimator, MLPClassifier) else "regression"
    estimator.set_params(max_iter=500, tol=1.0, n_iter_no_change=2).fit(rows(), targets(kind))
    assert estimator.n_iter_ < 500


def test_a_batch_larger_than_the_data_is_clipped_with_a_warning() -> None:
    for estimator in pair("multiclass", batch_size=1000, max_iter=2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            with pytest.warns(UserWarning, match="Got `batch_size`"):
                estimator.fit(rows(), targets("multiclass"))
    assert estimator.t_ == 2 * len(rows())


@pytest.mark.parametrize(
    "parameters", [{"max_iter": 2}, {"max_iter": 2, "solver": "lbfgs"}, {"batch_size": 1000, "tol": 9.0}], ids=str
)
def test_warnings_name_the_users_line(parameters: dict[str, Any]) -> None:
    with pytest.warns((ConvergenceWarning, AccelnnWarning)) as caught:
        pair("multiclass", **{"n_iter_no_change": 1} | parameters)[0].fit(rows(), targets("multiclass"))
    assert {warning.filename for warning in caught} == {__file__}


class Interrupt(Callback):
    """Presses Ctrl-C after the third epoch."""

    def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_leaves_a_usable_estimator(early_stopping: bool) -> None:
    estimator = MLPClassifier((5,), random_state=0, callbacks=Interrupt(), early_stopping=early_stopping)
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.fit(rows(), targets("multiclass"))
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 3
    assert estimator.predict(rows()).shape == (len(rows()),)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "score"])
def test_methods_before_fit(method: str) -> None:
    for estimator in pair("multiclass"):
        arguments = (rows(), targets("multiclass"))[: 2 if method == "score" else 1]
        with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
            getattr(estimator, method)(*arguments)
