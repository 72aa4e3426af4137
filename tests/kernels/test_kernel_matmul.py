"""The three matrix products of a training step against NumPy's, in every small shape and some long ones."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels import compiler
from accelnn_kernels.catalog import kernel, python_kernel
from accelnn_kernels.matmul import scratch_bytes
from kernel_case import Case, wide

PRODUCTS = ("matmul", "matmul_transposed", "weight_gradient")


def random_shapes(count, seed):
    """Return (rows, n_in, n_out): up to 70 of each, with some inner dimensions up to 1000."""
    rng = np.random.default_rng(seed)
    shapes = [tuple(int(size) for size in rng.integers(1, 71, 3)) for _ in range(count)]
    long = [(int(a), int(b), int(c)) for a, b, c in rng.integers(1, (71, 1001, 71), (count // 5, 3))]
    edges = [(1, 1, 1), (1, 784, 10), (70, 1, 1), (1, 1, 70), (10, 784, 128), (64, 257, 65), (128, 512, 48)]
    return [*shapes, *long, *edges, (5, 3, 600)]


def gemm(case):
    """Return the kernel that the products are made of: they call it by its address."""
    return kernel("gemm", "", case.dtype.name).address


def transposed_extra(case):
    return case.empty(scratch_bytes(), np.uint8)


def run_matmul(case, x, w):
    (rows, n_in), n_out = x.shape, w.shape[1]
    z = case.empty((rows, n_out))
    case.run("matmul", "", gemm(case), x, w, z, rows, n_in, n_out)
    return z


def run_transposed(case, dz, w):
    (rows, n_out), n_in = dz.shape, w.shape[0]
    dx = case.empty((rows, n_in))
    case.run("matmul_transposed", "", gemm(case), transposed_extra(case), dz, w, dx, rows, n_in, n_out)
    return dx


def run_gradient(case, x, dz, dw, first, last, alpha, beta):
    (batch, n_in), n_out = x.shape, dz.shape[1]
    case.run("weight_gradient", "", gemm(case), x, dz, dw, batch, n_in, n_out, first, last, alpha, beta)


def assert_product(case, actual, expected, a, b, extra=0.0):
    """Compare with a bound on the rounding of a sum of inner products: inner * eps * |a| |b|."""
    bound = np.abs(a) @ np.abs(b) * (a.shape[1] + 4) * case.eps + extra
    assert (np.abs(actual - expected) <= bound).all()


def new_case(form, dtype, seed):
    return Case(form, (1, 1), dtype, seed)


@pytest.mark.parametrize("seed", range(4))
def test_products_of_all_small_shapes(dtype, seed):
    for rows, n_in, n_out in random_shapes(60, seed):
        case = new_case("compiled", dtype, seed)
        x, w, dz = case.normal(rows, n_in), case.normal(n_in, n_out), case.normal(rows, n_out)
        x64, w64, dz64 = wide(x, w, dz)
        assert_product(case, run_matmul(case, x, w), x64 @ w64, x64, w64)
        assert_product(case, run_transposed(case, dz, w), dz64 @ w64.T, dz64, w64.T)
        dw = case.empty((n_in, n_out))
        run_gradient(case, x, dz, dw, 0, n_in, 1.0, 0.0)
        assert_product(case, dw, x64.T @ dz64, x64.T, dz64)
        case.check_guards()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (-0.1, 1.0), (2.0, -0.5), (0.0, 1.0), (0.0, 0.0)])
def test_some_rows_of_the_weight_gradient(dtype, seed, alpha, beta):
    """Threads own rows of W: rows [first, last) change, all others stay."""
    for batch, n_in, n_out in random_shapes(20, 10 + seed):
        case = new_case("compiled", dtype, seed)
        x, dz, dw = case.normal(batch, n_in), case.normal(batch, n_out), case.normal(n_in, n_out)
        first, last = sorted(int(row) for row in case.rng.integers(0, n_in + 1, 2))
        x64, dz64, expected = wide(x, dz, dw)
        before = np.array(dw)
        run_gradient(case, x, dz, dw, first, last, alpha, beta)
        owned = slice(first, last)
        left, old = x64.T[owned], np.abs(expected[owned])
        expected = alpha * (left @ dz64) + beta * expected[owned]
        np.testing.assert_array_equal(np.delete(dw, owned, axis=0), np.delete(before, owned, axis=0))
        assert_product(case, dw[owned], expected, left * alpha, dz64, extra=4 * case.eps * abs(beta) * old)
        case.check_guards()


def test_without_beta_the_old_values_do_not_matter(dtype):
    case = new_case("compiled", dtype, 0)
    x, dz = case.normal(7, 30), case.normal(7, 21)
    dw = case.place(np.full((30, 21), np.nan))
    run_gradient(case, x, dz, dw, 0, 30, 1.0, 0.0)
    assert np.isfinite(dw).all()


@pytest.mark.parametrize("inner", [1, 100, 1000])
def test_cutting_the_rows_does_not_change_a_bit(dtype, inner):
    """Any number of threads gives the same numbers."""
    case = new_case("compiled", dtype, inner)
    x, w, dz = case.normal(29, inner), case.normal(inner, 37), case.normal(29, 37)
    whole, whole_transposed = run_matmul(case, x, w), run_transposed(case, dz, w)
    dw, parts = case.empty((inner, 37)), case.empty((inner, 37))
    run_gradient(case, x, dz, dw, 0, inner, 1.0, 0.0)
    for cut in (1, 2, 7, 14, 28):
        for rows in (slice(0, cut), slice(cut, 29)):
            np.testing.assert_array_equal(run_matmul(case, case.place(x[rows]), w), whole[rows])
            np.testing.assert_array_equal(run_transposed(case, case.place(dz[rows]), w), whole_transposed[rows])
        middle = min(cut, inner)
        run_gradient(case, x, dz, parts, 0, middle, 1.0, 0.0)
        run_gradient(case, x, dz, parts, middle, inner, 1.0, 0.0)
        np.testing.assert_array_equal(parts, dw)


def test_no_rows(dtype):
    case = new_case("compiled", dtype, 0)
    x, w, dz = case.empty((0, 5)), case.normal(5, 3), case.empty((0, 3))
    run_matmul(case, x, w)
    run_transposed(case, dz, w)
    dw = case.place(np.ones((5, 3)))
    run_gradient(case, case.normal(4, 5), case.normal(4, 3), dw, 2, 2, 1.0, 0.0)
    np.testing.assert_array_equal(dw, 1.0)
    case.check_guards()


def test_large(dtype):
    case = new_case("compiled", dtype, 3)
    x, w = case.normal(301, 1500), case.normal(1500, 203)
    x64, w64 = wide(x, w)
    assert_product(case, run_matmul(case, x, w), x64 @ w64, x64, w64)
    dz = case.normal(301, 203)
    assert_product(case, run_transposed(case, dz, w), wide(dz)[0] @ w64.T, wide(dz)[0], w64.T)
    dw = case.empty(w.shape)
    run_gradient(case, x, dz, dw, 0, 1500, 1.0, 0.0)
    assert_product(case, dw, x64.T @ wide(dz)[0], x64.T, wide(dz)[0])
    case.check_guards()


def test_nan_and_infinity_spread_as_they_should(dtype):
    case = new_case("compiled", dtype, 4)
    x, w = case.normal(9, 40), case.normal(40, 17)
    x[3, 5] = np.nan
    w[:, 2] = np.inf
    z = run_matmul(case, x, w)
    assert np.isnan(z[3]).all()
    assert not np.isfinite(z[:, 2]).any()
    assert np.isfinite(np.delete(np.delete(z, 3, axis=0), 2, axis=1)).all()


@pytest.mark.parametrize(("rows", "n_in", "n_out"), [(1, 1, 1), (13, 300, 5), (7, 5, 300), (3, 70, 65), (14, 9, 40)])
def test_plain_python_form(dtype, rows, n_in, n_out):
    case = new_case("python", dtype, 5)
    x, w, dz = case.normal(rows, n_in), case.normal(n_in, n_out), case.normal(rows, n_out)
    x64, w64, dz64 = wide(x, w, dz)
    assert_product(case, run_matmul(case, x, w), x64 @ w64, x64, w64)
    assert_product(case, run_transposed(case, dz, w), dz64 @ w64.T, dz64, w64.T)
    dw = case.place(np.ones((n_in, n_out)))
    run_gradient(case, x, dz, dw, 0, n_in, 0.5, 2.0)
    assert_product(case, dw, 0.5 * (x64.T @ dz64) + 2.0, x64.T, dz64, extra=8 * case.eps)
    case.check_guards()


@pytest.mark.parametrize(("rows", "columns", "inner"), [(1, 1, 1), (13, 9, 300), (7, 70, 5), (4, 57, 65), (2, 64, 3)])
@pytest.mark.parametrize("beta", [0.0, 1.5])
def test_plain_python_form_of_the_common_loop(dtype, rows, columns, inner, beta):
    case = new_case("python", dtype, 6)
    a, b, c = case.normal(rows, inner), case.normal(inner, columns), case.normal(rows, columns)
    slow, fast = case.place(c), case.place(c)
    arguments = (rows, columns, inner, -1.0, beta)
    case.call(python_kernel, "gemm", "", a, inner, 1, b, columns, slow, columns, *arguments)
    case.call(kernel, "gemm", "", a, inner, 1, b, columns, fast, columns, *arguments)
    assert_product(case, slow, fast, *wide(a, b), extra=8 * case.eps * np.abs(wide(c)[0]))
    case.check_guards()


@pytest.mark.parametrize(("rows", "columns"), [(25, 150), (5, 3)])
def test_machine_code_written_anew(dtype, monkeypatch, rows, columns):
    """The tiles write their own machine code: not what an earlier run left on disk is tested here."""
    monkeypatch.setattr(compiler, "cache_directory", lambda: None)
    case = new_case("compiled", dtype, 7)
    a, b, c = case.normal(rows, 40), case.normal(40, columns), case.empty((rows, columns))
    arguments = (40, 1, b, columns, c, columns, rows, columns, 40, 1.0, 0.0)
    case.call(kernel.__wrapped__, "gemm", "", a, *arguments)
    assert_product(case, c, wide(a)[0] @ wide(b)[0], *wide(a, b))
    case.check_guards()
