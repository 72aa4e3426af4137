"""Losses with their gradients: the value that is reported is the value that is differentiated.

A loss whose output layer has a matching activation is computed from the pre-activations (scores) of
that layer, because the pair is simpler and more accurate than the two steps: with softmax and
cross-entropy, or sigmoid and binary cross-entropy, the gradient is (activation - target).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from accelnn.arrays.namespace import arange, namespace
from accelnn.arrays.reference.activations import exponential, sigmoid
from accelnn.arrays.typing import Array
from accelnn.errors import ShapeError, unknown_name

RowFormula = Callable[[Array, Array], tuple[Array, Array]]

HUBER_DELTA = 1.0
"""Error at which the Huber loss turns from quadratic to linear."""


@dataclass(frozen=True)
class LossFormula:
    """One loss: its formula per row, and how rows become one number.

    name: key of LOSSES.
    rows: ``rows(output, target) -> (losses, gradient)`` with output (B, K), losses (B,) and gradient
        (B, K), not yet divided by the batch. Arrays keep the dtype of ``output``.
    fused_activation: activation that the formula contains. ``output`` is then the pre-activation of an
        output layer with that activation, and the gradient is with respect to it. None: ``output`` is
        the activation itself.
    reduction: "mean" (weighted mean over the rows) or "sum".
    """

    name: str
    rows: RowFormula
    fused_activation: str | None
    reduction: Literal["mean", "sum"]


def _cross_entropy(scores: Array, target: Array) -> tuple[Array, Array]:
    """Return -sum_k t_k log softmax(s)_k per row (Bishop 2006, equation 4.108)."""
    xp = namespace(scores, target)
    shares = _shares(scores, target)
    shifted = scores - xp.max(scores, axis=-1, keepdims=True)
    powers = xp.exp(shifted)
    total = xp.sum(powers, axis=-1, keepdims=True)
    losses = xp.sum(shares * (xp.log(total) - shifted), axis=-1)
    # A row of targets that does not sum to 1 is a weighted row: the factor keeps its gradient exact.
    return losses, powers / total * xp.sum(shares, axis=-1, keepdims=True) - shares


def _shares(scores: Array, target: Array) -> Array:
    """Return targets (B, K): one-hot rows for integer labels (B,), otherwise the given rows."""
    xp = namespace(scores)
    if target.ndim != 1:
        return matched_target(scores, target)
    classes = arange(xp, scores.shape[1], xp.int64, scores.device)
    return xp.astype(xp.astype(target, xp.int64)[:, None] == classes[None, :], scores.dtype)


def matched_target(output: Array, target: Array) -> Array:
    """Return the target with the shape and dtype of the output; broadcasting would hide mistakes."""
    xp = namespace(output, target)
    if target.ndim == 1:
        target = target[:, None]
    if target.shape != output.shape:
        raise ShapeError(
            f"target has shape {tuple(target.shape)} and output {tuple(output.shape)}: "
            "give one target per row and output"
        )
    return xp.astype(target, output.dtype)


def _binary_cross_entropy(scores: Array, target: Array) -> tuple[Array, Array]:
    """Return -sum_k [y log sigmoid(s) + (1 - y) log(1 - sigmoid(s))] per row (Bishop 2006, 4.90)."""
    xp = namespace(scores)
    y = matched_target(scores, target)
    terms = xp.maximum(scores, 0.0) - scores * y + xp.log1p(xp.exp(-xp.abs(scores)))
    return xp.sum(terms, axis=-1), sigmoid(scores) - y


def _poisson(scores: Array, target: Array) -> tuple[Array, Array]:
    """Return mean_k [exp(s) - y s] per row: the negative log-likelihood without its constant log(y!)."""
    xp = namespace(scores)
    y = matched_target(scores, target)
    rate, n_out = exponential(scores), float(scores.shape[1])
    return xp.sum((rate - y * scores) / n_out, axis=-1), (rate - y) / n_out


def _mse(output: Array, target: Array) -> tuple[Array, Array]:
    """Return mean_k (a - y)^2 per row."""
    error, n_out = output - matched_target(output, target), float(output.shape[1])
    return namespace(output).sum(error * error, axis=-1) / n_out, error * (2.0 / n_out)


def _sse(output: Array, target: Array) -> tuple[Array, Array]:
    """Return sum_k (a - y)^2 per row."""
    error = output - matched_target(output, target)
    return namespace(output).sum(error * error, axis=-1), 2.0 * error


def _mae(output: Array, target: Array) -> tuple[Array, Array]:
    """Return mean_k |a - y| per row; the gradient at no error is 0."""
    xp = namespace(output)
    error, n_out = output - matched_target(output, target), float(output.shape[1])
    return xp.sum(xp.abs(error), axis=-1) / n_out, xp.sign(error) / n_out


def _huber(output: Array, target: Array) -> tuple[Array, Array]:
    """Return mean_k of e^2 / 2 where |e| <= 1, |e| - 1/2 beyond, per row (Huber 1964)."""
    xp = namespace(output)
    error, n_out = output - matched_target(output, target), float(output.shape[1])
    clipped = xp.clip(error, -HUBER_DELTA, HUBER_DELTA)
    # With c = clip(e): c (e - c / 2) is e^2 / 2 inside and delta (|e| - delta / 2) outside.
    return xp.sum(clipped * (error - 0.5 * clipped), axis=-1) / n_out, clipped / n_out


LOSSES: Mapping[str, LossFormula] = MappingProxyType(
    {
        formula.name: formula
        for formula in (
            LossFormula("cross_entropy", _cross_entropy, "softmax", "mean"),
            LossFormula("binary_cross_entropy", _binary_cross_entropy, "sigmoid", "mean"),
            LossFormula("poisson", _poisson, "exponential", "mean"),
            LossFormula("mse", _mse, None, "mean"),
            LossFormula("sse", _sse, None, "sum"),
            LossFormula("mae", _mae, None, "mean"),
            LossFormula("huber", _huber, None, "mean"),
        )
    }
)
"""Loss by name. cross_entropy takes integer labels (B,) or rows (B, K); the others take rows (B, K)
(or (B,) where K is 1) of any dtype that converts to the dtype of the output."""


def loss_and_gradient(name: str, output: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
    """Return the loss of a batch, a 0-d array, and its gradient with respect to ``output``.

    ``output`` has shape (B, K) and is a pre-activation or an activation, as LossFormula says. ``target``
    has shape (B, K), or (B,) for labels or one output. ``weight`` (B,) holds weights >= 0 of the rows.
    A "mean" loss is sum(w l) / sum(w), or 0 when all weights are 0; a "sum" loss is sum(w l). Loss and
    gradient have the dtype of ``output``. Labels are not checked here: one outside 0..K-1 counts as a
    row without a class. Raises ArgumentError for an unknown name and ShapeError for a wrong target.
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    xp = namespace(output, target)
    formula = LOSSES[name]
    losses, gradient = formula.rows(output, target)
    factor = _row_factors(losses, weight, formula.reduction)
    # Scaling before summing keeps the mean of huge losses finite.
    return xp.asarray(xp.sum(losses * factor)), gradient * factor[:, None]


def _row_factors(losses: Array, weight: Array | None, reduction: str) -> Array:
    xp = namespace(losses)
    factors = xp.ones_like(losses) if weight is None else xp.astype(weight, losses.dtype)
    if reduction == "sum":
        return factors
    total = xp.sum(factors)
    return factors / xp.where(total > 0, total, xp.ones_like(total))
