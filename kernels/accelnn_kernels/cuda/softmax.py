"""Softmax and what it shares with its losses: rows of a batch, each done by a row of a block's threads.

The threads with the same ``threadIdx.y`` share one row of the batch and take every ``blockDim.x``-th column of it. What
a row needs of all its columns goes through shared memory. A row is read again rather than kept: it is still in the L1
cache, and so any number of columns is the same kernel.
"""

from __future__ import annotations

from accelnn_kernels.cuda.shapes import MAX_BLOCKS, MAX_STRIPES, THREADS, row_blocks, width_of

SPREAD_THREADS = 256 * THREADS
"""A launch of fewer threads leaves a GPU idle: they are then shared out over more columns, down to one each."""


def bias_softmax(z, bias, a, rows, columns):
    """Compute a <- softmax(a + bias) row by row; each row is shifted by its maximum first."""
    lane, lanes = cuda.threadIdx.x, cuda.blockDim.x
    first = cuda.blockIdx.x * cuda.blockDim.y
    while first < rows:
        row = first + cuda.threadIdx.y
        start = row * columns
        end = columns if row < rows else 0  # threads without a row have to come to the sums as well
        largest, j = lowest(), lane
        while j < end:
            largest = larger(load(a, start + j) + load_real(bias, j), largest)
            j += lanes
        largest = largest_of_row(largest)
        total, j = real(0), lane
        while j < end:
            total += exp(load(a, start + j) + load_real(bias, j) - largest)
            j += lanes
        share, j = real(1) / sum_of_row(total), lane
        while j < end:
            store(a, start + j, exp(load(a, start + j) + load_real(bias, j) - largest) * share)
            j += lanes
        first += cuda.gridDim.x * cuda.blockDim.y


def softmax_gradient(d, z, a, db, rows, columns, parts, counter):
    """Compute d <- a * (d - sum(d * a)), the product with the softmax's Jacobian, and db <- sum of its rows.

    The launch is one block wide: a row of the batch belongs to one block.
    """
    first = cuda.blockIdx.y * cuda.blockDim.y
    while first < rows:
        row = first + cuda.threadIdx.y
        softmax_gradient_of_row(d, a, row * columns, columns if row < rows else 0)
        first += all_row_threads()
    cuda.syncthreads()  # what the other threads of this block have written is visible from here on
    values, sums = cuda.local.array(width, real), cuda.local.array(width, real)
    stripe = 0
    while first_column(stripe, columns) < columns:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        clear_columns(sums)
        clear_columns(values)
        row = first_row() if count > 0 else rows
        while row < rows:
            load_columns(d, row * columns + column, count, values)
            for k in range(width):
                sums[k] += values[k]
            row += all_row_threads()
        finish_sums(sums, db, stripe, columns, parts, counter)
        stripe += 1


def softmax_gradient_of_row(d, a, start, end):
    """Do one row, from element ``start`` on; a thread without a row has end = 0."""
    lane, lanes = cuda.threadIdx.x, cuda.blockDim.x
    inner, j = real(0), lane
    while j < end:
        inner += load(d, start + j) * load(a, start + j)
        j += lanes
    inner, j = sum_of_row(inner), lane
    while j < end:
        store(d, start + j, load(a, start + j) * (load(d, start + j) - inner))
        j += lanes


def lowest():
    """Return minus infinity: that is what a literal beyond all numbers is."""
    return real(-1e999)


def larger(x, largest):
    """Return the larger one of two; NaN does not count, and shows in the sum of exponentials."""
    return x if x > largest else largest


def largest_of_row(value):
    """Return the largest ``value`` of the threads of the same row, to all of them."""
    return largest_of_threads(value, cuda.threadIdx.y * cuda.blockDim.x, cuda.blockDim.x)


def sum_of_row(value):
    """Return the sum of ``value`` over the threads of the same row, to all of them."""
    return sum_of_threads(value, cuda.threadIdx.y * cuda.blockDim.x, cuda.blockDim.x)


def lanes_of_row(rows, columns, element):
    """Return how many threads share a row, a power of two: one for 4 columns (or 16 bytes), more in small batches."""
    lanes = power_of_two(-(-columns // max(4, width_of(element))))
    while lanes < min(columns, THREADS) and 2 * lanes * rows <= SPREAD_THREADS:
        lanes *= 2
    return lanes


def power_of_two(least):
    """Return the smallest power of two that is not below ``least``, at most THREADS."""
    return min(THREADS, 1 << (least - 1).bit_length())


def blocks_of_rows(rows, lanes, limit):
    """Return how many blocks there are where ``lanes`` threads share a row."""
    return max(1, min(-(-rows * lanes // THREADS), limit))


def forward_shape(arguments, element):
    """Rows of threads."""
    rows = arguments["rows"]
    lanes = lanes_of_row(rows, arguments["columns"], element)
    return (blocks_of_rows(rows, lanes, MAX_BLOCKS),), (lanes, THREADS // lanes)


def gradient_shape(arguments, element):
    """Rows of threads in a launch one block wide, with as many blocks of rows as have room for their sums."""
    rows, columns = arguments["rows"], arguments["columns"]
    lanes = lanes_of_row(rows, columns, element)
    limit = row_blocks(rows) if columns <= MAX_STRIPES else 1
    return (1, blocks_of_rows(rows, lanes, limit)), (lanes, THREADS // lanes)


TEMPLATES = (
    lowest,
    larger,
    largest_of_row,
    sum_of_row,
    softmax_gradient_of_row,
)
