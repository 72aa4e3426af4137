"""The loss of an epoch from the losses of its steps."""

from __future__ import annotations

import numpy as np

from accelnn.network.losses import resolve_loss


class EpochLoss:
    """Collects the losses of an epoch's steps: their mean weighted by rows, or their sum for losses that are sums.

    loss: its name. n_rows, batch_size: rows of an epoch and of a mini-batch. weights: float64 (n,) weights of all rows
    of the data, or None.
    """

    def __init__(self, loss: str, n_rows: int, batch_size: int, weights: np.ndarray | None) -> None:
        self._is_mean = resolve_loss(loss).reduction == "mean"
        self._starts = np.arange(0, n_rows, batch_size)
        self._row_weights = weights
        self._weights = np.diff(np.append(self._starts, n_rows)).astype(np.float64)
        # One by one, because sums of chunks would be rounded differently from run to run: time decides their lengths.
        self._losses = np.zeros(len(self._starts))
        self._n_done = 0

    def begin(self, order: np.ndarray) -> None:
        """Forget the last epoch; the rows come in this order now."""
        self._n_done = 0
        if self._row_weights is not None:
            self._weights = np.add.reduceat(self._row_weights[order], self._starts)

    def add(self, first: int, losses: np.ndarray) -> None:
        """Add the losses of the steps from ``first`` on."""
        self._n_done = first + len(losses)
        self._losses[first : self._n_done] = losses

    @property
    def losses(self) -> np.ndarray:
        """The losses of the steps so far, float64 (n,); they go on changing with the next epoch."""
        return self._losses[: self._n_done]

    @property
    def value(self) -> float:
        """The loss so far."""
        losses, weights = self._losses[: self._n_done], self._weights[: self._n_done]
        if not self._is_mean:
            return float(losses.sum())
        total = float(weights.sum())
        return float((weights * losses).sum()) / total if total > 0.0 else 0.0
