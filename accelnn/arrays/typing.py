"""The types that the arrays floor shares with the floors above it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Array: TypeAlias = Any
"""An array of any namespace: NumPy, CuPy or another one that follows the array API standard."""

Namespace: TypeAlias = Any
"""An array module such as ``numpy`` or ``cupy``."""

DTypeName: TypeAlias = Literal["float32", "float64"]
"""The dtypes in which a model computes."""
