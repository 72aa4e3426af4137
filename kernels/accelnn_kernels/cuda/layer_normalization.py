"""Layer normalization: a row of a block's threads has a row of the batch, as in softmax.

A row is read again rather than kept: it is still in the L1 cache, and so any number of columns is the same kernel.
"""

from __future__ import annotations

from accelnn_kernels.cuda.shapes import THREADS, Kind, always, part_rows, width_of

MAX_ROW_GROUPS = 1 << 16
"""Blocks that need not add up anything together: as many as there are rows for."""


def layer_norm(x, gamma, beta, y, rows, columns, epsilon):
    """Normalize every row over its columns: y = gamma * x_hat + beta."""
    x_, gamma_, beta_ = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
    clear_columns(x_)
    first = cuda.blockIdx.x * cuda.blockDim.y
    while first < rows:
        row = first + cuda.threadIdx.y
        start, end = row * columns, columns if row < rows else 0  # threads without a row come to the sums as well
        mean, inverse = row_statistics(x, start, end, columns, epsilon)
        stripe = 0
        while first_column(stripe, columns) < end:
            column = own_column(stripe, columns)
            count = count_own_columns(column, columns)
            load_columns_real(gamma, column, count, gamma_)
            load_columns_real(beta, column, count, beta_)
            if count > 0:
                load_columns(x, start + column, count, x_)
                for k in range(width):
                    x_[k] = gamma_[k] * ((x_[k] - mean) * inverse) + beta_[k]
                store_columns(y, start + column, count, x_)
            stripe += 1
        first += cuda.gridDim.x * cuda.blockDim.y


def row_statistics(x, start, end, columns, epsilon):
    """Return mean and 1 / sqrt(variance + epsilon) of a row; a thread without a row has end = 0."""
    x_ = cuda.local.array(width, real)
    total, squares, stripe = real(0), real(0), 0
    while first_column(stripe, columns) < end:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        if count > 0:
            load_columns(x, start + column, count, x_)
            for k in range(width):
                total += x_[k] if k < count else real(0)
        stripe += 1
    mean, stripe = sum_of_row(total) / real(columns), 0
    while first_column(stripe, columns) < end:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        if count > 0:
            load_columns(x, start + column, count, x_)
            for k in range(width):
                squares += (x_[k] - mean) * (x_[k] - mean) if k < count else real(0)
        stripe += 1
    return mean, inverse_root(sum_of_row(squares) / real(columns) + epsilon)


