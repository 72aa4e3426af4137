"""Losses by name, and which output activation each of them needs.

The formulas are in `accelnn.arrays.reference.losses`. Three losses contain their output activation:
written on the pre-activations ("scores") they are exact where the two steps one after the other would
overflow, and their gradient is as simple as ``softmax(scores) - target``.
"""

from __future__ import annotations

from accelnn.arrays.reference import LOSSES, LossFormula
from accelnn.errors import invalid, unknown_name, wrong_type
from accelnn.network.activations import ACTIVATION_ENTRIES


def resolve_loss(name: str) -> LossFormula:
    """Return the formula of the loss ``name``.

    Raises ``ArgumentTypeError`` if ``name`` is not a string, ``ArgumentError`` (with the nearest known
    name) if it is unknown.
    """
    if not isinstance(name, str):
        raise wrong_type("loss", name, "use a name such as 'cross_entropy'")
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    return LOSSES[name]


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
