"""The list of all kernels, from the tables in which they are registered: for warming up and for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from accelnn_kernels import activations, losses, optimizers
from accelnn_kernels.catalog import PLAIN_KINDS, SIGNATURES, SOURCE_DTYPES

VARIANTS = {
    "bias_activation": (*activations.NAMES, "softmax"),
    "activation_gradient": (*activations.NAMES, "softmax"),
    "loss": (*losses.NAMES, "cross_entropy_rows"),
    "update": tuple(optimizers.N_MOMENTS),
    "gather_rows": SOURCE_DTYPES,
}
"""The variants of each kind of kernel that has any."""


def kernel_names(dtypes: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Return (kind, variant, dtype) of every kernel for these dtypes, as ``catalog.kernel`` takes them."""
    for dtype in dtypes:
        for kind in SIGNATURES:
            for variant in ("",) if kind in PLAIN_KINDS else VARIANTS[kind]:
                yield kind, variant, dtype