def layer_norm_gradient(dy, x, gamma, dx, dgamma, dbeta, rows, columns, epsilon, parts, counter):
    """Write dx, and the sums of dgamma and dbeta over the rows; the launch is one block wide.

    ``parts`` has room for (gridDim.y, 2, columns) reals. A thread keeps its sums of the first stripe in registers; rows
    that are longer than a block's threads reach are added to the block's part in memory, stripe by stripe.
    """
    dgamma_, dbeta_ = cuda.local.array(width, real), cuda.local.array(width, real)
    first_dgamma, first_dbeta = cuda.local.array(width, real), cuda.local.array(width, real)
    own = cuda.blockIdx.y * 2 * columns * (16 // real_width)
    to_dgamma = dgamma if cuda.gridDim.y == 1 else parts + own
    to_dbeta = dbeta if cuda.gridDim.y == 1 else parts + own + columns * (16 // real_width)
    clear_columns(first_dgamma)
    clear_columns(first_dbeta)
    stripe = 1
    while first_column(stripe, columns) < columns:
        column = own_column(stripe, columns)
        store_columns_real(to_dgamma, column, count_own_columns(column, columns), first_dgamma)
        store_columns_real(to_dbeta, column, count_own_columns(column, columns), first_dbeta)
        stripe += 1
    first = cuda.blockIdx.y * cuda.blockDim.y
    while first < rows:
        row = first + cuda.threadIdx.y
        start, end = row * columns, columns if row < rows else 0
        mean, inverse = row_statistics(x, start, end, columns, epsilon)
        total, weighted = gradient_statistics(dy, x, gamma, start, end, columns, mean, inverse)
        stripe = 0
        while first_column(stripe, columns) < columns:
            column = own_column(stripe, columns)
            count = count_own_columns(column, columns)
            own_count = count if row < rows else 0
            layer_norm_dx(
                dy, x, gamma, dx, start, column, own_count, mean, inverse, total, weighted, dgamma_, dbeta_
            )  # fmt: skip
            if stripe == 0:
                add_columns(first_dgamma, dgamma_)
                add_columns(first_dbeta, dbeta_)
            else:
                add_to_memory(dgamma_, to_dgamma, column, count)
                add_to_memory(dbeta_, to_dbeta, column, count)
            stripe += 1
        first += all_row_threads()
    column = own_column(0, columns)
    add_over_block(first_dgamma)
    add_over_block(first_dbeta)
    store_columns_real(to_dgamma, column, count_own_columns(column, columns), first_dgamma)
    store_columns_real(to_dbeta, column, count_own_columns(column, columns), first_dbeta)
    if cuda.gridDim.y > 1:
        add_up_blocks(parts, columns, dgamma, dbeta, counter)


def gradient_statistics(dy, x, gamma, start, end, columns, mean, inverse):
    """Return the means of dy * gamma and of dy * gamma * x_hat over a row."""
    dy_, x_, gamma_ = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
    total, weighted, stripe = real(0), real(0), 0
    while first_column(stripe, columns) < end:
        column = own_column(stripe, columns)
        count = count_own_columns(column, columns)
        load_columns_real(gamma, column, count, gamma_)
        if count > 0:
            load_columns(dy, start + column, count, dy_)
            load_columns(x, start + column, count, x_)
            for k in range(width):
                if k < count:
                    total += dy_[k] * gamma_[k]
                    weighted += dy_[k] * gamma_[k] * ((x_[k] - mean) * inverse)
        stripe += 1
    return sum_of_row(total) / real(columns), sum_of_row(weighted) / real(columns)


def layer_norm_dx(dy, x, gamma, dx, start, column, count, mean, inverse, total, weighted, dgamma_, dbeta_):
    """Write dx of ``count`` columns of a row, and what they add to dgamma and dbeta to ``dgamma_`` and ``dbeta_``."""
    x_, gamma_ = cuda.local.array(width, real), cuda.local.array(width, real)
    clear_columns(dgamma_)
    clear_columns(dbeta_)
    if count > 0:
        clear_columns(x_)
        load_columns(dy, start + column, count, dbeta_)
        load_columns(x, start + column, count, x_)
        load_columns_real(gamma, column, count, gamma_)
        for k in range(width):
            x_hat = (x_[k] - mean) * inverse
            dgamma_[k] = dbeta_[k] * x_hat
            x_[k] = inverse * (dbeta_[k] * gamma_[k] - (total + x_hat * weighted))
        store_columns(dx, start + column, count, x_)


def add_columns(totals, values):
    """Add ``values`` to ``totals``."""
    for k in range(width):
        totals[k] += values[k]


def add_to_memory(values, sums, column, count):
    """Add ``values`` of all threads of the block to ``sums``, reals that no other block touches."""
    add_over_block(values)
    for k in range(width):
        if k < count and cuda.threadIdx.y == 0:
            store_real(sums, column + k, load_real(sums, column + k) + values[k])


def add_up_blocks(parts, columns, dgamma, dbeta, counter):
    """Add up the parts (gridDim.y, 2, columns) to ``dgamma`` and ``dbeta``.

    In two rounds, or the last block would need longer than all others before: the last one of 16 blocks adds up theirs,
    and the last one of these the sums.
    """
    blocks = cuda.gridDim.y
    group = cuda.blockIdx.y // 16
    first, groups = 16 * group, (blocks + 15) // 16
    if not is_last_block(counter + 8 * group, min(16, blocks - first)):
        return
    me, threads = thread_of_block(), cuda.blockDim.x * cuda.blockDim.y
    j = me
    while j < 2 * columns:
        total = sum_of_parts(parts, first, min(first + 16, blocks), 1, 2 * columns, j)
        store_real(parts, first * 2 * columns + j, total)
        j += threads
    if groups > 1 and not is_last_block(counter + 8 * groups, groups):
        return
    j = me
    while j < 2 * columns:
        total = sum_of_parts(parts, 0 if groups > 1 else first, blocks if groups > 1 else 1, 16, 2 * columns, j)
        if j < columns:
            store_real(dgamma, j, total)
        else:
            store_real(dbeta, j - columns, total)
        j += threads


def row_shape(arguments, element):
    """Threads for every 16 bytes (or element) of a row, a power of two, and for several rows if they are short."""
    lanes = _lanes(arguments["columns"], element)
    blocks = max(1, min(-(-arguments["rows"] * lanes // THREADS), MAX_ROW_GROUPS))
    return (blocks,), (lanes, THREADS // lanes)


def row_sums_shape(arguments, element):
    """Do the same one block wide, with as many blocks of rows as have room for their sums."""
    lanes, rows = _lanes(arguments["columns"], element), arguments["rows"]
    blocks = max(1, min(-(-rows * lanes // THREADS), part_rows(rows)))
    return (1, blocks), (lanes, THREADS // lanes)


def _lanes(columns, element):
    accesses = columns // width_of(element) if columns % width_of(element) == 0 else columns
    return min(THREADS, 1 << (accesses - 1).bit_length())


TEMPLATES = (
    row_statistics,
    gradient_statistics,
    layer_norm_dx,
    add_columns,
    add_to_memory,
    add_up_blocks,
)
KINDS = {
    "layer_norm": Kind(always(layer_norm), row_shape),
    "layer_norm_gradient": Kind(always(layer_norm_gradient), row_sums_shape),
}
