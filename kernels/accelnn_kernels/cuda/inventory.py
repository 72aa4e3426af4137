"""The list of CUDA kernels, from the table in which they are registered: for compiling ahead and for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from accelnn_kernels import inventory
from accelnn_kernels.catalog import SOURCE_DTYPES
from accelnn_kernels.cuda import kinds

DENSE_VARIANTS = {
    "dense_forward": ("relu", "gelu"),
    "dense_forward_gathered": ("gelu.uint8", "relu.float32", "relu.float64"),
    "dense_backward": ("identity", "relu", "gelu"),
    "dense_backward_gathered": SOURCE_DTYPES,
}
"""Of the kernels of dense layers, one for each way to read inputs and to write outputs.

Every activation is a variant of them; with which one it is changes nothing but a formula that ``bias_activation`` and
``activation_gradient`` have too.
"""


def variants_of(kind: str) -> tuple[str, ...]:
    """Return the variants of a kind of kernel: those of its CPU namesake, ``("",)`` where that has none."""
    return DENSE_VARIANTS.get(kind, inventory.VARIANTS.get(kind, ("",)))


def kernel_names(elements: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Return (kind, variant, element) of the kernels for these dtypes, as ``catalog.cuda_kernel`` takes them."""
    for element in elements:
        for kind in kinds.KINDS:
            for variant in variants_of(kind):
                yield kind, variant, element
