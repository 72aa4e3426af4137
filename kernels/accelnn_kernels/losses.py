"""Losses: value and gradient in one pass over the outputs of a batch.

All kernels have one form: they read ``output (rows, columns)``, write the gradient of the loss with respect to it
into ``d``, and return the loss. ``weights (rows,)`` are float64 weights of the rows, and ``factor`` is what a mean
divides by, so row i counts ``weights[i] * factor`` times. ``target`` is either the labels, int64 ``(rows,)``, or
rows of the outputs' dtype. Where a loss belongs to one output activation (cross-entropy to softmax, binary
cross-entropy to sigmoid, Poisson to the exponential), ``output`` is the pre-activation: value and gradient are then
exact where the activation saturates.
"""

from __future__ import annotations

import math


def mse_value(a, y):
    """Return the squared error."""
    return (a - y) * (a - y)


def mse_slope(a, y):
    """Return d/da of the squared error."""
    return real(2) * (a - y)


def mae_value(a, y):
    """Return the absolute error."""
    return abs(a - y)


def mae_slope(a, y):
    """Return d/da of the absolute error; 0 at 0."""
    e = a - y
    positive = real(1) if e > real(0) else real(0)
    return real(-1) if e < real(0) else positive


def huber_value(a, y):
    """Return half the squared error up to an error of 1, linear beyond (Huber 1964)."""
    e = abs(a - y)
    return real(0.5) * e * e if e <= real(1) else e - real(0.5)


def huber_slope(a, y):
    """Return d/da of the Huber loss: the error kept within [-1, 1]."""
    e = a - y
    e = real(-1) if e < real(-1) else e
    return real(1) if e > real(1) else e


def binary_cross_entropy_value(z, y):
    """Return -y log(p) - (1 - y) log(1 - p) for p = sigmoid(z), without forming p."""
    positive = real(0) if z < real(0) else z
    return positive - z * y + log1p_unit(exp(-abs(z)))


def binary_cross_entropy_slope(z, y):
    """Return d/dz of the binary cross-entropy: sigmoid(z) - y."""
    return sigmoid(z) - y


def poisson_value(z, y):
    """Return e^z - y z, the Poisson deviance of the log-rate z up to a constant of y."""
    return exp(z) - y * z


def poisson_slope(z, y):
    """Return d/dz of the Poisson loss."""
    return exp(z) - y


ELEMENTWISE = {
    "mse": (mse_value, mse_slope),
    "sse": (mse_value, mse_slope),
    "mae": (mae_value, mae_slope),
    "huber": (huber_value, huber_slope),
    "binary_cross_entropy": (binary_cross_entropy_value, binary_cross_entropy_slope),
    "poisson": (poisson_value, poisson_slope),
}
TEMPLATES = tuple({f.__name__: f for pair in ELEMENTWISE.values() for f in pair}.values())
NAMES = (*ELEMENTWISE, "cross_entropy")
MEAN_OVER_OUTPUTS = frozenset({"mse", "mae", "huber", "poisson"})
"""Losses that are means over the outputs of a row: ``factor`` is then divided by the number of columns too."""


def elementwise_loss(output, d, target, weights, factor, rows, columns):
    """Return the sum over all elements of a scalar loss and write its slope to ``d``."""
    output_ = matrix(output, rows, columns)
    d_ = matrix(d, rows, columns)
    target_ = matrix(target, rows, columns)
    weights_ = doubles(weights, rows)
    total = 0.0
    for i in range(rows):
        count = weights_[i] * factor
        scale = real(count)
        row = real(0)
        for j in range(columns):
            row += value(output_[i, j], target_[i, j])
            d_[i, j] = slope(output_[i, j], target_[i, j]) * scale
        total += count * double(row)
    return total


def softmax_cross_entropy_labels(output, d, target, weights, factor, rows, columns):
    """Return the cross-entropy of softmax(output) and integer labels; d <- softmax(output) - one-hot."""
    total = 0.0
    block = rows_of_a_block(columns)
    for first in range(0, rows, block):
        n = min(block, rows - first)
        shift = first * columns * itemsize
        labels, weights_ = target + 8 * first, weights + 8 * first
        total += block_of_labels(output + shift, d + shift, labels, weights_, factor, n, columns)
    return total


def block_of_labels(output, d, target, weights, factor, rows, columns):
    """Do the same for one block of rows."""
    d_ = matrix(d, rows, columns)
    labels = integers(target, rows)
    weights_ = doubles(weights, rows)
    subtract_largest(output, d, rows, columns)
    total = 0.0
    for i in range(rows):
        total -= weights_[i] * double(d_[i, labels[i]])
    exponentiate(d, rows * columns)
    for i in range(rows):
        exponentials = real(0)
        for j in range(columns):
            exponentials += d_[i, j]
        d_[i, labels[i]] -= exponentials
        scale = real(weights_[i] * factor) / exponentials
        for j in range(columns):
            d_[i, j] *= scale
        total += weights_[i] * math.log(double(exponentials))
    return total * factor


def softmax_cross_entropy_rows(output, d, target, weights, factor, rows, columns):
    """Return the cross-entropy of softmax(output) and rows of probabilities, one-hot or not."""
    total = 0.0
    block = rows_of_a_block(columns)
    for first in range(0, rows, block):
        n = min(block, rows - first)
        shift = first * columns * itemsize
        total += block_of_rows(output + shift, d + shift, target + shift, weights + 8 * first, factor, n, columns)
    return total


def block_of_rows(output, d, target, weights, factor, rows, columns):
    """Do the same for one block of rows."""
    d_ = matrix(d, rows, columns)
    target_ = matrix(target, rows, columns)
    weights_ = doubles(weights, rows)
    subtract_largest(output, d, rows, columns)
    total = 0.0
    for i in range(rows):
        inner = real(0)
        for j in range(columns):
            inner += target_[i, j] * d_[i, j]
        total -= weights_[i] * double(inner)
    exponentiate(d, rows * columns)
    for i in range(rows):
        exponentials = real(0)
        mass = real(0)
        for j in range(columns):
            exponentials += d_[i, j]
            mass += target_[i, j]
        count = real(weights_[i] * factor)
        share = mass / exponentials
        for j in range(columns):
            d_[i, j] = (d_[i, j] * share - target_[i, j]) * count
        total += weights_[i] * double(mass) * math.log(double(exponentials))
    return total * factor


LOOP_TEMPLATES = (block_of_labels, block_of_rows)
