"""The names of the activations, the loss each one pairs with, and the weights it likes to start from.

The formulas are in `accelnn.arrays.reference.activations`.
"""

from __future__ import annotations

from dataclasses import dataclass

from accelnn.network.arguments import own_name


@dataclass(frozen=True)
class ActivationEntry:
    """What the network floor knows about an activation.

    ``default_initializer`` is the name of the initializer of a `Dense` layer that ends in it.
    ``paired_loss`` is the loss whose formula contains it, or ``None``.
    """

    name: str
    default_initializer: str
    paired_loss: str | None = None


def _entry(name: str, initializer: str, loss: str | None = None) -> tuple[str, ActivationEntry]:
    return name, ActivationEntry(name, initializer, loss)


# Half of relu's inputs are cut off, so its weights start with twice the variance (He et al. 2015); the
# smooth relatives behave alike. selu keeps mean 0 and variance 1 only from lecun_normal weights
# (Klambauer et al. 2017). The others follow Glorot & Bengio 2010.
ACTIVATION_ENTRIES: dict[str, ActivationEntry] = dict(
    [
        _entry("identity", "glorot_uniform"),
        _entry("sigmoid", "glorot_uniform", "binary_cross_entropy"),
        _entry("tanh", "glorot_uniform"),
        _entry("relu", "he_normal"),
        _entry("leaky_relu", "he_normal"),
        _entry("elu", "he_normal"),
        _entry("selu", "lecun_normal"),
        _entry("softplus", "glorot_uniform"),
        _entry("silu", "he_normal"),
        _entry("gelu", "he_normal"),
        _entry("softmax", "glorot_uniform", "cross_entropy"),
        _entry("hard_sigmoid", "glorot_uniform"),
        _entry("exponential", "glorot_uniform", "poisson"),
    ]
)


ACTIVATION_ALIASES: dict[str, str] = {
    "linear": "identity",
    "Identity": "identity",
    "logistic": "sigmoid",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "leakyrelu": "leaky_relu",
    "lrelu": "leaky_relu",
    "ELU": "elu",
    "SELU": "selu",
    "Softplus": "softplus",
    "swish": "silu",
    "SiLU": "silu",
    "GELU": "gelu",
    "Softmax": "softmax",
    "Hardsigmoid": "hard_sigmoid",
    "hardsigmoid": "hard_sigmoid",
    "exp": "exponential",
}
"""What Keras, PyTorch and scikit-learn call them."""

_ABSENT_ACTIVATIONS = {
    **dict.fromkeys(("log_softmax", "LogSoftmax"), "use 'softmax': losses are computed from the values before it"),
    **dict.fromkeys(("celu", "CELU"), "use 'elu', which is the same where alpha is 1"),
    **dict.fromkeys(("prelu", "PReLU"), "use 'leaky_relu', whose slope is not learned"),
    **dict.fromkeys(("relu6", "ReLU6"), "use 'relu', which has no upper bound"),
    **dict.fromkeys(("mish", "Mish"), "use 'silu', a curve of the same kind"),
    **dict.fromkeys(("softsign", "Softsign"), "use 'tanh', which has the same bounds"),
}


def resolve_activation(name: str, argument: str = "activation") -> ActivationEntry:
    """Return the entry of the activation ``name``, which may be one of ``ACTIVATION_ALIASES``.

    Raises ``ArgumentTypeError`` if ``name`` is not a string, ``ArgumentError`` (with the nearest known
    name) if it is unknown; ``argument`` is the name in the message.
    """
    example = "identity" if name is None else "relu"
    own = own_name(argument, name, ACTIVATION_ENTRIES, ACTIVATION_ALIASES, example, _ABSENT_ACTIVATIONS)
    return ACTIVATION_ENTRIES[own]
