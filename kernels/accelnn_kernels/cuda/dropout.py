"""Dropout: the mask is a function of key and place, and the same bit by bit as on every other device."""

from __future__ import annotations

from accelnn_kernels.cuda.shapes import Kind, always, elements


def dropout(x, y, rows, columns, first_row, key_0, key_1, rate, keys, cursor, ahead, threshold, keep_scale):
    """Write x * keep_scale where the element's bits reach ``threshold`` and 0 elsewhere to ``y``, which may be ``x``.

    ``threshold`` is uint32(rate * 2**32) and ``keep_scale`` is 1 / (1 - rate), both computed in float64 by the host, as
    the CPU's kernel does: ``rate`` itself, rounded to float32, would give another mask, and is not used.

    keys: if 0, ``key_0`` and ``key_1`` are the key. Otherwise the address of this layer's key of the step 0 in the
    table of keys, two int64, and ``key_0`` is the distance to those of the next step, in int64; the step is
    cursor[0] + ahead.

    ``x, y (rows, columns)`` begin at multiples of 16 bytes. An element's number, (first_row + row) * columns + column
    modulo 2**32, runs on from row to row, so rows need not begin there.
    """
    first, second = word(key_0 & 4294967295), word(key_1 & 4294967295)
    if keys != 0:
        place = (load_int(cursor, 0) + ahead) * key_0
        first, second = word(load_int(keys, place)), word(load_int(keys, place + 1))
    start, size, bound = first_row * columns, rows * columns, word(threshold)
    values = cuda.local.array(width, real)
    units, i = size // width, first_element()
    while i < units:
        load_wide(x, i * width, values)
        number = word((start + i * width) & 4294967295)
        for k in range(width):
            values[k] = kept(values[k], word(number + word(k)), first, second, bound, keep_scale)
        store_wide(y, i * width, values)
        i += all_threads()
    i = units * width + first_element()
    if i < size:  # fewer elements are left than any launch has threads
        number = word((start + i) & 4294967295)
        store(y, i, kept(load(x, i), number, first, second, bound, keep_scale))


def kept(value, number, first, second, bound, keep_scale):
    """Return the scaled value if element ``number`` is kept, else 0."""
    return value * keep_scale if dropout_bits(number, first, second) >= bound else real(0)


TEMPLATES = (kept,)
KINDS = {"dropout": Kind(always(dropout), elements)}
