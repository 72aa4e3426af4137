"""Batch and layer normalization (Ioffe & Szegedy 2015; Ba, Kiros, Hinton 2016).

Batch statistics are sums over rows that several threads own, so each sum is a kernel of its own; the sums of the
threads are added in one order and every thread goes on with the same numbers.
"""

from __future__ import annotations


def column_sums(x, rows, columns, sums):
    """Write the sum of the rows of ``x (rows, columns)`` to ``sums (columns,)``."""
    x_ = matrix(x, rows, columns)
    sums_ = vector(sums, columns)
    for j in range(columns):
        sums_[j] = real(0)
    for i in range(rows):
        for j in range(columns):
            sums_[j] += x_[i, j]


def column_squares(x, mean, rows, columns, sums):
    """Write the sum over rows of (x - mean)^2 to ``sums (columns,)``."""
    x_ = matrix(x, rows, columns)
    mean_ = vector(mean, columns)
    sums_ = vector(sums, columns)
    for j in range(columns):
        sums_[j] = real(0)
    for i in range(rows):
        for j in range(columns):
            deviation = x_[i, j] - mean_[j]
            sums_[j] += deviation * deviation


def inverse_deviation(variance, size, epsilon, inverse):
    """Write 1 / sqrt(variance + epsilon) to ``inverse (size,)``."""
    variance_, inverse_ = vector(variance, size), vector(inverse, size)
    for j in range(size):
        inverse_[j] = inverse_root(variance_[j] + real(epsilon))


def batch_norm(x, mean, inverse, gamma, beta, y, rows, columns):
    """Write gamma * (x - mean) * inverse + beta to ``y``; ``inverse`` is one over the standard deviation."""
    x_, y_ = matrix(x, rows, columns), matrix(y, rows, columns)
    mean_, inverse_ = vector(mean, columns), vector(inverse, columns)
    gamma_, beta_ = vector(gamma, columns), vector(beta, columns)
    for i in range(rows):
        for j in range(columns):
            y_[i, j] = gamma_[j] * ((x_[i, j] - mean_[j]) * inverse_[j]) + beta_[j]


def batch_norm_sums(dy, x, mean, inverse, dgamma, dbeta, rows, columns):
    """Write dgamma = sum of dy * x_hat and dbeta = sum of dy over these rows."""
    dy_, x_ = matrix(dy, rows, columns), matrix(x, rows, columns)
    mean_, inverse_ = vector(mean, columns), vector(inverse, columns)
    dgamma_, dbeta_ = vector(dgamma, columns), vector(dbeta, columns)
    for j in range(columns):
        dgamma_[j] = real(0)
        dbeta_[j] = real(0)
    for i in range(rows):
        for j in range(columns):
            dgamma_[j] += dy_[i, j] * ((x_[i, j] - mean_[j]) * inverse_[j])
            dbeta_[j] += dy_[i, j]


def batch_norm_gradient(dy, x, mean, inverse, gamma, dgamma, dbeta, dx, rows, columns, n):
    """Write dx for these rows; ``dgamma`` and ``dbeta`` are the sums over all ``n`` rows of the batch."""
    dy_, x_, dx_ = matrix(dy, rows, columns), matrix(x, rows, columns), matrix(dx, rows, columns)
    mean_, inverse_, gamma_ = vector(mean, columns), vector(inverse, columns), vector(gamma, columns)
    dgamma_, dbeta_ = vector(dgamma, columns), vector(dbeta, columns)
    share = real(1.0 / n)
    for i in range(rows):
        for j in range(columns):
            x_hat = (x_[i, j] - mean_[j]) * inverse_[j]
            centered = dy_[i, j] - share * (dbeta_[j] + x_hat * dgamma_[j])
            dx_[i, j] = gamma_[j] * inverse_[j] * centered


def running_average(average, value, size, momentum):
    """Compute average <- momentum * average + (1 - momentum) * value."""
    average_, value_ = vector(average, size), vector(value, size)
    keep, take = real(momentum), real(1.0 - momentum)
    for i in range(size):
        average_[i] = keep * average_[i] + take * value_[i]


def row_statistics(row, columns, epsilon):
    """Return the mean and 1 / sqrt(variance + epsilon) of ``row (columns,)``."""
    total = real(0)
    for j in range(columns):
        total += row[j]
    mean = total / real(columns)
    squares = real(0)
    for j in range(columns):
        squares += (row[j] - mean) * (row[j] - mean)
    return mean, inverse_root(squares / real(columns) + real(epsilon))


def inverse_root(square):
    """Return 1 / sqrt(square). A formula: in a loop it may become an approximation, which makes NaN of infinity."""
    return real(1) / sqrt(square)


TEMPLATES = (inverse_root,)
LOOP_TEMPLATES = (row_statistics,)
"""Parts of loops: with the flags of formulas their sums would not vectorise."""


def layer_norm(x, gamma, beta, y, rows, columns, epsilon):
    """Normalize every row over its columns: y = gamma * x_hat + beta."""
    x_, y_ = matrix(x, rows, columns), matrix(y, rows, columns)
    gamma_, beta_ = vector(gamma, columns), vector(beta, columns)
    for i in range(rows):
        mean, inverse = row_statistics(x_[i], columns, epsilon)
        for j in range(columns):
            y_[i, j] = gamma_[j] * ((x_[i, j] - mean) * inverse) + beta_[j]


def layer_norm_gradient(dy, x, gamma, dx, dgamma, dbeta, rows, columns, epsilon):
    """Write dx, and the sums of dgamma and dbeta over these rows."""
    dy_, x_, dx_ = matrix(dy, rows, columns), matrix(x, rows, columns), matrix(dx, rows, columns)
    gamma_ = vector(gamma, columns)
    dgamma_, dbeta_ = vector(dgamma, columns), vector(dbeta, columns)
    for j in range(columns):
        dgamma_[j] = real(0)
        dbeta_[j] = real(0)
    share = real(1) / real(columns)
    for i in range(rows):
        mean, inverse = row_statistics(x_[i], columns, epsilon)
        total = real(0)
        weighted = real(0)
        for j in range(columns):
            x_hat = (x_[i, j] - mean) * inverse
            dgamma_[j] += dy_[i, j] * x_hat
            dbeta_[j] += dy_[i, j]
            total += dy_[i, j] * gamma_[j]
            weighted += dy_[i, j] * gamma_[j] * x_hat
        for j in range(columns):
            x_hat = (x_[i, j] - mean) * inverse
            dx_[i, j] = inverse * (dy_[i, j] * gamma_[j] - share * (total + x_hat * weighted))
