"""Activations: the scalar formulas, and the two loops that fuse them with the bias.

A formula takes the pre-activation ``z`` and returns ``a``. Its derivative takes ``(z, a)``; where ``a`` alone is
enough, the loops overwrite ``z`` by ``a`` and save half of the memory traffic. NaN comes out where NaN goes in.
"""

from __future__ import annotations


def identity(z):
    """Return z."""
    return z


def sigmoid(z):
    """Return 1 / (1 + e^-z), from e^-|z|: e^-z would overflow before the result underflows."""
    decay = exp(-abs(z))
    return (decay if z < real(0) else real(1)) / (real(1) + decay)


def relu(z):
    """Return max(z, 0)."""
    return real(0) if z < real(0) else z


def leaky_relu(z):
    """Return z, or 0.01 z below zero (Maas, Hannun, Ng 2013)."""
    return real(0.01) * z if z < real(0) else z


def elu(z):
    """Return z, or e^z - 1 below zero (Clevert, Unterthiner, Hochreiter 2016)."""
    return expm1(z) if z < real(0) else z


def selu(z):
    """Return scale * z, or scale * alpha * (e^z - 1) below zero (Klambauer et al. 2017)."""
    return real(selu_scale_alpha) * expm1(z) if z < real(0) else real(selu_scale) * z


def softplus(z):
    """Return log(1 + e^z)."""
    positive = real(0) if z < real(0) else z
    return positive + log1p_unit(exp(-abs(z)))


def silu(z):
    """Return z * sigmoid(z) (Elfwing, Uchibe, Doya 2018; also called swish)."""
    return z * sigmoid(z)


def gelu_argument(z):
    """Return twice the argument of tanh in the approximation of GELU (Hendrycks & Gimpel 2016)."""
    return real(2 * gelu_scale) * (z + real(0.044715) * z * z * z)


def gelu(z):
    """Return z/2 (1 + tanh u) in the form z * sigmoid(2u), which does not cancel for negative z."""
    return z * sigmoid(gelu_argument(z))


def hard_sigmoid(z):
    """Return (z + 3) / 6 kept within [0, 1] (Howard et al. 2019; PyTorch's and Keras 3's definition)."""
    a = (z + real(3)) * real(1 / 6)
    a = real(0) if a < real(0) else a
    return real(1) if a > real(1) else a


def exponential(z):
    """Return e^z."""
    return exp(z)


def identity_derivative(z, a):
    """Return da/dz of the identity."""
    return real(1)


def sigmoid_derivative(z, a):
    """Return da/dz of the sigmoid."""
    return a * (real(1) - a)


def tanh_derivative(z, a):
    """Return da/dz of tanh."""
    return real(1) - a * a


def relu_derivative(z, a):
    """Return da/dz of ReLU; 0 at 0."""
    return real(1) if a > real(0) else real(0)


def leaky_relu_derivative(z, a):
    """Return da/dz of leaky ReLU; 0.01 at 0."""
    return real(1) if a > real(0) else real(0.01)


def elu_derivative(z, a):
    """Return da/dz of ELU."""
    return real(1) if a > real(0) else a + real(1)


def selu_derivative(z, a):
    """Return da/dz of SELU; the left one at 0."""
    return real(selu_scale) if a > real(0) else a + real(selu_scale_alpha)


def softplus_derivative(z, a):
    """Return da/dz of softplus, which is sigmoid(z) = 1 - e^-a."""
    return -expm1(-a)


def silu_derivative(z, a):
    """Return da/dz of SiLU."""
    s = sigmoid(z)
    return s * (real(1) + z * (real(1) - s))


def gelu_derivative(z, a):
    """Return da/dz of the tanh approximation of GELU; constant beyond +-100, where z * z might overflow."""
    z = real(-100) if z < real(-100) else z
    z = real(100) if z > real(100) else z
    s = sigmoid(gelu_argument(z))
    slope = real(2 * gelu_scale) * (real(1) + real(3 * 0.044715) * z * z)
    return s + z * s * (real(1) - s) * slope


