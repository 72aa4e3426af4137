"""What the kernels of dense layers are made of: tiles of a product, and the sums of a tile over a block.

The threads of a block are a cube. It does tiles of four rows for each of its lanes over rows and four columns for each
of its lanes over columns. A thread has 4 x 4 outputs of one of the groups, and of G groups each has every G-th four of
the terms of each sum. So no two groups need the same numbers: they go from global memory straight to registers, no
thread waits for another before the end, and what hides the latency are the loads of all threads at once, eight of 16
bytes each. The sums of the groups are then added in shared memory, always in the same order.

Where rows do not begin at multiples of 16 bytes, a group has every G-th term, read number by number.
"""

from __future__ import annotations

from typing import NamedTuple


class Cube(NamedTuple):
    """How the threads of a block share out a tile, and which of them this thread is.

    ``columns`` and ``rows``: lanes over the columns and the rows of a tile, powers of two whose logarithms are
    ``column_bits`` and ``row_bits``; ``groups`` over the terms of its sums. ``column, row, group``: this thread's.
    """

    column: int
    row: int
    group: int
    columns: int
    rows: int
    groups: int
    column_bits: int
    row_bits: int


def launched_cube():
    """Return the cube that the launch has: its blocks have three directions."""
    columns, rows = int32(cuda.blockDim.x), int32(cuda.blockDim.y)
    place = int32(cuda.threadIdx.x), int32(cuda.threadIdx.y), int32(cuda.threadIdx.z)
    return Cube(*place, columns, rows, int32(cuda.blockDim.z), bits_of(columns), bits_of(rows))


def bits_of(lanes):
    """Return the logarithm of 1, 2, 4 or 8 lanes: a shift takes less than a division."""
    return int32(0 + (lanes > 1) + (lanes > 2) + (lanes > 4))


def lanes_bits(cube):
    """Return the logarithm of the lanes over rows and columns together."""
    return int32(cube.row_bits + cube.column_bits)


def thread_of_cube(cube):
    """Return the number of this thread in its block."""
    return int32(shift_up(int32(shift_up(cube.group, cube.row_bits) + cube.row), cube.column_bits) + cube.column)


def threads_of_cube(cube):
    """Return the number of threads of the block."""
    return shift_up(cube.groups, lanes_bits(cube))


def tiles_along(size, bits):
    """Return how many tiles with 2^bits lanes cover ``size`` rows or columns."""
    return shift_down(int32(size + shift_up(int32(4), bits) - 1), int32(2 + bits))


def tiles_of(cube, rows, columns):
    """Return how many tiles cover an output of this shape."""
    return int32(tiles_along(rows, cube.row_bits) * tiles_along(columns, cube.column_bits))


def tile_place(cube, tile, columns):
    """Return the first row and the first column of a tile of an output with so many columns."""
    across = tiles_along(columns, cube.column_bits)
    down = int32(word(tile) // word(across))
    return int32(down * (4 * cube.rows)), int32((tile - down * across) * (4 * cube.columns))


def row_of_output(cube, output):
    """Return the row of an output in its tile; a tile's outputs are numbered row by row."""
    return shift_down(output, int32(2 + cube.column_bits))


def column_of_output(cube, output):
    """Return its column."""
    return int32(output & (4 * cube.columns - 1))


def outputs_of_tile(cube):
    """Return the number of outputs of a tile."""
    return shift_up(int32(16), lanes_bits(cube))


def turns_of_outputs(cube):
    """Return in how many turns the threads do all outputs of a tile."""
    groups = cube.groups
    return shift_down(int32(16), int32(0 + (groups > 1) + (groups > 2) + (groups > 4) + (groups > 8)))


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


def slices_of_groups(cube):
    """Return in how many slices the groups are added: 16 groups each, all slices at the same time."""
    return max(int32(1), shift_down(cube.groups, int32(4)))


def add_groups(cube, sums, partials, addends):
    """Add the sums of the groups; afterwards every output is a sum of ``slices_of_groups()`` addends.

    ``partials`` and ``addends`` are shared arrays. All threads of the block have to come here. Neighbouring threads use
    neighbouring banks of the shared memory: each of a thread's 16 sums has a row of its own, with as many unused places
    at its end as the block has columns, or 8. Places are unsigned numbers, or code would be made for negative ones.
    """
    me, bits = thread_of_cube(cube), lanes_bits(cube)
    stride = int32(threads_of_cube(cube) + min(cube.columns, int32(8)))
    for v in range(16):
        partials[word(v * stride + me)] = sums[v]
    cuda.syncthreads()
    share, turn = min(int32(16), cube.groups), int32(0)
    while turn < turns_of_outputs(cube):
        item = int32(me + turn * threads_of_cube(cube))
        place = place_of_partial(cube, int32(item & (outputs_of_tile(cube) - 1)), stride)
        place = int32(place + shift_up(int32(shift_down(item, int32(4 + bits)) * share), bits))
        addends[word(item)] = sum_of_some(partials, place, shift_up(int32(1), bits), share)
        turn = int32(turn + 1)
    cuda.syncthreads()


def place_of_partial(cube, output, stride):
    """Return where the first group's sum for an output lies."""
    row, column = row_of_output(cube, output), column_of_output(cube, output)
    lane = int32(shift_up(shift_down(row, int32(2)), cube.column_bits) + shift_down(column, int32(2)))
    return int32(int32(4 * (row & 3) + (column & 3)) * stride + lane)


def total_of(cube, addends, output):
    """Return the sum for an output, after :func:`add_groups`; for a number past the last output, that of another."""
    outputs = outputs_of_tile(cube)
    return sum_of_some(addends, output & (outputs - 1), outputs, slices_of_groups(cube))


TEMPLATES = (
    launched_cube,
    bits_of,
    lanes_bits,
    thread_of_cube,
    threads_of_cube,
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
    add_groups,
    total_of,
)
