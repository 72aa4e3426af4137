"""How the loss of a batch and the penalties add up to what a step minimises."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """``loss_scale`` times the loss of the batch, plus the penalties of the parameters.

    loss_scale: a factor > 0. Losses such as ``mse`` are means over the outputs of a row, elsewhere they are sums, or
        half of that: a factor is the difference.
    penalty_per_row: the penalties are divided by the number of rows of the batch, or by the sum of their weights. They
        then weigh as much against the sum over the rows whatever the size of the batch, as in scikit-learn.
    batches_weigh_rows: the loss reported for an epoch is the mean over its batches by their rows, as in scikit-learn,
        also where rows have weights; else it is the mean over the weighted rows.
    """

    loss_scale: float = 1.0
    penalty_per_row: bool = False
    batches_weigh_rows: bool = False


USUAL = Objective()
"""The loss as it is, and the penalties once in every step."""
