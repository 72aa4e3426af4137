"""Optimizers: their tables drive the reference updates to the results of independent implementations."""

import math

import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from accelnn.arrays.reference.optimizers import UPDATES
from accelnn.errors import ArgumentError, ArgumentTypeError, ShapeError
from accelnn.training.optimizers import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    resolve_optimizer,
)
from accelnn.training.schedules import Constant, Cosine

N_STEPS = 40


def gradients(n=7, seed=0):
    """Gradients of very different size, with exact zeros."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(N_STEPS, n)) * 10.0 ** np.arange(-3, n - 3)
    g[:, 2] = 0.0
    return g


def follow(optimizer, grads, rates=None):
    """Return the parameters after every step of the reference update, all starting at 1."""
    steps = np.arange(len(grads))
    rates = np.full(len(grads), optimizer.learning_rate) if rates is None else rates
    param = np.ones(grads.shape[1])
    moments = tuple(np.zeros_like(param) for _ in range(optimizer.n_moments))
    path = []
    for grad, hyper in zip(grads, optimizer.hyper(steps, rates).tolist(), strict=True):
        param, moments = UPDATES[optimizer.update_name].update(param, grad, moments, hyper)
        path.append(param)
    return np.array(path)


def follow_sklearn(optimizer, params, grads):
    path = []
    for grad in grads:
        optimizer.update_params(params, [grad])
        path.append(params[0].copy())
    return np.array(path)


def adam_of_the_paper(grads, rates, beta_1, beta_2, epsilon, weight_decay=0.0):
    """Algorithm 1 of Kingma & Ba, line by line; with the decay of algorithm 2 of Loshchilov & Hutter."""
    theta = np.ones(grads.shape[1])
    m = v = np.zeros_like(theta)
    path = []
    for t, (g, alpha) in enumerate(zip(grads, rates, strict=True), start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        m_hat = m / (1 - beta_1**t)
        v_hat = v / (1 - beta_2**t)
        theta = theta - alpha * (m_hat / (np.sqrt(v_hat) + epsilon) + weight_decay * theta)
        path.append(theta)
    return np.array(path)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True), (0.5, True)])
def test_sgd_goes_where_scikit_learn_goes(momentum, nesterov):
    grads = gradients()
    params = [np.ones(grads.shape[1])]
    theirs = SGDOptimizer(params, learning_rate_init=0.03, momentum=momentum, nesterov=nesterov)
    ours = follow(SGD(0.03, momentum, nesterov), grads)
    np.testing.assert_allclose(ours, follow_sklearn(theirs, params, grads), rtol=1e-12, atol=1e-12)


def test_adam_goes_where_scikit_learn_goes():
    # scikit-learn folds the root of the correction into the learning rate, so its epsilon differs from the
    # one of algorithm 1: with a tiny epsilon both are the same.
    grads = gradients()
    params = [np.ones(grads.shape[1])]
    theirs = AdamOptimizer(params, learning_rate_init=0.01, epsilon=1e-15)
    ours = follow(Adam(0.01, epsilon=1e-15), grads)
    np.testing.assert_allclose(ours, follow_sklearn(theirs, params, grads), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("epsilon", [1e-8, 0.1])
def test_adam_is_the_algorithm_of_the_paper(epsilon):
    grads = gradients()
    rates = Cosine(0.02).rates(np.arange(N_STEPS) / 10, 4)
    ours = follow(Adam(beta_1=0.8, beta_2=0.95, epsilon=epsilon), grads, rates)
    np.testing.assert_allclose(ours, adam_of_the_paper(grads, rates, 0.8, 0.95, epsilon), rtol=1e-11, atol=1e-13)


def test_adamw_decays_by_learning_rate_times_weight_decay():
    grads = gradients()
    rates = Cosine(0.02).rates(np.arange(N_STEPS) / 10, 4)
    ours = follow(AdamW(weight_decay=0.3), grads, rates)
    paper = adam_of_the_paper(grads, rates, 0.9, 0.999, 1e-8, weight_decay=0.3)
    np.testing.assert_allclose(ours, paper, rtol=1e-11, atol=1e-13)
    # A parameter without a gradient only decays.
    np.testing.assert_allclose(ours[:, 2], np.cumprod(1 - 0.3 * rates), rtol=1e-13)


def test_adamw_without_decay_is_adam():
    grads = gradients()
    np.testing.assert_array_equal(follow(AdamW(weight_decay=0), grads), follow(Adam(), grads))


def test_adam_moves_by_the_learning_rate_in_its_first_step():
    path = follow(Adam(0.25, epsilon=1e-15), np.array([[5.0, -1e-3, 1e6]]))
    np.testing.assert_allclose(path[0], [0.75, 1.25, 0.75], rtol=1e-9)


def test_rmsprop_is_hinton_s_formula():
    grads = gradients()
    square, theta, path = np.zeros(grads.shape[1]), np.ones(grads.shape[1]), []
    for g in grads:
        square = 0.8 * square + 0.2 * g**2
        theta = theta - 0.01 * g / (np.sqrt(square) + 1e-6)
        path.append(theta)
    np.testing.assert_allclose(follow(RMSprop(0.01, 0.8, 1e-6), grads), path, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_table_fits_the_formula(name):
    optimizer = OPTIMIZERS[name]
    formula = UPDATES[optimizer.update_name]
    assert optimizer.n_moments == formula.n_moments
    table = optimizer.hyper(np.arange(3), np.array([0.1, 0.2, 0.3]))
    assert table.dtype == np.float64
    assert table.flags.c_contiguous
    assert np.isfinite(table).all()
    p = np.ones(2)
    new, moments = formula.update(p, p, (np.zeros(2),) * formula.n_moments, table[0].tolist())
    assert new.shape == p.shape
    assert len(moments) == formula.n_moments


def test_the_table_of_a_later_chunk_continues():
    steps, rates = np.arange(1000), np.linspace(0.1, 0.2, 1000)
    whole = AdamW().hyper(steps, rates)
    np.testing.assert_array_equal(AdamW().hyper(steps[700:], rates[700:]), whole[700:])
    assert AdamW().hyper(steps[:0], rates[:0]).shape == (0, 6)


def test_the_correction_of_adam_ends():
    late = Adam().hyper(np.array([10**12]), np.array([0.001]))
    np.testing.assert_array_equal(late, [[0.001, 0.9, 0.999, 1e-8, 1.0, 0.0]])


def test_update_names_follow_the_momentum():
    names = {name: (o.update_name, o.n_moments) for name, o in OPTIMIZERS.items()}
    assert names == {
        "sgd": ("sgd", 0),
        "momentum": ("momentum", 1),
        "nesterov": ("nesterov", 1),
        "rmsprop": ("rmsprop", 1),
        "adam": ("adam", 2),
        "adamw": ("adam", 2),
    }


def test_resolve_optimizer():
    own = Adam(0.1, beta_1=0.5)
    assert resolve_optimizer("momentum") == SGD(0.01, 0.9)
    assert resolve_optimizer("adamw", 0.2) == AdamW(0.2)
    assert resolve_optimizer(own) is own
    assert resolve_optimizer(own, Cosine(0.3)) == Adam(Cosine(0.3), beta_1=0.5)


def test_learning_rate_is_a_number_or_a_schedule():
    assert SGD(np.float32(0.5)).learning_rate == 0.5
    assert SGD(0.5).schedule == Constant(0.5)
    assert SGD(Cosine(0.5)).schedule == Cosine(0.5)
    assert isinstance(SGD(np.float32(0.5)).learning_rate, float)


def test_clipping_is_kept():
    assert Adam(clip_norm=1).clip_norm == 1.0
    assert SGD(clip_value=0.5).clip_value == 0.5
    assert Adam().clip_norm is None


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: SGD(0), "learning_rate"),
        (lambda: SGD(-0.1), "learning_rate"),
        (lambda: Adam(math.nan), "learning_rate"),
        (lambda: SGD(momentum=1.0), "momentum"),
        (lambda: SGD(momentum=-0.1), "momentum"),
        (lambda: RMSprop(rho=1), "rho"),
        (lambda: RMSprop(epsilon=0), "epsilon"),
        (lambda: Adam(beta_1=1), "beta_1"),
        (lambda: Adam(beta_2=-0.5), "beta_2"),
        (lambda: Adam(epsilon=1e-40), "epsilon"),
        (lambda: AdamW(weight_decay=-1), "weight_decay"),
        (lambda: SGD(clip_norm=0), "clip_norm"),
        (lambda: SGD(clip_value=math.inf), "clip_value"),
        (lambda: resolve_optimizer("sgd", 0), "learning_rate"),
        (lambda: SGD().hyper(np.array([-1]), np.array([0.1])), "steps"),
        (lambda: SGD().hyper(np.array([0]), np.array([-0.1])), "rates"),
        (lambda: SGD().hyper(np.array([0]), np.array([math.nan])), "rates"),
    ],
)
def test_values_out_of_range(make, argument):
    with pytest.raises(ArgumentError, match=rf"^(an entry of )?{argument} is .*: use "):
        make()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: SGD("0.1"), "learning_rate"),
        (lambda: SGD(True), "learning_rate"),
        (lambda: SGD(Cosine), "learning_rate"),
        (lambda: SGD(momentum=None), "momentum"),
        (lambda: SGD(momentum=0.9, nesterov=1), "nesterov"),
        (lambda: Adam(clip_norm="1"), "clip_norm"),
        (lambda: resolve_optimizer(Adam), "optimizer"),
        (lambda: resolve_optimizer(None), "optimizer"),
        (lambda: SGD().hyper(np.array([0]), ["a"]), "rates"),
    ],
)
def test_values_of_the_wrong_type(make, argument):
    with pytest.raises(ArgumentTypeError, match=rf"^{argument} is .*: use "):
        make()


def test_steps_are_integers():
    with pytest.raises(ArgumentTypeError, match=r"^steps have dtype float64: use integers"):
        SGD().hyper(np.array([0.0]), np.array([0.1]))


def test_contradictions():
    with pytest.raises(ArgumentError, match=r"^nesterov is True: give a momentum > 0"):
        SGD(nesterov=True)
    with pytest.raises(ArgumentError, match="leave out one of clip_norm and clip_value"):
        Adam(clip_norm=1, clip_value=1)


@pytest.mark.parametrize(("steps", "rates"), [([0, 1], [0.1]), (0, 0.1), ([[0]], [[0.1]])])
def test_tables_need_one_rate_per_step(steps, rates):
    with pytest.raises(ShapeError, match="one rate for each of n steps"):
        SGD().hyper(np.array(steps), np.array(rates))


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(ArgumentError, match=r"did you mean 'adam'\?"):
        resolve_optimizer("adma")


def test_the_base_cannot_be_used_by_mistake():
    with pytest.raises(TypeError, match="abstract"):
        Optimizer(0.1)
