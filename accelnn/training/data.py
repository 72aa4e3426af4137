"""The data of a training run after all checks: what every runner can rely on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelnn.arrays.foreign import taken
from accelnn.arrays.sparse_rows import SparseRows
from accelnn.arrays.typing import Array


@dataclass(frozen=True)
class TrainingData:
    """Checked arrays. ``x`` and ``y`` lie on the host, or on the model's device where the user's do; each for itself.

    x: (n, n_in) of uint8, float32 or float64; the elements of a row are neighbours, rows may be apart. Or the same
        rows sparse, on the host (:class:`accelnn.arrays.sparse_rows.SparseRows`).
    y: labels, int64 (n,), or targets (n, n_out) in the model's dtype, C-contiguous; on a device they begin at a
        multiple of 16 bytes.
    weights: float64 (n,) on the host, or None where every row counts the same.
    """

    x: Array
    y: Array
    weights: np.ndarray | None = None

    @property
    def has_labels(self) -> bool:
        """Whether ``y`` holds integer labels."""
        return bool(self.y.ndim == 1)

    @property
    def row_bytes(self) -> int:
        """The bytes of a row of the inputs, as if it were dense."""
        return int(self.x.shape[1]) * int(self.x.dtype.itemsize)

    def rows(self, rows: np.ndarray) -> TrainingData:
        """Return some of the rows, host integers (m,), as a copy where the arrays lie."""
        weights = None if self.weights is None else self.weights[rows]
        x = self.x.part(rows) if isinstance(self.x, SparseRows) else taken(self.x, rows)
        return TrainingData(x, taken(self.y, rows), weights)

    def __len__(self) -> int:
        return len(self.x)
