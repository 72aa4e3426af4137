"""What the kernels of dense layers are made of: tiles of a product, and the sums of a tile over a block.

A block does tiles of ``4 * blockDim.y`` rows and ``4 * blockDim.x`` columns, both powers of two and at most 32. A
thread has 4 x 4 outputs of one of ``blockDim.z`` groups, and a group every ``blockDim.z``-th four of the terms of each
sum. So no two groups need the same numbers: they go from global memory straight to registers, no thread waits for
another before the end, and what hides the latency are the loads of all threads at once, eight of 16 bytes each. The
sums of the groups are then added in shared memory, always in the same order.

Where rows do not begin at multiples of 16 bytes, a group has every ``blockDim.z``-th term, read number by number.
"""

from __future__ import annotations


def thread_of_cube():
    """Return the number of this thread in its block of three directions."""
    return int32((cuda.threadIdx.z * cuda.blockDim.y + cuda.threadIdx.y) * cuda.blockDim.x + cuda.threadIdx.x)


def threads_of_cube():
    """Return the number of threads of the block."""
    return int32(cuda.blockDim.x * cuda.blockDim.y * cuda.blockDim.z)


def tile_bits(lanes):
    """Return the logarithm of the length of a tile with 1, 2, 4 or 8 lanes: a shift takes less than a division."""
    return int32(2 + (lanes > 1) + (lanes > 2) + (lanes > 4))


def tiles_along(size, lanes):
    """Return how many tiles cover ``size`` rows or columns."""
    return int32(int32(size + 4 * lanes - 1) >> tile_bits(lanes))


def tiles_of(rows, columns):
    """Return how many tiles cover an output of this shape."""
    return int32(tiles_along(rows, cuda.blockDim.y) * tiles_along(columns, cuda.blockDim.x))


