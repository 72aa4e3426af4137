"""Dropout from a counter: the mask is a pure function of (key, row, column), on every device and thread count."""

from __future__ import annotations


def mix(h):
    """Return the 32-bit hash "lowbias32" of h (Wellons, "Prospecting for Hash Functions", 2018)."""
    h = word(h ^ (h >> word(16)))
    h = word(h * word(0x7FEB352D))
    h = word(h ^ (h >> word(15)))
    h = word(h * word(0x846CA68B))
    return word(h ^ (h >> word(16)))


def dropout_bits(index, key_0, key_1):
    """Return 32 random bits for element ``index`` of a batch."""
    return mix(word(mix(word(index ^ key_0)) + key_1))


TEMPLATES = (mix, dropout_bits)


def dropout(x, y, rows, columns, first_row, key_0, key_1, rate):
    """Write x / (1 - rate) where the element is kept and 0 elsewhere to ``y``; the gradient is the same map.

    ``first_row`` is the number of the first row in the batch, so that threads draw the same mask together as one
    would alone. (Srivastava et al. 2014, in the "inverted" form.)
    """
    x_ = matrix(x, rows, columns)
    y_ = matrix(y, rows, columns)
    threshold = word(rate * 4294967296.0)
    keep_scale = real(1.0 / (1.0 - rate))
    first, second = word(key_0), word(key_1)
    for i in range(rows):
        start = word((first_row + i) * columns)
        for j in range(columns):
            kept = dropout_bits(word(start + word(j)), first, second) >= threshold
            y_[i, j] = x_[i, j] * keep_scale if kept else real(0)
