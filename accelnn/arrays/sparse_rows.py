"""Rows that are kept sparse and become dense where a batch needs them."""

from __future__ import annotations

from typing import Any

import numpy as np


class SparseRows:
    """A sparse matrix of SciPy in compressed rows (CSR) that hands out dense rows.

    matrix: ``scipy.sparse.csr_array`` or ``csr_matrix`` (n, columns) of float32 or float64. It is not copied.
    """

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        self.shape: tuple[int, int] = matrix.shape
        self.dtype: np.dtype[Any] = matrix.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some of the rows, dense."""
        dense: np.ndarray = self.matrix[rows].toarray()
        return dense

    def part(self, rows: np.ndarray) -> SparseRows:
        """Return some of the rows, sparse."""
        return SparseRows(self.matrix[rows])

    def take_into(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Write ``rows``, integers (m,), into ``out (m, columns)``, C-contiguous and of the same dtype."""
        self.matrix[rows].toarray(out=out)


def take_rows(x: np.ndarray | SparseRows, rows: np.ndarray, out: np.ndarray) -> None:
    """Write ``rows``, integers (m,) within the bounds, of a dense or sparse ``x`` into ``out (m, columns)``."""
    if isinstance(x, SparseRows):
        x.take_into(rows, out)
    else:
        np.take(x, rows, axis=0, out=out, mode="clip")