def tile_place(tile, columns):
    """Return the first row and the first column of a tile of an output with so many columns."""
    across = tiles_along(columns, cuda.blockDim.x)
    down = int32(word(tile) // word(across))
    return int32(down * (4 * cuda.blockDim.y)), int32((tile - down * across) * (4 * cuda.blockDim.x))


def row_of_output(output):
    """Return the row of an output in its tile; a tile's outputs are numbered row by row."""
    return int32(output >> tile_bits(cuda.blockDim.x))


def column_of_output(output):
    """Return its column."""
    return int32(output & (4 * cuda.blockDim.x - 1))


def outputs_of_tile():
    """Return the number of outputs of a tile."""
    return int32(16 * cuda.blockDim.x * cuda.blockDim.y)


def turns_of_outputs():
    """Return in how many turns the threads do all outputs of a tile."""
    groups = cuda.blockDim.z
    return int32(16 >> int32((groups > 1) + (groups > 2) + (groups > 4) + (groups > 8)))


def place_in_matrix(row, columns, column):
    """Return where an element lies in a matrix of fewer than 2^31 elements."""
    return int32(row * columns + column)


def begins_wide(address, stride):
    """Return whether all fours of a matrix begin where they can be read at once."""
    return (address & 15) == 0 and (stride & 3) == 0


def four_of_batch(x, place, scale, offset, values):
    """Fill ``values`` with the four elements from ``place`` on; ``scale`` and ``offset`` are for other rows."""
    load_four(x, place, values)


def replace_by_ones(has_inputs, values):
    """Replace inputs of a batch by 1 where they stand for an input that is always 1."""
    for v in range(16):
        values[v] = values[v] if has_inputs else real(1)


def one_of_batch(x, place, scale, offset):
    """Return the element at ``place``."""
    return load(x, place)


def row_of_batch(indices, row, stride):
    """Return where a row of the batch begins, in elements."""
    return int32(row * stride)


def four_of_source(x, place, scale, offset, values):
    """Fill ``values`` with what four numbers of the data from ``place`` on are as inputs."""
    loaded = cuda.local.array(4, source_type)
    load_four_source(x, place, loaded)
    for k in range(4):
        values[k] = real(loaded[k]) * scale + offset


def keep_inputs(has_inputs, values):
    """Leave inputs as they are: those from the data are then scaled by 0, and ``offset`` is 1."""


def one_of_source(x, place, scale, offset):
    """Return what the number at ``place`` is as an input."""
    return real(load_source(x, place)) * scale + offset


def row_of_source(indices, row, stride):
    """Return where a row of the batch begins in the data; ``indices``: the address of its first row's number."""
    return load_int(indices, row) * stride


def indices_of_batch(indices, cursor, ahead, rows):
    """Return the address of the number of the first row of the batch that is ``ahead`` batches behind the cursor."""
    first = load_int(cursor, 1) + ahead * rows if cursor != 0 else 0
    return indices + 8 * first


def clear_sums(sums):
    """Set all 4 x 4 sums to 0."""
    for v in range(16):
        sums[v] = real(0)


def add_product(left, right, sums):
    """Add the products of four and four numbers to the 4 x 4 sums."""
    for m in range(4):
        for n in range(4):
            sums[4 * m + n] += left[m] * right[n]


def add_products(left, right, sums):
    """Do so for four k, one after the other: number k of ``left`` and ``right`` is a list of four."""
    for k in range(4):
        add_product(left[4 * k : 4 * k + 4], right[4 * k : 4 * k + 4], sums)


def slices_of_groups():
    """Return in how many slices the groups are added: 16 groups each, all slices at the same time."""
    return max(int32(1), int32(cuda.blockDim.z >> 4))


def sum_of_some(values, first, step, count):
    """Return the sum of ``count`` values, 1 to 16, in their order; all of them are read before one is added."""
    total = real(0)
    for i in range(16):
        if i < count:
            total += values[word(first + i * step)]
    return total


def add_groups(sums, addends):
    """Add the sums of the groups; afterwards every output is a sum of ``slices_of_groups()`` addends.

    All threads of the block have to come here. Neighbouring threads use neighbouring banks of the shared memory: each
    of a thread's 16 sums has a row of its own, with as many unused places at its end as the block has columns. Places
    are unsigned numbers, or code would be made for negative ones.
    """
    partials = cuda.shared.array(dense_partials, real)
    me, lanes = thread_of_cube(), int32(cuda.blockDim.x * cuda.blockDim.y)
    stride = int32(threads_of_cube() + cuda.blockDim.x)
    for v in range(16):
        partials[word(v * stride + me)] = sums[v]
    cuda.syncthreads()
    share, slice_bits = min(int32(16), cuda.blockDim.z), tile_bits(cuda.blockDim.x) + tile_bits(cuda.blockDim.y)
    turn = int32(0)
    while turn < turns_of_outputs():
        item = int32(me + turn * threads_of_cube())
        place = place_of_partial(int32(item & (outputs_of_tile() - 1)), stride)
        place = int32(place + int32(item >> slice_bits) * share * lanes)
        addends[word(item)] = sum_of_some(partials, place, lanes, share)
        turn = int32(turn + 1)
    cuda.syncthreads()


def place_of_partial(output, stride):
    """Return where the first group's sum for an output lies."""
    row, column = row_of_output(output), column_of_output(output)
    return int32((4 * (row & 3) + (column & 3)) * stride + (row >> 2) * cuda.blockDim.x + (column >> 2))


def total_of(addends, output):
    """Return the sum for an output, after :func:`add_groups`; for a number past the last output, that of another."""
    return sum_of_some(addends, output & (outputs_of_tile() - 1), outputs_of_tile(), slices_of_groups())


TEMPLATES = (
    thread_of_cube,
    threads_of_cube,
    tile_bits,
    tiles_along,
    tiles_of,
    tile_place,
    row_of_output,
    column_of_output,
    outputs_of_tile,
    turns_of_outputs,
    place_in_matrix,
    begins_wide,
    four_of_batch,
    replace_by_ones,
    one_of_batch,
    row_of_batch,
    four_of_source,
    keep_inputs,
    one_of_source,
    row_of_source,
    indices_of_batch,
    clear_sums,
    add_product,
    add_products,
    slices_of_groups,
    place_of_partial,
    sum_of_some,
    add_groups,
    total_of,
)
