"""Optimizer steps, penalties, clipping and norms, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.optimizers import N_HYPER, N_MOMENTS, SMALLEST_MOMENT
from kernel_case import VARIANTS, wide

from accelnn.arrays import reference

NAMES = VARIANTS["update"]

HYPER = {
    "sgd": [0.1],
    "momentum": [0.1, 0.9],
    "nesterov": [0.05, 0.9],
    "rmsprop": [0.01, 0.9, 1e-7],
    "adam": [0.02, 0.9, 0.999, 1e-7, 3.0, 0.01],
    "accumulate": [0.25],
}
DECAYING = [name for name in NAMES if N_MOMENTS[name] and name != "accumulate"]
"""Those whose moments forget; a sum of gradients does not."""

SQUARES = {"rmsprop": (0,), "adam": (1,)}
"""Which moments are means of squares, never negative."""


def hyper_row(case, name):
    row = np.zeros(N_HYPER)
    row[: len(HYPER[name])] = HYPER[name]
    return case.place(row, np.float64)


def some_moments(case, name, size):
    moments = [case.normal(size, scale=0.1) for _ in range(N_MOMENTS[name])]
    for index in SQUARES.get(name, ()):
        moments[index][...] = np.abs(moments[index])
    return moments


def step(case, name, p, g, moments, hyper):
    """Take one step in place."""
    places = [*moments, 0, 0][:2]
    case.run("update", name, p, g, *places, hyper, p.size)


@pytest.mark.parametrize("name", NAMES)
def test_three_steps(case, name):
    size = case.rows * case.columns
    p, moments, hyper = case.normal(size), some_moments(case, name, size), hyper_row(case, name)
    expected, expected_moments = wide(p)[0], tuple(wide(*moments))
    for _ in range(3):
        g = case.normal(size)
        before = np.array(g)
        step(case, name, p, g, moments, hyper)
        np.testing.assert_array_equal(g, before)
        expected, expected_moments = reference.UPDATES[name].update(
            expected, *wide(g), expected_moments, HYPER[name]
        )  # fmt: skip
    case.close(p, expected, ulps=20, scale=1.0)
    for moment, plain in zip(moments, expected_moments, strict=True):
        case.close(moment, plain, ulps=20, scale=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_from_rest(small_case, name):
    """With no gradient and no moments nothing moves, and nothing is divided by zero."""
    case = small_case
    p, g = case.normal(24), case.place(np.zeros(24))
    moments = [case.place(np.zeros(24)) for _ in range(N_MOMENTS[name])]
    before, hyper = np.array(p), hyper_row(case, name)
    hyper[5] = 0.0
    step(case, name, p, g, moments, hyper)
    np.testing.assert_array_equal(p, before)


@pytest.mark.parametrize("name", DECAYING)
def test_moments_decay_to_exact_zero_and_are_never_denormal(compiled_case, name):
    case = compiled_case
    threshold = SMALLEST_MOMENT[case.dtype.name]
    assert threshold > float(np.finfo(case.dtype).tiny)
    p, g, hyper = case.normal(64), case.place(np.zeros(64)), hyper_row(case, name)
    hyper[1:3] = [0.9, 0.95] if name == "adam" else [0.9, hyper[2]]
    moments = some_moments(case, name, 64)
    seen = []
    for _ in range(20_000):
        step(case, name, p, g, moments, hyper)
        seen.append(min(np.abs(m[m != 0]).min(initial=np.inf) for m in moments))
        if all((m == 0).all() for m in moments):
            break
    assert all((m == 0).all() for m in moments)
    assert threshold <= min(seen) < 2 * threshold
    assert np.isfinite(p).all()


def test_without_the_flush_moments_would_stay_denormal(dtype):
    """The mechanism is needed: rounding keeps a decaying number at the smallest denormals for ever."""
    moment = np.array([np.finfo(dtype).tiny], dtype)
    with np.errstate(under="ignore"):
        for _ in range(2000):
            moment = moment * dtype.type(0.9)
    assert 0 < moment[0] < np.finfo(dtype).tiny


@pytest.mark.parametrize("name", [name for name in NAMES if N_MOMENTS[name]])
def test_flush_equals_the_formula_at_its_threshold(small_case, name):
    """On both sides of the threshold, and for both signs, kernel and formula agree which moments become 0."""
    case = small_case
    decay = {"adam": 0.9, "accumulate": 1.0}.get(name) or HYPER[name][1]
    start = np.array([0.5, 0.99, 1.01, 2.0]) * SMALLEST_MOMENT[case.dtype.name] / decay
    start = start if name in SQUARES and name != "adam" else np.concatenate([start, -start])
    moments = [case.place(start) for _ in range(N_MOMENTS[name])]
    for index in SQUARES.get(name, ()):
        moments[index][...] = np.abs(moments[index])
    plain = tuple(np.array(m) for m in moments)
    p, g = case.place(np.zeros(start.size)), case.place(np.zeros(start.size))
    step(case, name, p, g, moments, hyper_row(case, name))
    _, plain = reference.UPDATES[name].update(np.array(p), np.array(g), plain, HYPER[name])
    for moment, expected in zip(moments, plain, strict=True):
        np.testing.assert_array_equal(moment == 0, expected == 0)
    assert (moments[0] == 0).any()
    assert (moments[0] != 0).any()


@pytest.mark.parametrize("name", NAMES)
def test_nan_gradients_show_in_the_parameters(compiled_case, name):
    case = compiled_case
    p, g = case.normal(10), case.normal(10)
    g[4] = np.nan
    step(case, name, p, g, some_moments(case, name, 10), hyper_row(case, name))
    np.testing.assert_array_equal(np.isnan(p), (np.arange(10) == 4) & (name != "accumulate"))


def test_a_sum_of_gradients_leaves_the_parameters_alone(case):
    p, sums = case.normal(10), case.place(np.zeros(10))
    before, gradients = np.array(p), [case.normal(10) for _ in range(3)]
    for g in gradients:
        step(case, "accumulate", p, g, [sums], hyper_row(case, "accumulate"))
    np.testing.assert_array_equal(p, before)
    case.close(sums, 0.25 * sum(wide(*gradients)), ulps=8, scale=1.0)


@pytest.mark.parametrize(("l1", "l2", "limit"), [(0, 0, np.inf), (0.1, 0, np.inf), (0, 0.2, np.inf), (0.3, 0.1, 0.5)])
def test_penalize(case, l1, l2, limit):
    size = case.rows * case.columns
    p, g = case.normal(size), case.normal(size)
    p[::3] = 0.0
    penalty = reference.penalty(*wide(p), l1, l2)
    expected = reference.clip_by_value(reference.penalized_gradient(*wide(g, p), l1, l2), limit)
    before = np.array(p)
    value = case.run("penalize", "", g, p, size, float(l1), float(l2), float(limit))
    assert value == pytest.approx(float(penalty), rel=1e-12)
    case.close(g, expected, ulps=8, scale=1.0)
    np.testing.assert_array_equal(p, before)


def test_clipping_keeps_nan(small_case):
    case = small_case
    g = case.place([np.nan, np.inf, -np.inf, 3.0])
    case.run("penalize", "", g, case.place(np.zeros(4)), 4, 0.0, 0.0, 2.0)
    np.testing.assert_array_equal(g, [np.nan, 2.0, -2.0, 2.0])


def test_norm_and_scale(case):
    size = case.rows * case.columns
    values = case.normal(size, scale=100.0)
    norm = reference.global_norm(wide(values))
    assert np.sqrt(case.run("sum_of_squares", "", values, size)) == pytest.approx(float(norm), rel=1e-12)
    expected = wide(values)[0] * 0.37
    case.run("scale", "", values, size, 0.37)
    case.close(values, expected, ulps=2)


def test_norm_of_numbers_whose_squares_overflow_float32(small_case):
    case = small_case
    assert case.run("sum_of_squares", "", case.place([3e30, 4e30]), 2) == pytest.approx(25e60, rel=1e-6)


@pytest.mark.parametrize("n_parts", [1, 2, 5])
def test_add_parts(case, n_parts):
    parts, total = case.normal(n_parts, case.columns), case.empty(case.columns)
    case.run("add_parts", "", parts, case.columns, n_parts, case.columns, total)
    case.close(total, wide(parts)[0].sum(axis=0), ulps=n_parts, scale=float(np.abs(parts).max()))


def test_parts_are_added_in_one_order(compiled_case):
    """Every thread adds the parts for itself and must come to the same bits."""
    case = compiled_case
    parts = case.place([[1e8], [1.0], [-1e8], [1.0]])
    total = case.empty(1)
    case.run("add_parts", "", parts, 1, 4, 1, total)
    expected = case.dtype.type(0)
    for part in parts[:, 0]:
        expected = expected + part
    assert total[0] == expected
