"""Losses by name, and which output activation each of them needs.

The formulas are in `accelnn.arrays.reference.losses`. Three losses contain their output activation:
written on the pre-activations ("scores") they are exact where the two steps one after the other would
overflow, and their gradient is as simple as ``softmax(scores) - target``.
"""

from __future__ import annotations

from accelnn.arrays.reference import LOSSES, LossFormula
from accelnn.errors import invalid
from accelnn.network.activations import ACTIVATION_ENTRIES
from accelnn.network.arguments import own_name

LOSS_ALIASES: dict[str, str] = {
    # cross_entropy takes labels and one-hot rows, where Keras has two names.
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "CategoricalCrossentropy": "cross_entropy",
    "SparseCategoricalCrossentropy": "cross_entropy",
    "CrossEntropyLoss": "cross_entropy",
    "CrossEntropyLossFlat": "cross_entropy",
    "multi_logloss": "cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "BinaryCrossentropy": "binary_cross_entropy",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
    "bce": "binary_cross_entropy",
    "binary_logloss": "binary_cross_entropy",
    "Poisson": "poisson",
    "PoissonNLLLoss": "poisson",
    "poisson_nll_loss": "poisson",
    "mean_squared_error": "mse",
    "MeanSquaredError": "mse",
    "MSELoss": "mse",
    "mse_loss": "mse",
    "MSE": "mse",
    "squared_error": "mse",
    "l2": "mse",
    "mean_absolute_error": "mae",
    "MeanAbsoluteError": "mae",
    "L1Loss": "mae",
    "l1_loss": "mae",
    "MAE": "mae",
    "absolute_error": "mae",
    "l1": "mae",
    "Huber": "huber",
    "HuberLoss": "huber",
    "huber_loss": "huber",
    "SmoothL1Loss": "huber",
    "smooth_l1_loss": "huber",
}
"""What Keras, PyTorch, scikit-learn, LightGBM and fastai call them."""

_TWO = "'cross_entropy' belongs to softmax and 'binary_cross_entropy' to sigmoid; leave loss out to get the right one"
_ABSENT_LOSSES = {
    **dict.fromkeys(("log_loss", "logloss", "logistic", "nll", "nll_loss", "NLLLoss", "BCE"), _TWO),
    **dict.fromkeys(("kl_divergence", "KLDivergence", "KLDivLoss", "kl_div"),
                    "use 'cross_entropy' with rows of probabilities: its gradient is the same"),
    **dict.fromkeys(("root_mean_squared_error", "rmse"), "use 'mse', whose minimum is the same, with metrics='rmse'"),
}  # fmt: skip


def resolve_loss(name: str) -> LossFormula:
    """Return the formula of the loss ``name``, which may be one of ``LOSS_ALIASES``.

    Raises ``ArgumentTypeError`` if ``name`` is not a string, ``ArgumentError`` (with the nearest known
    name) if it is unknown.
    """
    return LOSSES[own_name("loss", name, LOSSES, LOSS_ALIASES, "cross_entropy", _ABSENT_LOSSES)]


def check_pair(loss: LossFormula, output_activation: str) -> None:
    """Raise ``ArgumentError`` if ``loss`` cannot be used on a network that ends in ``output_activation``.

    cross_entropy needs softmax, binary_cross_entropy sigmoid, poisson exponential; mse, sse, mae and
    huber take any output.
    """
    needed = loss.fused_activation
    if needed is None or needed == output_activation:
        return
    fix = f"it needs a network that ends in {needed!r}, and this one ends in {output_activation!r}"
    raise invalid("loss", loss.name, f"{fix}; {_other_way(output_activation, needed)}")


def _other_way(output_activation: str, needed: str) -> str:
    entry = ACTIVATION_ENTRIES.get(output_activation)
    if entry is not None and entry.paired_loss is not None:
        return f"use loss={entry.paired_loss!r}, or end the network in {needed!r}"
    return f"end the network in {needed!r}, or use loss='mse'"
