"""Lets numba-cuda 0.30 work with NumPy 2.5, which has lost a name that it calls, so that machines with both can check.

Importing this module is enough; a plugin of pytest may do it too. accelnn's own requirements ask for an older NumPy.
"""

from __future__ import annotations

import numpy as np

MENDED = "row_stack" not in vars(np)
"""Whether the name was missing."""

vars(np).setdefault("row_stack", np.vstack)
