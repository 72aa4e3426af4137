"""Losses against scikit-learn and SciPy, gradients against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import sklearn.metrics

from accelnn.arrays import reference
from accelnn.arrays.reference import LOSSES, loss_and_gradient
from accelnn.errors import ArgumentError, ArgumentTypeError, ShapeError

NAMES = sorted(LOSSES)
RNG_SHAPE = (6, 4)


def a_batch(name, shape=RNG_SHAPE, seed=0):
    """Return an output, a fitting target and weights, in float64."""
    rng = np.random.default_rng(seed)
    output = rng.normal(scale=1.5, size=shape)
    if name == "cross_entropy":
        target = scipy.special.softmax(rng.normal(size=shape), axis=1)
    elif name == "binary_cross_entropy":
        target = rng.integers(0, 2, size=shape).astype(float)
    elif name == "poisson":
        target = rng.poisson(2.0, size=shape).astype(float)
    else:
        target = rng.normal(scale=1.5, size=shape)
    return output, target, rng.uniform(0.1, 2.0, size=shape[0])


def expected_rows(name, output, target):
    error = output - target
    return {
        "cross_entropy": lambda: -np.sum(target * scipy.special.log_softmax(output, axis=1), axis=1),
        "binary_cross_entropy": lambda: (
            -np.sum(
                target * scipy.special.log_expit(output) + (1 - target) * scipy.special.log_expit(-output),
                axis=1,
            )
        ),
        "poisson": lambda: np.mean(np.exp(output) - target * output, axis=1),
        "mse": lambda: np.mean(error**2, axis=1),
        "sse": lambda: np.sum(error**2, axis=1),
        "mae": lambda: np.mean(np.abs(error), axis=1),
        "huber": lambda: np.mean(scipy.special.huber(1.0, error), axis=1),
    }[name]()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [False, True])
def test_value_on_every_library(space, name, weighted):
    output, target, weight = a_batch(name)
    weight = weight if weighted else None
    rows = expected_rows(name, output, target)
    expected = np.sum(rows if weight is None else rows * weight)
    if LOSSES[name].reduction == "mean":
        expected = np.average(rows, weights=weight)
    loss, gradient = space.call(
        loss_and_gradient,
        name,
        space.array(output),
        space.array(target),
        None if weight is None else space.array(weight),
    )
    assert loss.ndim == 0
    assert gradient.shape == output.shape
    np.testing.assert_allclose(space.host(loss), expected, rtol=20 * space.eps)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (3, 4)])
def test_every_element_of_the_gradient_is_a_slope(name, weighted, shape):
    output, target, weight = a_batch(name, shape, seed=1)
    weight = weight if weighted else None
    gradient = loss_and_gradient(name, output, target, weight)[1]
    slopes, h = np.empty(shape), 1e-6
    for where in np.ndindex(shape):
        step = np.zeros(shape)
        step[where] = h
        up = loss_and_gradient(name, output + step, target, weight)[0]
        down = loss_and_gradient(name, output - step, target, weight)[0]
        slopes[where] = (up - down) / (2 * h)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_on_every_library(space, name):
    output, target, weight = a_batch(name)
    expected = loss_and_gradient(name, output, target, weight)[1]
    gradient = loss_and_gradient(name, space.array(output), space.array(target), space.array(weight))[1]
    np.testing.assert_allclose(space.host(gradient), expected, rtol=1e3 * space.eps, atol=20 * space.eps)


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].fused_activation])
def test_the_loss_of_a_pair_is_differentiated_through_its_activation(name):
    """The gradient from scores equals activation_gradient of the loss's own slope in the activation."""
    activation = LOSSES[name].fused_activation
    z, y, _ = a_batch(name, seed=2)
    a = reference.ACTIVATIONS[activation](z)
    da = {"softmax": -y / a, "sigmoid": (a - y) / (a * (1 - a)), "exponential": (1 - y / a) / a.shape[1]}
    dz, _ = reference.activation_gradient(da[activation] / len(z), z, a, activation)
    np.testing.assert_allclose(loss_and_gradient(name, z, y)[1], dz, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_mean_losses_equal_scikit_learn(weighted):
    z, _, weight = a_batch("cross_entropy", (40, 5))
    weight = weight if weighted else None
    labels = np.random.default_rng(3).integers(0, 5, size=40)
    theirs = sklearn.metrics.log_loss(labels, scipy.special.softmax(z, axis=1), sample_weight=weight, labels=range(5))
    np.testing.assert_allclose(loss_and_gradient("cross_entropy", z, labels, weight)[0], theirs, rtol=1e-12)
    for name, metric in (
        ("mse", sklearn.metrics.mean_squared_error),
        ("mae", sklearn.metrics.mean_absolute_error),
    ):
        a, y, _ = a_batch(name, (40, 5))
        theirs = metric(y, a, sample_weight=weight)
        np.testing.assert_allclose(loss_and_gradient(name, a, y, weight)[0], theirs, rtol=1e-12)


@pytest.mark.parametrize("kind", ["int8", "int64", "uint8"])
def test_labels_equal_one_hot_rows(space, kind):
    z, _, _ = a_batch("cross_entropy")
    labels = np.array([0, 3, 1, 2, 3, 0])
    by_label = loss_and_gradient("cross_entropy", space.array(z), space.array(labels, getattr(space.xp, kind)))
    by_row = loss_and_gradient("cross_entropy", space.array(z), space.array(np.eye(4)[labels]))
    for mine, theirs in zip(by_label, by_row, strict=True):
        assert np.array_equal(space.host(mine), space.host(theirs))


def test_labels_beyond_the_range_of_a_small_dtype():
    z = np.random.default_rng(4).normal(size=(2, 300))
    labels = np.array([7, 255], dtype=np.uint8)
    loss, gradient = loss_and_gradient("cross_entropy", z, labels)
    np.testing.assert_allclose(loss, -np.mean(scipy.special.log_softmax(z, axis=1)[[0, 1], labels]))
    assert np.array_equal(np.argmin(gradient, axis=1), labels)


@pytest.mark.parametrize("name", NAMES)
def test_extremes_are_finite_and_silent(space, name):
    tiny = 1e-40 if space.name == "float32" else 1e-310
    output = space.array([[1e4, -1e4, 0.0], [tiny, -tiny, 0.0], [-1e4, -1e4, -1e4]])
    target = space.array([[0.0, 1.0, 0.0], [tiny, 0.0, 1.0], [0.0, 0.0, 1.0]])
    for weight in (None, space.array([0.5, 2.0, 1.0])):
        loss, gradient = loss_and_gradient(name, output, target, weight)
        if name == "poisson":  # e^10000 is infinite, and says so
            assert space.host(loss) == np.inf
            assert not np.any(np.isnan(space.host(gradient)))
            continue
        assert np.all(np.isfinite(space.host(gradient)))
        assert np.isfinite(space.host(loss))
        assert space.host(loss) >= 0


def test_extreme_scores_have_their_exact_loss(space):
    z = space.array([[1e4, -1e4], [-1e4, 1e4]])
    loss, gradient = loss_and_gradient("cross_entropy", z, space.array([1, 1], space.xp.int64))
    assert space.host(loss) == 1e4
    assert np.array_equal(space.host(gradient), [[0.5, -0.5], [0.0, 0.0]])
    loss, gradient = loss_and_gradient("binary_cross_entropy", z, space.array([[0.0, 1.0], [0.0, 1.0]]))
    assert space.host(loss) == 1e4
    assert np.array_equal(space.host(gradient), [[0.5, -0.5], [0.0, 0.0]])


@pytest.mark.parametrize("name", NAMES)
def test_a_row_without_weight_does_not_count(space, name):
    output, target, _ = a_batch(name)
    mask = np.array([1.0, 0, 1, 1, 0, 1])
    loss, gradient = loss_and_gradient(name, space.array(output), space.array(target), space.array(mask))
    kept = mask > 0
    expected = loss_and_gradient(name, space.array(output[kept]), space.array(target[kept]))
    np.testing.assert_allclose(space.host(loss), space.host(expected[0]), rtol=20 * space.eps)
    np.testing.assert_allclose(space.host(gradient)[kept], space.host(expected[1]), rtol=20 * space.eps)
    assert np.all(space.host(gradient)[~kept] == 0)


@pytest.mark.parametrize("name", NAMES)
def test_no_weight_at_all_is_no_loss(space, name):
    output, target, weight = a_batch(name)
    loss, gradient = loss_and_gradient(name, space.array(output), space.array(target), space.array(0 * weight))
    assert space.host(loss) == 0
    assert np.all(space.host(gradient) == 0)


def test_rows_that_sum_to_another_number_than_one_keep_an_exact_gradient():
    z, y, _ = a_batch("cross_entropy")
    twice = loss_and_gradient("cross_entropy", z, 2 * y)
    once = loss_and_gradient("cross_entropy", z, y)
    for mine, theirs in zip(twice, once, strict=True):
        np.testing.assert_allclose(mine, 2 * theirs, rtol=1e-12, atol=1e-15)


def test_mae_has_no_slope_without_error(space):
    y = space.array([[1.0, -2.0]])
    loss, gradient = loss_and_gradient("mae", y, y)
    assert space.host(loss) == 0
    assert np.all(space.host(gradient) == 0)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cross_entropy"])
def test_targets_of_one_output_may_be_flat_and_of_another_dtype(name):
    output, target, _ = a_batch(name, (5, 1))
    target = np.round(target)
    flat = loss_and_gradient(name, output, target[:, 0].astype(np.int32))
    rows = loss_and_gradient(name, output, target)
    for mine, theirs in zip(flat, rows, strict=True):
        assert np.array_equal(mine, theirs)


def test_non_contiguous_inputs():
    for name in NAMES:
        output, target, weight = a_batch(name, (8, 6))
        strided = loss_and_gradient(name, output[::2, ::-2], target[::2, ::-2], weight[::2])
        plain = loss_and_gradient(name, output[::2, ::-2].copy(), target[::2, ::-2].copy(), weight[::2].copy())
        for mine, theirs in zip(strided, plain, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_would_broadcast_is_an_error(name):
    shape = (3, 1) if name == "cross_entropy" else (3,)
    with pytest.raises(ShapeError, match="target has shape"):
        loss_and_gradient(name, np.zeros((3, 3)), np.zeros(shape))


def test_bad_arguments_are_named():
    with pytest.raises(ArgumentError, match="did you mean 'cross_entropy'"):
        loss_and_gradient("crossentropy", np.zeros((1, 1)), np.zeros(1))
    with pytest.raises(ArgumentTypeError, match=r"backend\.asarray"):
        loss_and_gradient("mse", np.zeros((1, 1)), [[0.0]])
