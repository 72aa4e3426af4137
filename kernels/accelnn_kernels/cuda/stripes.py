"""Sums over the rows of a batch, for a stripe of columns at a time.

A launch has blocks in two directions: ``blockIdx.x`` is the stripe, and the ``gridDim.y`` blocks of a stripe share its
rows. A thread adds up its rows for ``width`` neighbouring columns where all rows begin at a multiple of 16 bytes, else
for one column. Then the threads of a block add up, and the block that comes last to the stripe's counter adds the
parts of all blocks in their order. With one block for all rows there are no parts and no counter.

A kernel loops over the stripes (from ``blockIdx.x`` in steps of ``gridDim.x``), so it is right for every launch whose
blocks have a power of two of threads in both directions.
"""

from __future__ import annotations


def columns_of_a_thread(columns):
    """Return how many neighbouring columns a thread does at once: ``width`` where rows begin at 16 bytes, else 1."""
    return width if columns % width == 0 else 1


def first_column(stripe, columns):
    """Return the first column of a stripe; behind the last stripe, it lies behind the last column."""
    return stripe * cuda.blockDim.x * columns_of_a_thread(columns)


def own_column(stripe, columns):
    """Return the first column of this thread in a stripe; it may lie behind the last one."""
    return (stripe * cuda.blockDim.x + cuda.threadIdx.x) * columns_of_a_thread(columns)


def count_own_columns(column, columns):
    """Return how many columns a thread has whose first one is ``column``: ``width``, 1, or 0 behind the last one."""
    return columns_of_a_thread(columns) if column < columns else 0


def first_row():
    """Return this thread's first row."""
    return cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y


def all_row_threads():
    """Return how many threads share the rows of a stripe."""
    return cuda.gridDim.y * cuda.blockDim.y


def clear_columns(values):
    """Set all ``width`` values to 0."""
    for k in range(width):
        values[k] = real(0)


def load_columns(address, index, count, values):
    """Load ``count`` (``width`` or 1) neighbouring elements of a batch."""
    if count == width:
        load_wide(address, index, values)
    else:
        values[0] = load(address, index)


def store_columns(address, index, count, values):
    """Store ``count`` (``width`` or 1) neighbouring elements of a batch."""
    if count == width:
        store_wide(address, index, values)
    else:
        store(address, index, values[0])


def load_columns_real(address, index, count, values):
    """Load ``count`` neighbouring reals, which may begin anywhere; the other values become 0."""
    for k in range(width):
        values[k] = load_real(address, index + k) if k < count else real(0)


def store_columns_real(address, index, count, values):
    """Store ``count`` neighbouring reals from the threads of the block's first row."""
    for k in range(width):
        if k < count and cuda.threadIdx.y == 0:
            store_real(address, index + k, values[k])


def add_over_block(values):
    """Add up ``values`` over the threads with the same ``threadIdx.x``; all of them get the sums."""
    if cuda.blockDim.y == 1:
        return
    sums = cuda.shared.array((width, block_threads), real)
    me = word(thread_of_block())
    for k in range(width):
        sums[k, me] = values[k]
    half = cuda.blockDim.y // 2
    while half > 0:
        cuda.syncthreads()
        if cuda.threadIdx.y < half:
            for k in range(width):
                sums[k, me] += sums[k, word(me + half * cuda.blockDim.x)]
        half //= 2
    cuda.syncthreads()
    for k in range(width):
        values[k] = sums[k, word(cuda.threadIdx.x)]
    cuda.syncthreads()  # the next sums overwrite them


def sum_of_parts(parts, first, end, step, length, j):
    """Return the sum of element ``j`` of the parts first, first + step... before ``end``, of ``length`` reals each."""
    total, part = real(0), first
    while part < end:
        for k in range(16):  # so many are read at a time
            if part + k * step < end:
                total += load_real(parts, (part + k * step) * length + j)
        part += 16 * step
    return total


def add_parts_of_blocks(parts, sums, stripe, columns):
    """Write the sums of the parts (gridDim.y, columns) of all blocks of a stripe to ``sums``, one column a thread."""
    j = first_column(stripe, columns) + thread_of_block()
    end = min(first_column(stripe + 1, columns), columns)
    while j < end:
        store_real(sums, j, sum_of_parts(parts, 0, cuda.gridDim.y, 1, columns, j))
        j += cuda.blockDim.x * cuda.blockDim.y


def finish_sums(values, sums, stripe, columns, parts, counter):
    """Write the sums of ``values`` over all threads of the stripe's columns to ``sums (columns,)``.

    ``parts`` has room for (gridDim.y, columns) reals, ``counter`` for one int64 per stripe.
    """
    column = own_column(stripe, columns)
    count = count_own_columns(column, columns)
    add_over_block(values)
    if cuda.gridDim.y == 1:
        store_columns_real(sums, column, count, values)
        return
    store_columns_real(parts, cuda.blockIdx.y * columns + column, count, values)
    if is_last_block(counter + 8 * stripe, cuda.gridDim.y):
        add_parts_of_blocks(parts, sums, stripe, columns)


def finish_two_sums(values_1, values_2, sums_1, sums_2, stripe, columns, parts, counter):
    """Do the same for two sums at once; ``parts`` has room for (2, gridDim.y, columns) reals."""
    column = own_column(stripe, columns)
    count = count_own_columns(column, columns)
    add_over_block(values_1)
    add_over_block(values_2)
    if cuda.gridDim.y == 1:
        store_columns_real(sums_1, column, count, values_1)
        store_columns_real(sums_2, column, count, values_2)
        return
    second_parts = parts + cuda.gridDim.y * columns * (16 // real_width)
    store_columns_real(parts, cuda.blockIdx.y * columns + column, count, values_1)
    store_columns_real(second_parts, cuda.blockIdx.y * columns + column, count, values_2)
    if is_last_block(counter + 8 * stripe, cuda.gridDim.y):
        add_parts_of_blocks(parts, sums_1, stripe, columns)
        add_parts_of_blocks(second_parts, sums_2, stripe, columns)


TEMPLATES = (
    columns_of_a_thread, first_column, own_column, count_own_columns, first_row, all_row_threads, clear_columns,
    load_columns, store_columns, load_columns_real, store_columns_real, add_over_block, sum_of_parts,
    add_parts_of_blocks, finish_sums, finish_two_sums,
)  # fmt: skip
"""Each may call those before it."""