def hard_sigmoid_derivative(z, a):
    """Return da/dz of the hard sigmoid; 0 at its two kinks."""
    return real(1 / 6) if real(0) < a < real(1) else real(0)


def exponential_derivative(z, a):
    """Return da/dz of the exponential."""
    return a


FORMULAS = (identity, sigmoid, relu, leaky_relu, elu, selu, softplus, silu, gelu, hard_sigmoid, exponential)
DERIVATIVES = (
    identity_derivative,
    sigmoid_derivative,
    tanh_derivative,
    relu_derivative,
    leaky_relu_derivative,
    elu_derivative,
    selu_derivative,
    softplus_derivative,
    silu_derivative,
    gelu_derivative,
    hard_sigmoid_derivative,
    exponential_derivative,
)
TEMPLATES = (*FORMULAS, gelu_argument, *DERIVATIVES)

NAMES = tuple(derivative.__name__.removesuffix("_derivative") for derivative in DERIVATIVES)
KEEPS_Z = frozenset({"silu", "gelu"})
"""Activations whose derivative needs ``z``: for these the loops keep ``z`` beside ``a``."""

CONSTANTS = {
    "selu_scale": 1.0507009873554804934193349852946,
    "selu_scale_alpha": 1.0507009873554804934193349852946 * 1.6732632423543772848170429916717,
    "gelu_scale": 0.79788456080286535587989211986876,  # sqrt(2 / pi)
}


def bias_activation_in_place(z, bias, a, rows, columns):
    """Compute a <- g(a + bias) for ``a (rows, columns)``; ``z`` is not used."""
    a_ = matrix(a, rows, columns)
    bias_ = vector(bias, columns)
    for i in range(rows):
        for j in range(columns):
            a_[i, j] = activation(a_[i, j] + bias_[j])


def bias_activation_keeping_z(z, bias, a, rows, columns):
    """Compute z <- z + bias and a <- g(z) for ``z, a (rows, columns)``."""
    z_ = matrix(z, rows, columns)
    bias_ = vector(bias, columns)
    a_ = matrix(a, rows, columns)
    for i in range(rows):
        for j in range(columns):
            value = z_[i, j] + bias_[j]
            z_[i, j] = value
            a_[i, j] = activation(value)


def activation_gradient(d, z, a, db, rows, columns):
    """Compute d <- d * g'(z, a), from da to dz, and db <- sum of the rows of dz."""
    d_ = matrix(d, rows, columns)
    z_ = matrix(z, rows, columns)
    a_ = matrix(a, rows, columns)
    db_ = vector(db, columns)
    for j in range(columns):
        db_[j] = real(0)
    for i in range(rows):
        for j in range(columns):
            dz = d_[i, j] * derivative(z_[i, j], a_[i, j])
            d_[i, j] = dz
            db_[j] += dz


def bias_softmax(z, bias, a, rows, columns):
    """Compute a <- softmax(a + bias) row by row; each row is shifted by its maximum first."""
    bias_ = vector(bias, columns)
    block = rows_of_a_block(columns)
    for first in range(0, rows, block):
        n = min(block, rows - first)
        start = a + first * columns * itemsize
        a_ = matrix(start, n, columns)
        for i in range(n):
            for j in range(columns):
                a_[i, j] += bias_[j]
        subtract_largest(start, start, n, columns)
        exponentiate(start, n * columns)
        for i in range(n):
            total = real(0)
            for j in range(columns):
                total += a_[i, j]
            for j in range(columns):
                a_[i, j] /= total


def softmax_gradient(d, z, a, db, rows, columns):
    """Compute d <- a * (d - sum(d * a)), the product with the softmax's Jacobian, and db <- sum of its rows."""
    d_ = matrix(d, rows, columns)
    a_ = matrix(a, rows, columns)
    db_ = vector(db, columns)
    for j in range(columns):
        db_[j] = real(0)
    for i in range(rows):
        inner = real(0)
        for j in range(columns):
            inner += d_[i, j] * a_[i, j]
        for j in range(columns):
            dz = a_[i, j] * (d_[i, j] - inner)
            d_[i, j] = dz
            db_[j] += dz
