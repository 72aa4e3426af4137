"""All kinds of CUDA kernels, from the tables of the files in which their templates are."""

from __future__ import annotations

from accelnn_kernels.cuda import (
    batches,
    dense,
    dense_gradients,
    dense_products,
    dropout,
    elementwise,
    gradients,
    layer_normalization,
    losses,
    normalization,
    optimizers,
    rounding,
    softmax,
    stripes,
    threads,
)

FACTORS = frozenset(
    {
        "factor",
        "scale",
        "offset",
        "l1",
        "l2",
        "share",
        "limit",
        "rate",
        "keep_scale",
        "momentum",
        "epsilon",
        "clip_norm",
    }
)
"""The parameters that are numbers of the kernel's ``real``; all others are addresses and sizes, int64."""

EXTRA = (
    "indices", "cursor", "ahead", "parts", "counter", "total", "squares", "clip_norm", "result", "copy", "keys",
    "threshold", "keep_scale",
)  # fmt: skip
"""The parameters behind those of the CPU's kernels; :mod:`accelnn_kernels.cuda.catalog` says what they mean."""

WITHOUT_CPU_NAMESAKE = frozenset({"advance", "copy_parameters", *dense.KINDS, *dense_gradients.KINDS})
"""Kinds that only a device needs."""

GATHERING = frozenset({"gather_rows", "dense_forward_gathered", "dense_backward_gathered"})
"""Kinds that read rows of the data: their variant, or the last part of it, is the data's dtype."""

KINDS = {
    **batches.KINDS,
    **dense.KINDS,
    **dense_gradients.KINDS,
    **dropout.KINDS,
    **elementwise.KINDS,
    **gradients.KINDS,
    **layer_normalization.KINDS,
    **losses.KINDS,
    **normalization.KINDS,
    **optimizers.KINDS,
    **rounding.KINDS,
}

TEMPLATES = (
    *threads.TEMPLATES,
    *stripes.TEMPLATES,
    *batches.TEMPLATES,
    *dense_products.TEMPLATES,
    *dense.TEMPLATES,
    *dense_gradients.TEMPLATES,
    *dropout.TEMPLATES,
    *elementwise.TEMPLATES,
    *softmax.TEMPLATES,
    *gradients.TEMPLATES,
    *losses.TEMPLATES,
    *normalization.TEMPLATES,
    *layer_normalization.TEMPLATES,
    *optimizers.TEMPLATES,
)
"""The functions that kernels call."""
