"""All kinds of CUDA kernels, from the tables of the files in which their templates are."""

from __future__ import annotations

from accelnn_kernels.cuda import elementwise, optimizers, rounding, threads

FACTORS = frozenset({"factor", "scale", "offset", "l1", "l2", "limit", "rate", "momentum", "epsilon", "clip_norm"})
"""The parameters that are numbers of the kernel's ``real``; all others are addresses and sizes, int64."""

KINDS = {**elementwise.KINDS, **optimizers.KINDS, **rounding.KINDS}

TEMPLATES = (*threads.TEMPLATES, *optimizers.TEMPLATES)
"""The functions that kernels call."""
