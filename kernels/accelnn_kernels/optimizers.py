"""Optimizer steps over flat, contiguous parameters.

Each update is one scalar formula ``(parameter, gradient, moment 1, moment 2, h0..h5) -> (parameter, moment 1,
moment 2)``; ``h`` are the hyperparameters of this step, computed on the host in float64. Moments that would decay
into denormal numbers are flushed to zero: arithmetic with denormals is slow on many CPUs, and training would slow
down from epoch to epoch.
"""

from __future__ import annotations


def flush(moment):
    """Return ``moment``, or 0 where it is too small ever to matter."""
    return real(0) if abs(moment) < real(smallest_moment) else moment


def sgd(p, g, m, v, h0, h1, h2, h3, h4, h5):
    """Gradient descent; h0 = learning rate."""
    return p - h0 * g, m, v


def momentum(p, g, m, v, h0, h1, h2, h3, h4, h5):
    """Gradient descent with momentum h1 (Polyak 1964); h0 = learning rate."""
    m = flush(h1 * m - h0 * g)
    return p + m, m, v


def nesterov(p, g, m, v, h0, h1, h2, h3, h4, h5):
    """Gradient descent with Nesterov momentum h1 (Sutskever et al. 2013); h0 = learning rate."""
    m = flush(h1 * m - h0 * g)
    return p + h1 * m - h0 * g, m, v


def rmsprop(p, g, m, v, h0, h1, h2, h3, h4, h5):
    """RMSprop (Tieleman & Hinton 2012); h0 = learning rate, h1 = rho, h2 = epsilon."""
    m = flush(h1 * m + (real(1) - h1) * g * g)
    return p - h0 * g / (sqrt(m) + h2), m, v


def adam(p, g, m, v, h0, h1, h2, h3, h4, h5):
    """Adam and AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019).

    h0 = learning rate / (1 - beta1^t), h1 = beta1, h2 = beta2, h3 = epsilon, h4 = 1 / sqrt(1 - beta2^t),
    h5 = learning rate * weight decay.
    """
    m = flush(h1 * m + (real(1) - h1) * g)
    v = flush(h2 * v + (real(1) - h2) * g * g)
    return p * (real(1) - h5) - h0 * m / (sqrt(v) * h4 + h3), m, v


def accumulate(p, g, m, v, h0, h1, h2, h3, h4, h5):
    """Add the gradient to a sum, times h0 = the share of this batch; the parameter stays as it is."""
    return p, flush(m + h0 * g), v


def penalized(g, p, l1, l2, limit):
    """Return the gradient of loss plus l1 |p| + l2/2 p^2, clipped to +-limit; NaN stays NaN."""
    positive = real(1) if p > real(0) else real(0)
    sign = real(-1) if p < real(0) else positive
    g = g + l2 * p + l1 * sign
    g = limit if g > limit else g
    return -limit if g < -limit else g


UPDATES = (sgd, momentum, nesterov, rmsprop, adam, accumulate)
TEMPLATES = (flush, *UPDATES, penalized)
N_MOMENTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "rmsprop": 1, "adam": 2, "accumulate": 1}
N_HYPER = 6
SMALLEST_MOMENT = {"float32": 1e-30, "float64": 1e-290}


def update_0(parameters, gradients, moments_1, moments_2, hyper, size):
    """Update ``parameters (size,)`` in place by a formula without moments; ``hyper`` is float64 (6,)."""
    p_ = vector(parameters, size)
    g_ = vector(gradients, size)
    h = doubles(hyper, 6)
    h0, h1, h2, h3, h4, h5 = real(h[0]), real(h[1]), real(h[2]), real(h[3]), real(h[4]), real(h[5])
    for i in range(size):
        p_[i] = update(p_[i], g_[i], real(0), real(0), h0, h1, h2, h3, h4, h5)[0]


def update_1(parameters, gradients, moments_1, moments_2, hyper, size):
    """Update ``parameters`` and ``moments_1 (size,)`` in place."""
    p_ = vector(parameters, size)
    g_ = vector(gradients, size)
    m_ = vector(moments_1, size)
    h = doubles(hyper, 6)
    h0, h1, h2, h3, h4, h5 = real(h[0]), real(h[1]), real(h[2]), real(h[3]), real(h[4]), real(h[5])
    for i in range(size):
        p, m, _ = update(p_[i], g_[i], m_[i], real(0), h0, h1, h2, h3, h4, h5)
        p_[i] = p
        m_[i] = m


def update_2(parameters, gradients, moments_1, moments_2, hyper, size):
    """Update ``parameters``, ``moments_1`` and ``moments_2 (size,)`` in place."""
    p_ = vector(parameters, size)
    g_ = vector(gradients, size)
    m_ = vector(moments_1, size)
    v_ = vector(moments_2, size)
    h = doubles(hyper, 6)
    h0, h1, h2, h3, h4, h5 = real(h[0]), real(h[1]), real(h[2]), real(h[3]), real(h[4]), real(h[5])
    for i in range(size):
        p, m, v = update(p_[i], g_[i], m_[i], v_[i], h0, h1, h2, h3, h4, h5)
        p_[i] = p
        m_[i] = m
        v_[i] = v


UPDATE_LOOPS = (update_0, update_1, update_2)


def penalize(gradients, parameters, size, l1, l2, limit):
    """Add the gradient of l1 |p| + l2/2 p^2, clip each element to +-limit, return the penalty itself."""
    g_ = vector(gradients, size)
    p_ = vector(parameters, size)
    first, second, bound = real(l1), real(l2), real(limit)
    absolute = 0.0
    squares = 0.0
    for i in range(size):
        p = p_[i]
        g_[i] = penalized(g_[i], p, first, second, bound)
        absolute += double(abs(p))
        squares += double(p) * double(p)
    return l1 * absolute + 0.5 * l2 * squares


def sum_of_squares(values, size):
    """Return the sum of squares in float64: the square of the Euclidean norm."""
    values_ = vector(values, size)
    total = 0.0
    for i in range(size):
        total += double(values_[i]) * double(values_[i])
    return total


def scale(values, size, factor):
    """Multiply ``values (size,)`` in place."""
    values_ = vector(values, size)
    by = real(factor)
    for i in range(size):
        values_[i] *= by


def add_parts(parts, stride, n_parts, size, total):
    """Write the sum of ``n_parts`` vectors ``(size,)``, ``stride`` elements apart, to ``total``, in their order."""
    total_ = vector(total, size)
    first = vector(parts, size)
    if n_parts == 1:
        for j in range(size):
            total_[j] = first[j]
        return
    second = vector(parts + stride * itemsize, size)
    for j in range(size):
        total_[j] = first[j] + second[j]
    for part in range(2, n_parts):
        next_part = vector(parts + part * stride * itemsize, size)
        for j in range(size):
            total_[j] += next_part[j]
