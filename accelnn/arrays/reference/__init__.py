"""Every formula of accelnn in plain array code: the specification, the tests' oracle, the fallback.

The functions run on any namespace that follows the array API standard (NumPy, CuPy,
array_api_strict). They return new arrays, never modify their inputs and keep the dtype. They trust
their callers with values; names and shapes that would go wrong silently are checked.
"""

from accelnn.arrays.reference.activations import (
    ACTIVATIONS,
    DERIVATIVES,
    EXPONENT_LIMIT,
    LEAKY_RELU_SLOPE,
    SELU_ALPHA,
    SELU_SCALE,
    activation_gradient,
    bias_activation,
)
from accelnn.arrays.reference.batches import gather
from accelnn.arrays.reference.dropout import (
    MAX_DROPOUT_LAYERS,
    dropout,
    dropout_bits,
    dropout_keys,
    lowbias32,
)
from accelnn.arrays.reference.losses import HUBER_DELTA, LOSSES, LossFormula, loss_and_gradient
from accelnn.arrays.reference.normalization import (
    batch_norm,
    batch_norm_gradient,
    batch_norm_inference,
    layer_norm,
    layer_norm_gradient,
)
from accelnn.arrays.reference.optimizers import (
    FLUSH,
    UPDATES,
    UpdateFormula,
    clip_by_value,
    clip_scale,
    global_norm,
    penalized_gradient,
    penalty,
)

__all__ = [
    "ACTIVATIONS",
    "DERIVATIVES",
    "EXPONENT_LIMIT",
    "FLUSH",
    "HUBER_DELTA",
    "LEAKY_RELU_SLOPE",
    "LOSSES",
    "MAX_DROPOUT_LAYERS",
    "SELU_ALPHA",
    "SELU_SCALE",
    "UPDATES",
    "LossFormula",
    "UpdateFormula",
    "activation_gradient",
    "batch_norm",
    "batch_norm_gradient",
    "batch_norm_inference",
    "bias_activation",
    "clip_by_value",
    "clip_scale",
    "dropout",
    "dropout_bits",
    "dropout_keys",
    "gather",
    "global_norm",
    "layer_norm",
    "layer_norm_gradient",
    "loss_and_gradient",
    "lowbias32",
    "penalized_gradient",
    "penalty",
]
