"""The optimizer's step over the whole arena in one pass: parameters, gradients and moments are read once."""

from __future__ import annotations

from accelnn_kernels import optimizers
from accelnn_kernels.cuda.shapes import Kind, elements


def clip_factor(squares, clip_norm):
    """Return clip_norm / norm, at most 1; ``squares`` is the address of the squared norm, 0 where it does not count."""
    if squares == 0:
        return real(1)
    norm = sqrt(load_real(squares, 0))
    return clip_norm / norm if norm > clip_norm else real(1)


def update_0(parameters, gradients, moments_1, moments_2, hyper, size, cursor, ahead, squares, clip_norm, copy):
    """Update ``parameters (size,)`` in place by a formula without moments.

    ``hyper`` has a row of 6 reals per step. ``copy``, if not 0, is where the parameters are written once more, as
    elements of the products.
    """
    h = hyper_row(cursor, ahead)
    h0, h1, h2 = load_real(hyper, h), load_real(hyper, h + 1), load_real(hyper, h + 2)
    h3, h4, h5 = load_real(hyper, h + 3), load_real(hyper, h + 4), load_real(hyper, h + 5)
    factor = clip_factor(squares, clip_norm)
    p_, g_ = cuda.local.array(real_width, real), cuda.local.array(real_width, real)
    for i in range(first_element(), size // real_width, all_threads()):
        start = i * real_width
        load_wide_real(parameters, start, p_)
        load_wide_real(gradients, start, g_)
        for k in range(real_width):
            p_[k] = update(p_[k], g_[k] * factor, real(0), real(0), h0, h1, h2, h3, h4, h5)[0]
        store_wide_real(parameters, start, p_)
        if copy != 0:
            for k in range(real_width):
                store(copy, start + k, p_[k])
    for i in range(size // real_width * real_width + first_element(), size, all_threads()):
        g = load_real(gradients, i) * factor
        p = update(load_real(parameters, i), g, real(0), real(0), h0, h1, h2, h3, h4, h5)[0]
        store_real(parameters, i, p)
        if copy != 0:
            store(copy, i, p)


def hyper_row(cursor, ahead):
    """Return where this step's hyperparameters begin in their table."""
    return 6 * (load_int(cursor, 0) + ahead)


TEMPLATES = (clip_factor, hyper_row)
KINDS = {"update": Kind(lambda name: (update_0, {"update": name}), elements)}
