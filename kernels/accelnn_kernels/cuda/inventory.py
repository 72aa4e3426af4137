"""The list of all CUDA kernels, from the table in which they are registered: for compiling ahead and for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from accelnn_kernels import inventory
from accelnn_kernels.cuda import kinds


def variants_of(kind: str) -> tuple[str, ...]:
    """Return the variants of a kind of kernel: those of its CPU namesake, ``("",)`` where that has none."""
    return inventory.VARIANTS.get(kind, ("",))


def kernel_names(elements: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Return (kind, variant, element) of every kernel for these dtypes, as ``catalog.cuda_kernel`` takes them."""
    for element in elements:
        for kind in kinds.KINDS:
            for variant in variants_of(kind):
                yield kind, variant, element
