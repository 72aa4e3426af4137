"""Mini-batches taken out of a data set that stays in its compact type."""

from __future__ import annotations

from accelnn.arrays.namespace import namespace
from accelnn.arrays.typing import Array, DTypeName
from accelnn.errors import unknown_name


def gather(x: Array, indices: Array, dtype: DTypeName, scale: float = 1.0, offset: float = 0.0) -> Array:
    """Return ``x[indices]`` converted to ``dtype``, times ``scale``, plus ``offset``.

    ``x`` has shape (n, ...) and any real dtype, e.g. uint8 pixels; ``indices`` (batch,) are integers in
    0..n-1; ``dtype`` is "float32" or "float64". The result (batch, ...) is a new array. Raises
    ArgumentError for another dtype.
    """
    if dtype not in ("float32", "float64"):
        raise unknown_name("dtype", dtype, ("float32", "float64"))
    xp = namespace(x, indices)
    rows = xp.astype(xp.take(x, indices, axis=0), getattr(xp, dtype))
    return rows * scale + offset
