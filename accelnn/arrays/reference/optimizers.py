"""Optimizer updates as functions of flat arrays, with every hyperparameter given for one step.

Schedules, step counts and bias corrections are the business of the caller: ``hyper`` holds plain
Python floats, in the order that each formula documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from accelnn.arrays.namespace import dtype_name, namespace
from accelnn.arrays.typing import Array

Moments = tuple[Array, ...]
Update = Callable[[Array, Array, Moments, Sequence[float]], tuple[Array, Moments]]

FLUSH: Mapping[str, float] = MappingProxyType({"float32": 1e-30, "float64": 1e-290})
"""Moments smaller than this become 0: denormals would slow every later step on a CPU."""


@dataclass(frozen=True)
class UpdateFormula:
    """One optimizer update.

    name: key of UPDATES.
    n_moments: number of moment arrays, each of the shape and dtype of the parameters, all 0 at first.
    update: ``update(param, grad, moments, hyper) -> (param, moments)``; new arrays, same dtype.
    """

    name: str
    n_moments: int
    update: Update


def _flushed(moment: Array) -> Array:
    xp = namespace(moment)
    return xp.where(xp.abs(moment) < FLUSH[dtype_name(moment)], xp.zeros_like(moment), moment)


def _sgd(param: Array, grad: Array, moments: Moments, hyper: Sequence[float]) -> tuple[Array, Moments]:
    """Return p - lr g; hyper = [lr]."""
    (learning_rate,) = hyper
    return param - learning_rate * grad, ()


def _momentum(param: Array, grad: Array, moments: Moments, hyper: Sequence[float]) -> tuple[Array, Moments]:
    """Return p + v with v = mu v - lr g (Polyak 1964); hyper = [lr, mu]."""
    learning_rate, mu = hyper
    velocity = _flushed(mu * moments[0] - learning_rate * grad)
    return param + velocity, (velocity,)


def _nesterov(param: Array, grad: Array, moments: Moments, hyper: Sequence[float]) -> tuple[Array, Moments]:
    """Return p + mu v - lr g with v = mu v - lr g (Sutskever et al. 2013); hyper = [lr, mu]."""
    learning_rate, mu = hyper
    step = learning_rate * grad
    velocity = _flushed(mu * moments[0] - step)
    return param + mu * velocity - step, (velocity,)


def _rmsprop(param: Array, grad: Array, moments: Moments, hyper: Sequence[float]) -> tuple[Array, Moments]:
    """Return p - lr g / (sqrt(v) + eps), v = rho v + (1 - rho) g^2 (Hinton 2012); hyper = [lr, rho, eps]."""
    learning_rate, rho, epsilon = hyper
    square = _flushed(rho * moments[0] + (1.0 - rho) * grad * grad)
    return param - learning_rate * grad / (namespace(param).sqrt(square) + epsilon), (square,)


def _adam(param: Array, grad: Array, moments: Moments, hyper: Sequence[float]) -> tuple[Array, Moments]:
    """Return Adam's step (Kingma & Ba 2015), with the decoupled decay of Loshchilov & Hutter (2019).

    hyper = [step_size, beta_1, beta_2, eps, root_scale, decay]. The paper's algorithm at step t >= 1 has
    step_size = lr / (1 - beta_1^t), root_scale = 1 / sqrt(1 - beta_2^t) and decay = 0; AdamW has
    decay = lr * weight_decay.
    """
    step_size, beta_1, beta_2, epsilon, root_scale, decay = hyper
    mean = _flushed(beta_1 * moments[0] + (1.0 - beta_1) * grad)
    square = _flushed(beta_2 * moments[1] + (1.0 - beta_2) * grad * grad)
    root = namespace(param).sqrt(square) * root_scale + epsilon
    return param * (1.0 - decay) - step_size * mean / root, (mean, square)


def _accumulate(param: Array, grad: Array, moments: Moments, hyper: Sequence[float]) -> tuple[Array, Moments]:
    """Return p and s + c g: a sum of gradients at one point; hyper = [c], the share of this batch."""
    (share,) = hyper
    return param, (_flushed(moments[0] + share * grad),)


UPDATES: Mapping[str, UpdateFormula] = MappingProxyType(
    {
        formula.name: formula
        for formula in (
            UpdateFormula("sgd", 0, _sgd),
            UpdateFormula("momentum", 1, _momentum),
            UpdateFormula("nesterov", 1, _nesterov),
            UpdateFormula("rmsprop", 1, _rmsprop),
            UpdateFormula("adam", 2, _adam),
            UpdateFormula("accumulate", 1, _accumulate),
        )
    }
)
"""Update by name. hyper: sgd [lr], momentum and nesterov [lr, mu], rmsprop [lr, rho, eps],
adam [step_size, beta_1, beta_2, eps, root_scale, decay] (AdamW is adam with a decay), accumulate [share]."""


def penalty(param: Array, l1: float, l2: float) -> Array:
    """Return l1 * sum|p| + l2 / 2 * sum p^2, a 0-d array of the dtype of ``param`` (any shape)."""
    xp = namespace(param)
    return xp.asarray(l1 * xp.sum(xp.abs(param)) + 0.5 * l2 * xp.sum(param * param))


def penalized_gradient(grad: Array, param: Array, l1: float, l2: float) -> Array:
    """Return the gradient of loss plus penalty, grad + l2 p + l1 sign(p); arrays of one shape."""
    return grad + l2 * param + l1 * namespace(grad, param).sign(param)


def clip_by_value(grad: Array, limit: float) -> Array:
    """Return the gradient with every element clipped to [-limit, limit]; ``limit`` > 0."""
    return namespace(grad).clip(grad, -limit, limit)


def global_norm(grads: Sequence[Array]) -> Array:
    """Return the Euclidean norm of all elements of one or more arrays, a 0-d array of their dtype.

    The squares are summed in float64, in which those of float32 numbers cannot overflow.
    """
    xp = namespace(*grads)
    squares = [xp.sum(xp.astype(grad, xp.float64) ** 2) for grad in grads]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return xp.astype(xp.asarray(xp.sqrt(total)), grads[0].dtype)


def clip_scale(norm: Array, limit: float) -> Array:
    """Return min(1, limit / norm) as a 0-d array, 1 for norm 0: the factor that clips a gradient.

    ``norm`` is a 0-d array from global_norm, ``limit`` > 0 (Pascanu et al. 2013, algorithm 1).
    """
    xp = namespace(norm)
    return xp.asarray(limit / xp.maximum(norm, limit))
