"""Metrics: values known by hand or from scikit-learn, names, directions and refusals."""

import functools

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from accelnn.errors import ArgumentError, ArgumentTypeError, ShapeError
from accelnn.training.metrics import (
    METRICS,
    accuracy,
    binary_accuracy,
    higher_is_better,
    mae,
    mse,
    r2,
    resolve_metric,
    resolve_metrics,
    resolve_mode,
    rmse,
)

ROWS = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2], [0.0, 0.9, 0.1]], np.float32)


def test_accuracy_of_rows():
    labels = np.array([0, 2, 1, 1])  # the third row is a tie, which the first class wins
    assert accuracy(ROWS, labels) == 0.75
    assert accuracy(ROWS, labels.reshape(4, 1)) == 0.75
    assert accuracy(ROWS, labels.astype(np.uint8)) == 0.75
    assert accuracy(ROWS, np.eye(3)[labels]) == 0.75
    assert accuracy(ROWS, 0.8 * np.eye(3)[labels] + 0.1) == 0.75


@pytest.mark.parametrize("output_shape", [(4,), (4, 1)])
@pytest.mark.parametrize("target_shape", [(4,), (4, 1)])
def test_accuracy_of_one_column_is_cut_at_a_half(output_shape, target_shape):
    output = np.array([0.2, 0.5, 0.51, 0.9], np.float32).reshape(output_shape)
    target = np.array([0, 0, 1, 0]).reshape(target_shape)
    assert accuracy(output, target) == 0.75
    assert binary_accuracy(output, target) == 0.75


def test_binary_accuracy_counts_entries():
    output = np.array([[0.9, 0.8, 0.1], [0.4, 0.6, 0.5]])
    target = np.array([[1, 1, 0], [1, 0, 0]])
    assert binary_accuracy(output, target) == pytest.approx(4 / 6)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
def test_errors_agree_with_scikit_learn(shape):
    rng = np.random.default_rng(0)
    output, target = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape)
    assert mse(output, target) == pytest.approx(mean_squared_error(target, output), rel=1e-12)
    assert mae(output, target) == pytest.approx(mean_absolute_error(target, output), rel=1e-12)
    assert rmse(output, target) == pytest.approx(mean_squared_error(target, output) ** 0.5, rel=1e-12)
    assert r2(output, target) == pytest.approx(r2_score(target, output), rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_r2_of_a_constant_column_agrees_with_scikit_learn(offset):
    target = np.array([[1.0, 3.0], [2.0, 3.0], [4.0, 3.0]])
    output = np.array([[1.5, 3.0], [2.0, 3.0], [3.0, 3.0 + offset]])
    assert r2(output, target) == pytest.approx(r2_score(target, output), rel=1e-12)


def test_sums_do_not_depend_on_the_dtype_of_the_model():
    target = np.zeros(100_000, np.uint8)
    output = np.full(100_000, 1e-4, np.float32)
    assert mse(output, target) == pytest.approx(float(np.float32(1e-4)) ** 2, rel=1e-12)


def test_unsigned_targets_do_not_wrap_around():
    assert mae(np.array([0, 1], np.uint8), np.array([255, 255], np.uint8)) == 254.5


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_gives_a_python_float_and_keeps_its_inputs(name):
    output, target = np.array([0.25, 0.75], np.float32), np.array([0, 1])
    before = output.copy(), target.copy()
    assert type(METRICS[name](output, target)) is float
    np.testing.assert_array_equal(output, before[0])
    np.testing.assert_array_equal(target, before[1])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("output_shape", "target_shape"),
    [((4, 3), (5, 3)), ((4, 3), (4, 2)), ((0, 3), (0, 3)), ((4, 3, 1), (4, 3)), ((), ()), ((1, 1), (4, 1))],
)
def test_shapes_that_do_not_fit(name, output_shape, target_shape):
    with pytest.raises(ShapeError, match=r"output has shape .* and target .*: give "):
        METRICS[name](np.zeros(output_shape), np.zeros(target_shape))


@pytest.mark.parametrize("name", ["binary_accuracy", "mse", "mae", "rmse", "r2"])
def test_labels_are_not_broadcast_over_rows(name):
    with pytest.raises(ShapeError, match="give a target of the shape of the output"):
        METRICS[name](np.zeros((3, 3)), np.zeros(3))


def worst_error(output, target):
    return float(np.max(np.abs(output - target)))


def test_resolve_metric():
    assert resolve_metric("mae") == ("mae", mae)
    assert resolve_metric(worst_error) == ("worst_error", worst_error)


def test_resolve_metrics():
    assert resolve_metrics(None) == {}
    assert resolve_metrics("mae") == {"mae": mae}
    assert resolve_metrics(worst_error)["worst_error"].__wrapped__ is worst_error
    assert list(resolve_metrics(["mae", worst_error, "accuracy"])) == ["mae", "worst_error", "accuracy"]


def loss(output, target):
    return 0.0


def val_error(output, target):
    return 0.0


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["accurracy"], r"did you mean 'accuracy'\?"),
        (["mae", "mae"], "give every metric once"),
        ([lambda output, target: 0.0], "write it with def"),
        ([functools.partial(worst_error)], "write it with def"),
        ([loss], "is called 'loss': use another name"),
        ([val_error], "is called 'val_error': use another name"),
    ],
)
def test_metrics_that_cannot_be_used(specs, message):
    with pytest.raises(ArgumentError, match=message):
        resolve_metrics(specs)


@pytest.mark.parametrize("specs", [3, [None], [float]])
def test_metrics_of_the_wrong_type(specs):
    with pytest.raises(ArgumentTypeError, match=r"^metric is .*: use a function"):
        resolve_metrics(specs)


def test_directions():
    for name in (
        "accuracy",
        "val_accuracy",
        "val_binary_accuracy",
        "r2",
        "val_r2",
        "samples_per_s",
        "f1_score",
    ):
        assert higher_is_better(name)
    for name in ("loss", "val_loss", "mse", "val_rmse", "mae", "seconds", "worst_error"):
        assert not higher_is_better(name)
    for name in METRICS:
        assert higher_is_better(name) == (name in ("accuracy", "binary_accuracy", "r2"))


def test_modes():
    assert resolve_mode("precision", "max")
    assert not resolve_mode("precision", "min")
    assert resolve_mode("accuracy", "auto")
    assert not resolve_mode("accuracy", "min")


def test_directions_that_are_not_known():
    with pytest.raises(ArgumentError, match="say mode='max' or mode='min'"):
        resolve_mode("precision", "auto")
    with pytest.raises(ArgumentError, match=r"did you mean 'max'\?"):
        resolve_mode("accuracy", "maxi")
    with pytest.raises(ArgumentTypeError, match=r"^metric is 3"):
        higher_is_better(3)
