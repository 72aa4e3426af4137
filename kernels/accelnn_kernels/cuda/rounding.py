"""Parameters as the matrix products read them, where these read another dtype than the optimizer keeps."""

from __future__ import annotations

from accelnn_kernels.cuda.shapes import Kind, always, elements


def copy_parameters(parameters, copy, size):
    """Write ``parameters (size,)``, reals, to ``copy`` as elements of the batch."""
    i = first_element()
    while i < size:
        store(copy, i, load_real(parameters, i))
        i += all_threads()


KINDS = {"copy_parameters": Kind(always(copy_parameters), elements)}
