"""The parts that softmax and its losses are made of, a block of rows at a time.

A row of ten classes is too short for vector instructions. So the exponentials are computed over all elements of a
block of rows at once, which is small enough to stay in the L1 cache between the parts.
"""

from __future__ import annotations

BLOCK_ELEMENTS = 2048


def rows_of_a_block(columns):
    """Return how many rows of so many columns to work on at a time."""
    return max(1, block_elements // columns)


def subtract_largest(source_values, target_values, rows, columns):
    """Write each row of ``source_values (rows, columns)`` minus its largest element; both may be the same memory."""
    source_ = matrix(source_values, rows, columns)
    target_ = matrix(target_values, rows, columns)
    for i in range(rows):
        largest = source_[i, 0]
        for j in range(1, columns):
            largest = source_[i, j] if source_[i, j] > largest else largest
        for j in range(columns):
            target_[i, j] = source_[i, j] - largest


def exponentiate(values, size):
    """Replace ``values (size,)`` by their exponentials."""
    values_ = vector(values, size)
    for i in range(size):
        values_[i] = exp(values_[i])


FORMULA_TEMPLATES = (rows_of_a_block,)
LOOP_TEMPLATES = (subtract_largest, exponentiate)

CONSTANTS = {"block_elements": BLOCK_ELEMENTS}
