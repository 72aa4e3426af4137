"""Activation functions and their derivatives, written for accuracy over the whole range of floats.

Every function takes pre-activations ``z`` of any floating dtype and returns a new array of the same
dtype and shape. None of them overflows: ``exp`` only ever sees arguments that it can represent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from accelnn.arrays.namespace import dtype_name, namespace
from accelnn.arrays.typing import Array
from accelnn.errors import unknown_name

LEAKY_RELU_SLOPE = 0.01
"""Slope of leaky_relu below zero (the default of PyTorch)."""

SELU_ALPHA = 1.6732632423543772
"""alpha of Klambauer et al., Self-Normalizing Neural Networks (2017), equation 14."""

SELU_SCALE = 1.0507009873554805
"""lambda of Klambauer et al., Self-Normalizing Neural Networks (2017), equation 14."""

GELU_CUBIC = 0.044715
"""Cubic coefficient of the tanh approximation in Hendrycks & Gimpel, GELUs (2016), section 2."""

GELU_LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
"""Twice the factor inside that tanh, because (1 + tanh(u)) / 2 = sigmoid(2 u)."""

GELU_LIMIT = 100.0
"""Beyond it the gate of GELU is exactly 0 or 1; clipping there keeps z**3 finite."""

EXPONENT_LIMIT: Mapping[str, float] = MappingProxyType({"float32": 88.722, "float64": 709.782})
"""Largest argument of exp by dtype: beyond it the result is infinite."""


def identity(z: Array) -> Array:
    """Return a copy of ``z``."""
    return +z


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), from exp(-|z|) so that neither tail overflows or cancels."""
    xp = namespace(z)
    decay = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, xp.ones_like(z), decay) / (1.0 + decay)


def tanh(z: Array) -> Array:
    """Return the hyperbolic tangent."""
    return namespace(z).tanh(z)


def relu(z: Array) -> Array:
    """Return max(z, 0); NaN stays NaN."""
    return namespace(z).maximum(z, 0.0)


def leaky_relu(z: Array) -> Array:
    """Return z above zero, 0.01 z below (Maas et al. 2013)."""
    return namespace(z).where(z > 0, z, LEAKY_RELU_SLOPE * z)


def elu(z: Array) -> Array:
    """Return z above zero, exp(z) - 1 below (Clevert et al. 2016, alpha = 1)."""
    xp = namespace(z)
    return xp.where(z > 0, z, xp.expm1(xp.minimum(z, 0.0)))


def selu(z: Array) -> Array:
    """Return scale * (z above zero, alpha (exp(z) - 1) below) (Klambauer et al. 2017)."""
    xp = namespace(z)
    return xp.where(z > 0, SELU_SCALE * z, (SELU_SCALE * SELU_ALPHA) * xp.expm1(xp.minimum(z, 0.0)))


def softplus(z: Array) -> Array:
    """Return log(1 + exp(z)) as max(z, 0) + log1p(exp(-|z|))."""
    xp = namespace(z)
    return xp.maximum(z, 0.0) + xp.log1p(xp.exp(-xp.abs(z)))


def silu(z: Array) -> Array:
    """Return z * sigmoid(z), also called swish (Elfwing et al. 2017)."""
    return z * sigmoid(z)


def gelu(z: Array) -> Array:
    """Return the tanh approximation of z * Phi(z) (Hendrycks & Gimpel 2016), as z * sigmoid(2 u)."""
    return z * _gelu_gate(z)


def _gelu_gate(z: Array) -> Array:
    inner = namespace(z).clip(z, -GELU_LIMIT, GELU_LIMIT)
    return sigmoid(GELU_LINEAR * (inner + GELU_CUBIC * inner * inner * inner))


def softmax(z: Array) -> Array:
    """Return exp(z) / sum(exp(z)) over the last axis, shifted by the maximum of each row."""
    xp = namespace(z)
    powers = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True)


def hard_sigmoid(z: Array) -> Array:
    """Return relu6(z + 3) / 6, the definition of PyTorch and Keras 3."""
    return namespace(z).clip(z + 3.0, 0.0, 6.0) / 6.0


def exponential(z: Array) -> Array:
    """Return exp(z), infinity where it overflows."""
    xp, limit = namespace(z), EXPONENT_LIMIT[dtype_name(z)]
    # The limit is where exp overflows; taking exp only below it keeps NumPy from warning.
    return xp.where(z > limit, xp.full_like(z, float("inf")), xp.exp(xp.minimum(z, limit)))


