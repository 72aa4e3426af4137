"""Batch and layer normalisation with their gradients.

``x``, ``y``, ``dx``, ``dy`` have shape (batch, units); ``gamma``, ``beta``, ``mean``, ``var`` and their
gradients (units,). All arrays have one dtype, the results too. Variances are biased (divided by n).
"""

from __future__ import annotations

from accelnn.arrays.namespace import namespace
from accelnn.arrays.typing import Array


def batch_norm(x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
    """Return ``(y, mean, var)`` with statistics over the rows (Ioffe & Szegedy 2015, algorithm 1)."""
    xp = namespace(x, gamma, beta)
    mean = xp.mean(x, axis=0)
    centred = x - mean
    var = xp.mean(centred * centred, axis=0)
    return centred / xp.sqrt(var + eps) * gamma + beta, mean, var


def batch_norm_gradient(
    dy: Array, x: Array, mean: Array, var: Array, gamma: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return ``(dx, dgamma, dbeta)``; ``mean`` and ``var`` are the results of batch_norm.

    The gradient includes the way of ``x`` through its mean and variance (Ioffe & Szegedy 2015, section 3).
    """
    xp = namespace(dy, x, mean, var, gamma)
    root = xp.sqrt(var + eps)
    normal = (x - mean) / root
    dgamma, dbeta = xp.sum(dy * normal, axis=0), xp.sum(dy, axis=0)
    n_rows = float(x.shape[0])
    return gamma / root * (dy - dbeta / n_rows - normal * (dgamma / n_rows)), dgamma, dbeta


def batch_norm_inference(x: Array, mean: Array, var: Array, gamma: Array, beta: Array, eps: float) -> Array:
    """Return ``y`` for given (running) statistics."""
    xp = namespace(x, mean, var, gamma, beta)
    return (x - mean) / xp.sqrt(var + eps) * gamma + beta


def layer_norm(x: Array, gamma: Array, beta: Array, eps: float) -> Array:
    """Return ``y`` with statistics over the columns of each row (Ba et al. 2016, equation 3)."""
    namespace(x, gamma, beta)
    normal, _ = _normal_rows(x, eps)
    return normal * gamma + beta


def layer_norm_gradient(dy: Array, x: Array, gamma: Array, eps: float) -> tuple[Array, Array, Array]:
    """Return ``(dx, dgamma, dbeta)`` of layer_norm, including the way through mean and variance."""
    xp = namespace(dy, x, gamma)
    normal, root = _normal_rows(x, eps)
    dnormal = dy * gamma
    shift = xp.mean(dnormal, axis=-1, keepdims=True)
    stretch = xp.mean(dnormal * normal, axis=-1, keepdims=True)
    return (dnormal - shift - normal * stretch) / root, xp.sum(dy * normal, axis=0), xp.sum(dy, axis=0)


def _normal_rows(x: Array, eps: float) -> tuple[Array, Array]:
    """Return the rows with mean 0 and variance 1, and the root (batch, 1) they were divided by."""
    xp = namespace(x)
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    root = xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + eps)
    return centred / root, root
