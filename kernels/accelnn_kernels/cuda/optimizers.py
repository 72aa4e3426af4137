"""Optimizer steps over the whole arena, and what is done to gradients before: every number is read and written once."""

from __future__ import annotations

from accelnn_kernels import optimizers
from accelnn_kernels.cuda.shapes import Kind, always, elements, one_sum, one_thread


def update_arena(parameters, gradients, moments_1, moments_2, hyper, size, cursor, ahead, squares, clip_norm, copy):
    """Update ``parameters`` and moments ``(size,)`` in place; all buffers begin at multiples of 16 bytes.

    ``hyper`` has a row of 6 reals per step. ``squares`` is the address of the squared norm of all gradients, 0 where it
    does not count. ``copy``, if not 0, is where the parameters are written once more, as elements of the products.
    Moments that the formula does not have are neither read nor written: their number is known to the compiler.
    """
    h = hyper_row(cursor, ahead)
    h0, h1, h2 = load_real(hyper, h), load_real(hyper, h + 1), load_real(hyper, h + 2)
    h3, h4, h5 = load_real(hyper, h + 3), load_real(hyper, h + 4), load_real(hyper, h + 5)
    units = size // width  # ahead of the branches of clip_factor, it costs fewer registers
    factor = clip_factor(squares, clip_norm)
    p_, g_ = cuda.local.array(real_width, real), cuda.local.array(real_width, real)
    m_, v_ = cuda.local.array(real_width, real), cuda.local.array(real_width, real)
    copies = cuda.local.array(width, real)
    i = first_element()
    while i < units:
        for part in range(width // real_width):
            start = i * width + part * real_width
            load_wide_real(parameters, start, p_)
            load_wide_real(gradients, start, g_)
            load_moments(moments_1, moments_2, start, m_, v_)
            for k in range(real_width):
                p_[k], m_[k], v_[k] = update(p_[k], g_[k] * factor, m_[k], v_[k], h0, h1, h2, h3, h4, h5)
                copies[part * real_width + k] = p_[k]
            store_wide_real(parameters, start, p_)
            store_moments(moments_1, moments_2, start, m_, v_)
        if copy != 0:
            store_wide(copy, i * width, copies)
        i += all_threads()
    i = size // width * width + first_element()
    if i < size:  # fewer elements are left than any launch has threads
        m = load_real(moments_1, i) if n_moments() > 0 else real(0)
        v = load_real(moments_2, i) if n_moments() > 1 else real(0)
        g = load_real(gradients, i) * factor
        p, m, v = update(load_real(parameters, i), g, m, v, h0, h1, h2, h3, h4, h5)
        store_real(parameters, i, p)
        if n_moments() > 0:
            store_real(moments_1, i, m)
        if n_moments() > 1:
            store_real(moments_2, i, v)
        if copy != 0:
            store(copy, i, p)


def load_moments(moments_1, moments_2, start, m_, v_):
    """Load as many moments as the formula has."""
    if n_moments() > 0:
        load_wide_real(moments_1, start, m_)
    if n_moments() > 1:
        load_wide_real(moments_2, start, v_)


def store_moments(moments_1, moments_2, start, m_, v_):
    """Store as many moments as the formula has."""
    if n_moments() > 0:
        store_wide_real(moments_1, start, m_)
    if n_moments() > 1:
        store_wide_real(moments_2, start, v_)


def hyper_row(cursor, ahead):
    """Return where this step's hyperparameters begin in their table."""
    return 6 * (load_int(cursor, 0) + ahead)


def clip_factor(squares, clip_norm):
    """Return clip_norm / norm, at most 1; ``squares`` is the address of the squared norm, 0 where it does not count."""
    if squares == 0:
        return real(1)
    norm = sqrt(load_real(squares, 0))
    return clip_norm / norm if norm > clip_norm else real(1)


def no_moments():
    """Return the number of moments of a formula, as a function that the compiler sees through."""
    return 0


def one_moment():
    """Return the number of moments of a formula."""
    return 1


def two_moments():
    """Return the number of moments of a formula."""
    return 2


COUNTS = (no_moments, one_moment, two_moments)


def penalize(gradients, parameters, size, l1, l2, limit, parts, counter, result, cursor, ahead):
    """Add the gradient of l1 |p| + l2/2 p^2, clip each element to +-limit, and add the penalty to the step's loss.

    ``gradients`` and ``parameters (size,)`` may begin anywhere; ``result`` has a real for each step.
    """
    g_, p_ = cuda.local.array(real_width, real), cuda.local.array(real_width, real)
    half = l2 * real(0.5)
    penalty, i = real(0), first_element()
    wide = size // real_width if is_aligned(gradients) and is_aligned(parameters) else 0
    while i < wide:
        load_wide_real(gradients, i * real_width, g_)
        load_wide_real(parameters, i * real_width, p_)
        for k in range(real_width):
            g_[k] = penalized(g_[k], p_[k], l1, l2, limit)
            penalty += (l1 + half * abs(p_[k])) * abs(p_[k])
        store_wide_real(gradients, i * real_width, g_)
        i += all_threads()
    i = wide * real_width + first_element()
    while i < size:
        p = load_real(parameters, i)
        store_real(gradients, i, penalized(load_real(gradients, i), p, l1, l2, limit))
        penalty += (l1 + half * abs(p)) * abs(p)
        i += all_threads()
    has_total, total = launch_sum(penalty, parts, counter)
    if has_total and thread_of_block() == 0:
        slot = load_int(cursor, 0) + ahead
        store_real(result, slot, load_real(result, slot) + total)


def sum_of_squares(values, size, parts, counter, result):
    """Write the sum of squares of ``values (size,)`` to ``result[0]``; ``values`` begin at a multiple of 16 bytes.

    The sum is a tree of the kernel's reals: a thread adds a few hundred numbers at most, a block its threads, and the
    last block all blocks, so its error is far below that of one loop. In float32 the square of a number above 1.8e19 is
    infinity (on the CPU the sum is in float64): clipping to a norm then makes the gradient 0.
    """
    v_ = cuda.local.array(real_width, real)
    total, units, i = real(0), size // real_width, first_element()
    while i < units:
        load_wide_real(values, i * real_width, v_)
        for k in range(real_width):
            total += v_[k] * v_[k]
        i += all_threads()
    i = units * real_width + first_element()
    if i < size:  # fewer elements are left than any launch has threads
        total += load_real(values, i) * load_real(values, i)
    has_total, total = launch_sum(total, parts, counter)
    if has_total and thread_of_block() == 0:
        store_real(result, 0, total)


def scale(values, size, factor):
    """Multiply ``values (size,)``, reals, in place; they may begin anywhere."""
    v_ = cuda.local.array(real_width, real)
    wide, i = size // real_width if is_aligned(values) else 0, first_element()
    while i < wide:
        load_wide_real(values, i * real_width, v_)
        for k in range(real_width):
            v_[k] *= factor
        store_wide_real(values, i * real_width, v_)
        i += all_threads()
    i = wide * real_width + first_element()
    while i < size:
        store_real(values, i, load_real(values, i) * factor)
        i += all_threads()


def add_parts(parts, stride, n_parts, size, total):
    """Write the sum of ``n_parts`` vectors ``(size,)``, ``stride`` elements apart, to ``total``, in their order."""
    j = first_element()
    while j < size:
        value = load_real(parts, j)
        for part in range(1, n_parts):
            value += load_real(parts, part * stride + j)
        store_real(total, j, value)
        j += all_threads()


def advance(cursor, steps, rows):
    """Move the cursor behind ``steps`` steps of ``rows`` rows in all: the next replay of a graph begins there."""
    store_int(cursor, 0, load_int(cursor, 0) + steps)
    store_int(cursor, 1, load_int(cursor, 1) + rows)


def _update(name):
    return update_arena, {"update": name, "n_moments": COUNTS[optimizers.N_MOMENTS[name]].__name__}


TEMPLATES = (clip_factor, hyper_row, *COUNTS, load_moments, store_moments)
KINDS = {
    "update": Kind(_update, elements),
    "penalize": Kind(always(penalize), one_sum),
    "sum_of_squares": Kind(always(sum_of_squares), one_sum),
    "scale": Kind(always(scale), elements),
    "add_parts": Kind(always(add_parts), elements),
    "advance": Kind(always(advance), one_thread),
}
