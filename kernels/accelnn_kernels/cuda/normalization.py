"""Batch normalization. Rows are elements of a batch; statistics, gamma, beta and their gradients are reals.

The launches are in stripes of columns, whose statistics and parameters a thread keeps in registers.
"""

from __future__ import annotations

from accelnn_kernels import normalization
from accelnn_kernels.cuda.shapes import Kind, always, elements, stripes


def column_sums(x, rows, columns, sums, parts, counter):
    """Write the sum of the rows of ``x (rows, columns)`` to ``sums (columns,)``."""
    x_, totals = cuda.local.array(width, real), cuda.local.array(width, real)
    clear_columns(x_)
    stripe = cuda.blockIdx.x
    while first_column(stripe, columns) < columns:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        clear_columns(totals)
        row = first_row() if count > 0 else rows
        while row < rows:
            load_columns(x, row * columns + column, count, x_)
            for k in range(width):
                totals[k] += x_[k]
            row += all_row_threads()
        finish_sums(totals, sums, stripe, columns, parts, counter)
        stripe += cuda.gridDim.x


def column_squares(x, mean, rows, columns, sums, parts, counter):
    """Write the sum over rows of (x - mean)^2 to ``sums (columns,)``."""
    x_, mean_ = cuda.local.array(width, real), cuda.local.array(width, real)
    totals = cuda.local.array(width, real)
    clear_columns(x_)
    stripe = cuda.blockIdx.x
    while first_column(stripe, columns) < columns:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        load_columns_real(mean, column, count, mean_)
        clear_columns(totals)
        row = first_row() if count > 0 else rows
        while row < rows:
            load_columns(x, row * columns + column, count, x_)
            for k in range(width):
                totals[k] += (x_[k] - mean_[k]) * (x_[k] - mean_[k])
            row += all_row_threads()
        finish_sums(totals, sums, stripe, columns, parts, counter)
        stripe += cuda.gridDim.x


def inverse_deviation(variance, size, epsilon, inverse):
    """Write 1 / sqrt(variance + epsilon) to ``inverse (size,)``, both real."""
    i = first_element()
    while i < size:
        store_real(inverse, i, inverse_root(load_real(variance, i) + epsilon))
        i += all_threads()


def batch_norm(x, mean, inverse, gamma, beta, y, rows, columns):
    """Write gamma * (x - mean) * inverse + beta to ``y``; ``inverse`` is one over the standard deviation."""
    x_ = cuda.local.array(width, real)
    mean_, inverse_ = cuda.local.array(width, real), cuda.local.array(width, real)
    gamma_, beta_ = cuda.local.array(width, real), cuda.local.array(width, real)
    clear_columns(x_)
    stripe = cuda.blockIdx.x
    while first_column(stripe, columns) < columns:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        load_columns_real(mean, column, count, mean_)
        load_columns_real(inverse, column, count, inverse_)
        load_columns_real(gamma, column, count, gamma_)
        load_columns_real(beta, column, count, beta_)
        row = first_row() if count > 0 else rows
        while row < rows:
            load_columns(x, row * columns + column, count, x_)
            for k in range(width):
                x_[k] = gamma_[k] * ((x_[k] - mean_[k]) * inverse_[k]) + beta_[k]
            store_columns(y, row * columns + column, count, x_)
            row += all_row_threads()
        stripe += cuda.gridDim.x


def batch_norm_sums(dy, x, mean, inverse, dgamma, dbeta, rows, columns, parts, counter):
    """Write dgamma = sum of dy * x_hat and dbeta = sum of dy over the rows."""
    dy_, x_ = cuda.local.array(width, real), cuda.local.array(width, real)
    mean_, inverse_ = cuda.local.array(width, real), cuda.local.array(width, real)
    dgamma_, dbeta_ = cuda.local.array(width, real), cuda.local.array(width, real)
    clear_columns(dy_)
    clear_columns(x_)
    stripe = cuda.blockIdx.x
    while first_column(stripe, columns) < columns:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        load_columns_real(mean, column, count, mean_)
        load_columns_real(inverse, column, count, inverse_)
        clear_columns(dgamma_)
        clear_columns(dbeta_)
        row = first_row() if count > 0 else rows
        while row < rows:
            load_columns(dy, row * columns + column, count, dy_)
            load_columns(x, row * columns + column, count, x_)
            for k in range(width):
                dgamma_[k] += dy_[k] * ((x_[k] - mean_[k]) * inverse_[k])
                dbeta_[k] += dy_[k]
            row += all_row_threads()
        finish_two_sums(dgamma_, dbeta_, dgamma, dbeta, stripe, columns, parts, counter)
        stripe += cuda.gridDim.x


def batch_norm_gradient(dy, x, mean, inverse, gamma, dgamma, dbeta, dx, rows, columns, n):
    """Write dx; ``dgamma`` and ``dbeta`` are the sums over all ``n`` rows of the batch.

    That is gamma * inverse * (dy - (dbeta + x_hat * dgamma) / n), with the factors of a column multiplied beforehand.
    """
    dy_, x_, mean_ = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
    stretch, slope, shift = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
    clear_columns(dy_)
    clear_columns(x_)
    share = real(1) / real(n)
    stripe = cuda.blockIdx.x
    while first_column(stripe, columns) < columns:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        load_columns_real(mean, column, count, mean_)
        load_columns_real(inverse, column, count, dy_)
        load_columns_real(gamma, column, count, stretch)
        load_columns_real(dgamma, column, count, slope)
        load_columns_real(dbeta, column, count, shift)
        for k in range(width):
            stretch[k] *= dy_[k]
            slope[k] *= share * dy_[k]
            shift[k] *= share
        row = first_row() if count > 0 else rows
        while row < rows:
            load_columns(dy, row * columns + column, count, dy_)
            load_columns(x, row * columns + column, count, x_)
            for k in range(width):
                x_[k] = stretch[k] * (dy_[k] - (shift[k] + (x_[k] - mean_[k]) * slope[k]))
            store_columns(dx, row * columns + column, count, x_)
            row += all_row_threads()
        stripe += cuda.gridDim.x


def running_average(average, value, size, momentum):
    """Compute average <- momentum * average + (1 - momentum) * value, all real."""
    i = first_element()
    while i < size:
        old = load_real(average, i)
        store_real(average, i, momentum * old + (real(1) - momentum) * load_real(value, i))
        i += all_threads()


TEMPLATES = normalization.TEMPLATES
KINDS = {
    "column_sums": Kind(always(column_sums), stripes),
    "column_squares": Kind(always(column_squares), stripes),
    "inverse_deviation": Kind(always(inverse_deviation), elements),
    "batch_norm": Kind(always(batch_norm), stripes),
    "batch_norm_sums": Kind(always(batch_norm_sums), stripes),
    "batch_norm_gradient": Kind(always(batch_norm_gradient), stripes),
    "running_average": Kind(always(running_average), elements),
}
