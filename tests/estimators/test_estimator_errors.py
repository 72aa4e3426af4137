"""Wrong arguments: the estimator and the parameter are named, what was seen, and what to do; as ValueError too.

scikit-learn raises ``InvalidParameterError``, a ValueError that is a TypeError too, so either can be caught.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import neural_network

from accelnn import MLPClassifier, MLPRegressor
from accelnn.errors import ArgumentError, DivergenceError, ParameterError, ShapeError
from tests.estimators.oracle import fitted_pair, quietly, rows, targets

# parameter, value, what is said of the value, what to do. scikit-learn refuses all of these too.
SHARED: list[tuple[str, Any, str, str]] = [
    ("hidden_layer_sizes", 0, "0", "integer >= 1"),
    ("hidden_layer_sizes", (10, -3), "-3", "integer >= 1"),
    ("hidden_layer_sizes", (10, 2.5), "2.5", "integer >= 1"),
    ("hidden_layer_sizes", "100", "'100' of type str", "an integer >= 1 or a tuple of such"),
    ("hidden_layer_sizes", None, "None of type NoneType", "an integer >= 1 or a tuple of such"),
    ("activation", "rellu", "'rellu'", "did you mean 'relu'?"),
    ("activation", "softmax", "'softmax'", "known names are"),
    ("activation", None, "None of type NoneType", "use one of"),
    ("solver", "adams", "'adams'", "did you mean 'adam'?"),
    ("solver", 3, "3 of type int", "use one of 'lbfgs', 'sgd', 'adam'"),
    ("alpha", -0.1, "-0.1", ">= 0"),
    ("alpha", float("nan"), "nan", "finite"),
    ("alpha", "0.1", "'0.1' of type str", "number"),
    ("batch_size", 0, "0", "integer >= 1"),
    ("batch_size", "all", "'all'", "known names are auto"),
    ("batch_size", 20.0, "20.0", "integer"),
    ("learning_rate", "adaptiv", "'adaptiv'", "did you mean 'adaptive'?"),
    ("learning_rate", 0.1, "0.1 of type float", "use one of 'constant', 'invscaling', 'adaptive'"),
    ("learning_rate_init", 0.0, "0.0", "> 0"),
    ("learning_rate_init", -1, "-1", "> 0"),
    ("learning_rate_init", "fast", "'fast' of type str", "number"),
    ("power_t", -0.5, "-0.5", ">= 0"),
    ("max_iter", 0, "0", "integer >= 1"),
    ("max_iter", 10.5, "10.5", "integer"),
    ("shuffle", "yes", "'yes'", "True or False"),
    ("random_state", "seed", "'seed' of type str", "an integer >= 0, a numpy.random.RandomState or None"),
    ("random_state", -1, "-1", "an integer >= 0, a numpy.random.RandomState or None"),
    ("tol", -1e-4, "-0.0001", ">= 0"),
    ("verbose", -1, "-1", ">= 0"),
    ("warm_start", "no", "'no'", "True or False"),
    ("momentum", 1.1, "1.1", "<= 1"),
    ("momentum", -0.1, "-0.1", ">= 0"),
    ("nesterovs_momentum", "True", "'True'", "True or False"),
    ("early_stopping", None, "None", "True or False"),
    ("validation_fraction", 1.0, "1.0", "< 1"),
    ("validation_fraction", -0.1, "-0.1", ">= 0"),
    ("beta_1", 1.0, "1.0", "< 1"),
    ("beta_2", -0.1, "-0.1", ">= 0"),
    ("epsilon", 0.0, "0.0", ">= 1e-15"),
    ("n_iter_no_change", 0, "0", "integer >= 1"),
    ("n_iter_no_change", float("-inf"), "-inf", "integer"),
    ("max_fun", 0, "0", "integer >= 1"),
]

OWN: list[tuple[str, Any, str, str]] = [
    ("activation", ("tanh",), "('tanh',)", "one for each of the 2 hidden layers"),
    ("activation", ("tanh", "thanh"), "'thanh'", "did you mean 'tanh'?"),
    ("backend", "gpu", "'gpu'", "cuda"),
    ("backend", 3, "3", "use"),
    ("dtype", "float16", "'float16'", "float32, float64"),
    ("dtype", np.float32, "float32", "use one of 'float32', 'float64'"),
    ("dropout", 1.0, "1.0", "< 1"),
    ("dropout", (0.1, 0.2, 0.3), "(0.1, 0.2, 0.3)", "one for each of the 2 hidden layers"),
    ("dropout", (0.1, -0.2), "-0.2", ">= 0"),
    ("dropout", "some", "'some'", "number"),
    ("optimizer", "adams", "'adams'", "did you mean 'adam'?"),
    ("optimizer", 3, "3", "use"),
    ("schedule", "cosine", "'cosine' of type str", "schedules.Cosine"),
    ("schedule", 0.1, "0.1 of type float", "schedules.Cosine"),
    ("callbacks", 3.5, "3.5", "EarlyStopping()"),
    ("callbacks", [3], "3", "EarlyStopping()"),
]

CLASSIFIER: list[tuple[str, Any, str, str]] = [
    ("class_weight", "balance", "'balance'", "did you mean 'balanced'?"),
    ("class_weight", 3.0, "3.0 of type float", "a dict such as"),
    ("class_weight", [3], "[3] of type list", "a dict such as"),
    ("class_weight", {"yes": -1.0}, "class_weight['yes'] is -1.0", "a finite number >= 0"),
]

REGRESSOR: list[tuple[str, Any, str, str]] = [
    ("loss", "squared", "'squared'", "did you mean 'squared_error'?"),
    ("loss", (5,), "(5,) of type tuple", "use one of 'squared_error'"),
]

CASES = [
    (estimator, *case)
    for estimator, own in ((MLPClassifier, CLASSIFIER), (MLPRegressor, REGRESSOR))
    for case in (*SHARED, *OWN, *own)
]


def estimator_with(new: Any, name: str, value: Any) -> Any:
    """Return a new estimator with two hidden layers and this parameter."""
    return new(**{"hidden_layer_sizes": (4, 3), "max_iter": 1, name: value})


@pytest.mark.parametrize(
    ("new", "name", "value", "seen", "advice"), CASES, ids=[f"{new.__name__}-{n}-{v}" for new, n, v, _, _ in CASES]
)
def test_parameters(new: Any, name: str, value: Any, seen: str, advice: str) -> None:
    estimator = estimator_with(new, name, value)
    y = targets("binary" if new is MLPClassifier else "regression")
    for method in (estimator.fit, estimator.partial_fit if hasattr(estimator, "partial_fit") else estimator.fit):
        with pytest.raises(ParameterError) as caught:
            method(rows(), y)
        message = str(caught.value)
        assert message.startswith(f"{new.__name__}: {name}")
        assert seen in message
        assert advice in message
        assert "\n" not in message
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, TypeError)
    assert not hasattr(estimator, "coefs_")


@pytest.mark.parametrize(("name", "value"), [case[:2] for case in SHARED], ids=str)
def test_scikit_learn_refuses_them_too(name: str, value: Any) -> None:
    if name == "hidden_layer_sizes" and value in ("100", None, (10, 2.5)):
        return  # fails later there, with an error of another library
    if (name, value) == ("verbose", "-1") or (name == "alpha" and value != value):
        return  # is let in there
    with pytest.raises(ValueError, match=r"."):
        estimator_with(neural_network.MLPClassifier, name, value).fit(rows(), targets("binary"))


ALLOWED: list[tuple[str, Any]] = [
    ("n_iter_no_change", float("inf")),
    ("momentum", 1.0),
    ("momentum", 0),
    ("max_iter", np.int64(2)),
    ("alpha", np.float32(0.5)),
    ("alpha", 0),
    ("shuffle", np.True_),
    ("verbose", 0),
    ("verbose", np.False_),
    ("batch_size", np.int32(7)),
    ("hidden_layer_sizes", np.array([3, 2])),
    ("hidden_layer_sizes", [np.int64(3)]),
    ("tol", 0),
    ("power_t", 0.0),
    ("beta_1", 0),
    ("random_state", np.int64(3)),
]


@pytest.mark.parametrize(("name", "value"), ALLOWED, ids=str)
def test_what_scikit_learn_takes_is_taken(name: str, value: Any) -> None:
    fitted_pair("multiclass", **{"max_iter": 2, "solver": "sgd", name: value})


def test_a_width_in_an_array_without_dimensions_is_taken_too() -> None:
    array, number = (fitted_pair("binary", max_iter=1, hidden_layer_sizes=(4,))[0] for _ in range(2))
    for estimator, width in ((array, np.array(5)), (number, 5)):
        estimator.set_params(hidden_layer_sizes=width)
        quietly(estimator.fit, rows(), targets("binary"))
    np.testing.assert_array_equal(array.coefs_[0], number.coefs_[0])


X, Y = rows(), targets("binary")
NUMBERS = targets("regression")

CALLS: dict[str, tuple[Any, str]] = {
    "no features": (lambda: MLPClassifier().fit(np.zeros((53, 0)), Y), "0 feature"),
    "no rows": (lambda: MLPClassifier().fit(np.zeros((0, 6)), []), "0 sample"),
    "one dimension": (lambda: MLPClassifier().fit(X[:, 0], Y), "Expected 2D array, got 1D array"),
    "lengths": (lambda: MLPClassifier().fit(X[:5], Y), "inconsistent numbers of samples"),
    "NaN": (lambda: MLPClassifier().fit(np.where(X > 2, np.nan, X), Y), "Input X contains NaN"),
    "infinity": (lambda: MLPRegressor().fit(np.where(X > 2, np.inf, X), NUMBERS), "Input X contains infinity"),
    "no y": (lambda: MLPClassifier().fit(X, None), "requires y to be passed"),
    "text in X": (lambda: MLPRegressor().fit(np.full((53, 2), "a"), NUMBERS), "Convert your data to numeric values"),
    "weights below 0": (
        lambda: MLPRegressor().fit(X, NUMBERS, -np.ones(53)),
        "Negative values in data passed to `samp",
    ),
    "too few weights": (lambda: MLPRegressor().fit(X, NUMBERS, np.ones(3)), "sample_weight.shape"),
    "weights all 0": (lambda: MLPRegressor().fit(X, NUMBERS, np.zeros(53)), "at least one non-zero number"),
    "classes all 0": (
        lambda: MLPClassifier(class_weight={"yes": 0.0, "no": 0.0}).fit(X, Y),
        "0 for every row",
    ),
    "NaN in weights": (lambda: MLPRegressor().fit(X, NUMBERS, np.full(53, np.nan)), "Input sample_weight contains NaN"),
    "class_weight of unknown labels": (
        lambda: MLPClassifier(class_weight={"maybe": 2.0}).fit(X, Y),
        "class",
    ),
    "balanced and partial_fit": (
        lambda: MLPClassifier(class_weight="balanced").partial_fit(X, Y, classes=["no", "yes"]),
        "class_weight is 'balanced': partial_fit sees a part of the data; give a dict of weights",
    ),
    "dropout and lbfgs": (
        lambda: MLPRegressor(solver="lbfgs", dropout=0.1).fit(X, NUMBERS),
        "dropout is 0.1: leave it out with solver='lbfgs'",
    ),
    "labels of no class": (lambda: fitted_pair("binary")[0].partial_fit(X[:1], ["maybe"]), "classes not in"),
    "another number of outputs": (
        lambda: fitted_pair("regression")[0].partial_fit(X, targets("multi-output")),
        "use 1, as before",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_data(name: str) -> None:
    call, words = CALLS[name]
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_training_that_explodes(solver: str) -> None:
    estimator = MLPRegressor(solver=solver, learning_rate_init=1e150, activation="identity", random_state=0)
    with pytest.raises(ValueError, match=r"loss is|non-finite") as caught:  # as in scikit-learn
        estimator.fit(1e10 * X, NUMBERS)
    assert isinstance(caught.value, (DivergenceError, ArgumentError))
    assert not hasattr(estimator, "coefs_")


def test_weights_that_do_not_belong_to_the_network() -> None:
    estimator = fitted_pair("multiclass", max_iter=2)[0]
    estimator.coefs_[0] = estimator.coefs_[0][:, :-1]
    with pytest.raises(ShapeError, match="coefs_ and intercepts_ have shapes"):
        estimator.predict(rows())
