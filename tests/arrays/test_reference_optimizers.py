"""Optimizer updates against scikit-learn and against the papers' algorithms in plain Python floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.neural_network import _stochastic_optimizers as sklearn_optimizers

from accelnn.arrays import reference
from accelnn.arrays.reference import FLUSH, UPDATES

HYPER = {
    "sgd": [0.1],
    "momentum": [0.1, 0.9],
    "nesterov": [0.1, 0.9],
    "rmsprop": [0.01, 0.9, 1e-8],
    "accumulate": [0.25],
    "adam": [0.01 / (1 - 0.9), 0.9, 0.999, 1e-8, 1 / math.sqrt(1 - 0.999), 0.001],
}
N_STEPS = 25


def gradients(n=7, steps=N_STEPS):
    return np.random.default_rng(8).normal(size=(steps, n))


def run(name, space, grads, hypers):
    """Return the parameters after all updates, started at 1, 2, 3, ..."""
    formula = UPDATES[name]
    param = space.array(np.arange(1.0, grads.shape[1] + 1))
    moments = tuple(space.array(np.zeros(grads.shape[1])) for _ in range(formula.n_moments))
    for grad, hyper in zip(grads, hypers, strict=True):
        param, moments = space.call(formula.update, param, space.array(grad), moments, hyper)
        assert len(moments) == formula.n_moments
        assert all(m.dtype == space.dtype for m in moments)
    return space.host(param)


def adam_hypers(rate, decay, beta_1=0.9, beta_2=0.999, eps=1e-8):
    for t in range(1, N_STEPS + 1):
        yield [rate / (1 - beta_1**t), beta_1, beta_2, eps, 1 / math.sqrt(1 - beta_2**t), rate * decay]


def paper_adamw(p, grads, rate, decay):
    """Algorithm 2 of Loshchilov & Hutter (2019), one parameter; decay 0 is Kingma & Ba's algorithm 1."""
    m = v = 0.0
    for t, g in enumerate(grads, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        p -= rate * m_hat / (math.sqrt(v_hat) + 1e-8) + rate * decay * p
    return p


def paper_rmsprop(p, grads, rate, rho, eps):
    v = 0.0
    for g in grads:
        v = rho * v + (1 - rho) * g**2
        p -= rate * g / (math.sqrt(v) + eps)
    return p


@pytest.mark.parametrize(
    ("name", "momentum", "nesterov"), [("sgd", 0.0, False), ("momentum", 0.9, False), ("nesterov", 0.9, True)]
)
def test_sgd_equals_scikit_learn(space, name, momentum, nesterov):
    grads, theirs = gradients(), np.arange(1.0, 8.0)
    optimizer = sklearn_optimizers.SGDOptimizer([theirs], 0.1, "constant", momentum, nesterov)
    for grad in grads:
        optimizer.update_params([theirs], [grad])
    found = run(name, space, grads, [HYPER[name]] * N_STEPS)
    np.testing.assert_allclose(found, theirs, rtol=100 * space.eps, atol=100 * space.eps)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_and_adamw_equal_the_papers(space, decay):
    grads = gradients()
    expected = [paper_adamw(i + 1.0, grads[:, i], 0.05, decay) for i in range(grads.shape[1])]
    found = run("adam", space, grads, adam_hypers(0.05, decay))
    np.testing.assert_allclose(found, expected, rtol=100 * space.eps)


def test_adam_equals_scikit_learn_up_to_where_epsilon_stands(space):
    grads, theirs = gradients(), np.arange(1.0, 8.0)
    optimizer = sklearn_optimizers.AdamOptimizer([theirs], 0.05)
    for grad in grads:
        optimizer.update_params([theirs], [grad])
    found = run("adam", space, grads, adam_hypers(0.05, 0.0))
    np.testing.assert_allclose(found, theirs, rtol=1e-6)


def test_rmsprop_equals_its_definition(space):
    grads = gradients()
    expected = [paper_rmsprop(i + 1.0, grads[:, i], *HYPER["rmsprop"]) for i in range(grads.shape[1])]
    found = run("rmsprop", space, grads, [HYPER["rmsprop"]] * N_STEPS)
    np.testing.assert_allclose(found, expected, rtol=100 * space.eps)


@pytest.mark.parametrize("name", ["momentum", "nesterov", "rmsprop", "adam"])
def test_moments_become_zero_and_never_denormal(space, name):
    limit = FLUSH[space.name]
    moments = tuple(space.array([limit * 0.5, limit * 4, 1.0]) for _ in range(UPDATES[name].n_moments))
    zero = space.array(np.zeros(3))
    _, moments = UPDATES[name].update(zero, zero, moments, HYPER[name])
    for moment in moments:
        assert space.host(moment)[0] == 0
        assert np.all(space.host(moment)[1:] > limit)


@pytest.mark.parametrize("name", sorted(UPDATES))
def test_extreme_gradients_are_finite_and_silent(space, name):
    tiny = 1e-40 if space.name == "float32" else 1e-310
    grad = space.array([1e4, -1e4, 0.0, tiny, -tiny])
    moments = tuple(space.array(np.zeros(5)) for _ in range(UPDATES[name].n_moments))
    param, moments = UPDATES[name].update(grad, grad, moments, HYPER[name])
    for result in (param, *moments):
        assert np.all(np.isfinite(space.host(result)))


def test_penalty_and_its_gradient(space):
    rng = np.random.default_rng(9)
    p, g = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    p[0, 0] = 0.0
    value = space.call(reference.penalty, space.array(p), 0.3, 0.7)
    assert value.ndim == 0
    expected = 0.3 * np.abs(p).sum() + 0.35 * (p**2).sum()
    np.testing.assert_allclose(space.host(value), expected, rtol=20 * space.eps)
    found = space.call(reference.penalized_gradient, space.array(g), space.array(p), 0.3, 0.7)
    np.testing.assert_allclose(space.host(found), g + 0.7 * p + 0.3 * np.sign(p), rtol=1e-5, atol=1e-6)
    assert math.isclose(space.host(found)[0, 0], g[0, 0], rel_tol=1e-6)


def test_penalized_gradient_is_the_slope_of_the_penalty():
    p, v, h = np.array([0.5, -2.0, 3.0]), np.array([1.0, -0.4, 0.2]), 1e-6
    slope = (reference.penalty(p + h * v, 0.3, 0.7) - reference.penalty(p - h * v, 0.3, 0.7)) / (2 * h)
    np.testing.assert_allclose(np.sum(reference.penalized_gradient(0 * p, p, 0.3, 0.7) * v), slope, rtol=1e-8)


def test_clip_by_value(space):
    found = space.call(reference.clip_by_value, space.array([-1e4, -1.0, 0.0, 0.25, 1e4]), 0.5)
    assert np.array_equal(space.host(found), [-0.5, -0.5, 0.0, 0.25, 0.5])


def test_global_norm_and_clip_scale(space):
    parts = [space.array([[3.0, 0.0]]), space.array([4.0]), space.array([[12.0], [0.0]])]
    norm = reference.global_norm(parts)
    assert norm.ndim == 0
    assert space.host(norm) == 13
    scale = space.call(reference.clip_scale, norm, 6.5)
    assert scale.ndim == 0
    assert space.host(scale) == 0.5
    clipped = reference.global_norm([part * scale for part in parts])
    np.testing.assert_allclose(space.host(clipped), 6.5, rtol=4 * space.eps)
    assert space.host(reference.clip_scale(norm, 13.0)) == 1
    assert space.host(reference.clip_scale(norm, 1e6)) == 1


def test_a_gradient_of_zero_is_not_scaled(space):
    norm = reference.global_norm([space.array([0.0, 0.0])])
    assert space.host(reference.clip_scale(norm, 0.001)) == 1


def test_the_norm_of_large_gradients_does_not_overflow(space):
    norm = reference.global_norm([space.array([3e30, 4e30])])
    np.testing.assert_allclose(space.host(norm), 5e30, rtol=4 * space.eps)
