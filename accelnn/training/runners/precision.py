"""How precisely matrix products are computed on a CUDA device."""

from __future__ import annotations

from accelnn.errors import invalid, unknown_name

ELEMENTS = {"float32": "float32", "tf32": "float32", "bf16": "bfloat16", "float64": "float64"}
"""Name of a precision -> dtype of the arrays of a batch; weights, gradients and moments keep the model's dtype."""


def checked_precision(precision: str | None, dtype: str, argument: str = "precision") -> str:
    """Return the precision of products for a model of ``dtype``; None is that of the dtype itself.

    ``argument`` is what messages call it. Raises ArgumentError for an unknown name, and for one that does not belong to
    the dtype.
    """
    if precision is None:
        return dtype
    if precision not in ELEMENTS:
        raise unknown_name(argument, precision, ELEMENTS)
    if (precision == "float64") != (dtype == "float64"):
        use = "'float32', 'tf32' or 'bf16'" if dtype == "float32" else "'float64'"
        raise invalid(argument, precision, f"a {dtype} model takes {use}")
    return precision
