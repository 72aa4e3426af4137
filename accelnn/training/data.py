"""The data of a training run after all checks: what every runner can rely on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TrainingData:
    """Checked arrays on the host.

    x: (n, n_in) of uint8, float32 or float64; the elements of a row are neighbours, rows may be apart.
    y: labels, int64 (n,), or targets (n, n_out) in the model's dtype, C-contiguous.
    weights: float64 (n,), or None where every row counts the same.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None

    @property
    def has_labels(self) -> bool:
        """Whether ``y`` holds integer labels."""
        return self.y.ndim == 1

    def __len__(self) -> int:
        return len(self.x)