def _identity_derivative(z: Array, a: Array) -> Array:
    return namespace(z).ones_like(z)


def _sigmoid_derivative(z: Array, a: Array) -> Array:
    return a * (1.0 - a)


def _tanh_derivative(z: Array, a: Array) -> Array:
    return 1.0 - a * a


def _relu_derivative(z: Array, a: Array) -> Array:
    return namespace(z).astype(z > 0, z.dtype)


def _leaky_relu_derivative(z: Array, a: Array) -> Array:
    xp = namespace(z)
    return xp.where(z > 0, xp.ones_like(z), LEAKY_RELU_SLOPE)


def _elu_derivative(z: Array, a: Array) -> Array:
    return namespace(z).where(z > 0, 1.0, a + 1.0)


def _selu_derivative(z: Array, a: Array) -> Array:
    return namespace(z).where(z > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA)


def _softplus_derivative(z: Array, a: Array) -> Array:
    return sigmoid(z)


def _silu_derivative(z: Array, a: Array) -> Array:
    gate = sigmoid(z)
    return gate + a * (1.0 - gate)


def _gelu_derivative(z: Array, a: Array) -> Array:
    inner = namespace(z).clip(z, -GELU_LIMIT, GELU_LIMIT)
    gate = _gelu_gate(z)
    slope = GELU_LINEAR * (1.0 + 3.0 * GELU_CUBIC * inner * inner)
    return gate + inner * gate * (1.0 - gate) * slope


def _hard_sigmoid_derivative(z: Array, a: Array) -> Array:
    xp = namespace(z)
    return xp.astype(xp.abs(z) < 3.0, z.dtype) / 6.0


def _exponential_derivative(z: Array, a: Array) -> Array:
    return +a


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            identity,
            sigmoid,
            tanh,
            relu,
            leaky_relu,
            elu,
            selu,
            softplus,
            silu,
            gelu,
            softmax,
            hard_sigmoid,
            exponential,
        )
    }
)
"""Activation by name: ``z -> a``, both of shape (batch, units); softmax works on rows."""

DERIVATIVES: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType(
    {
        "identity": _identity_derivative,
        "sigmoid": _sigmoid_derivative,
        "tanh": _tanh_derivative,
        "relu": _relu_derivative,
        "leaky_relu": _leaky_relu_derivative,
        "elu": _elu_derivative,
        "selu": _selu_derivative,
        "softplus": _softplus_derivative,
        "silu": _silu_derivative,
        "gelu": _gelu_derivative,
        "hard_sigmoid": _hard_sigmoid_derivative,
        "exponential": _exponential_derivative,
    }
)
"""Derivative da/dz by name: ``(z, a) -> da_dz``, for every elementwise activation (all but softmax).

At a kink the value is the one of the left side: 0 for relu, 0.01 for leaky_relu, scale * alpha for
selu, and 0 for hard_sigmoid at -3 and 3.
"""


def bias_activation(z: Array, bias: Array | None, name: str) -> tuple[Array, Array]:
    """Return ``(z + bias, a)``: the pre-activation with its bias, and the activation of it.

    ``z`` has shape (batch, units), ``bias`` (units,) or is None, ``name`` is a key of ACTIVATIONS.
    Both results are new arrays of the dtype of ``z``. Raises ArgumentError for an unknown name.
    """
    function = _find(name)
    shifted = +z if bias is None else z + bias
    return shifted, function(shifted)


def activation_gradient(da: Array, z: Array, a: Array, name: str) -> tuple[Array, Array]:
    """Return ``(dz, db)``, the gradients of a loss with respect to pre-activation and bias.

    ``da`` is the gradient with respect to the activation; ``da``, ``z``, ``a`` and the result ``dz``
    have shape (batch, units), ``db`` (units,) is the sum of ``dz`` over the rows. For softmax,
    dz = a * (da - sum(da * a)) along each row (Bishop, Pattern Recognition and Machine Learning,
    2006, equation 4.106). Raises ArgumentError for an unknown name.
    """
    xp = namespace(da, z, a)
    _find(name)
    if name == "softmax":
        dz = a * (da - xp.sum(da * a, axis=-1, keepdims=True))
    else:
        dz = da * DERIVATIVES[name](z, a)
    return dz, xp.sum(dz, axis=0)


def _find(name: str) -> Callable[[Array], Array]:
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
