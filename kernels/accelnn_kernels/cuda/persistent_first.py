"""The first layer in the persistent kernel: its weight is cut into tiles, and each block keeps its own for all steps.

A block multiplies the inputs that belong to its tile, of all rows of the batch, and writes sums to which the other
tiles of the same columns add theirs: a *slab* of inputs has one each. Later it finds the gradient of its tile and
updates it. So nobody else ever reads this part of the weight, and blocks need not meet behind the update.
"""

from __future__ import annotations


def multiply_own_tiles(net):
    """Do this block's tiles, for all rows."""
    columns_bits, inputs_bits = int32(field(net, int64(0), at_gradient_columns)), tile_inputs_bits(net)
    row_bits = int32(field(net, int64(0), at_part_rows))
    share = lanes_first(int32(columns_bits + row_bits), field(net, int64(0), at_part_groups))
    rows, n_in, n_out = shape_of(net, int64(0))
    across = tiles_along(n_out, columns_bits)
    tile, tiles = int32(cuda.blockIdx.x), int32(tiles_along(n_in, inputs_bits) * across)
    while tile < tiles:
        slab = int32(word(tile) // word(across))
        column, quad = shift_up(int32(tile - slab * across), columns_bits), int32(0)
        while quad < quads_of(rows):
            multiply_tile(net, share, slab, column, quad)
            quad = int32(quad + shift_up(int32(1), row_bits))
        tile = int32(tile + cuda.gridDim.x)


def tile_inputs_bits(net):
    """Return the logarithm of how many quads of inputs a tile has."""
    return int32(field(net, int64(0), at_gradient_rows))


def multiply_tile(net, share, slab, column, quad):
    """Do a tile for as many quads of rows as there are lanes, from number ``quad`` on; ``column``: of its first."""
    sums, total = cuda.local.array(16, real), cuda.local.array(4, real)
    rows, _, n_out = shape_of(net, int64(0))
    columns_bits = int32(field(net, int64(0), at_gradient_columns))
    if share.is_active:
        clear_sums(sums)
        own_quad, own_column = place_of_lane(share.lane, columns_bits, quad, column)
        if own_column < quads_of(n_out) and own_quad < quads_of(rows):
            add_inputs_by_weight(net, share, slab, own_column, own_quad, sums)
        put_sums(share, sums, net.partials)
    cuda.syncthreads()
    item = int32(own_thread())
    while item < fours_of_share(share):
        own_quad, own_column = place_of_lane(lane_of_four(share, item), columns_bits, quad, column)
        if own_column < quads_of(n_out) and own_quad < quads_of(rows):
            total_of_share(share, net.partials, item, total)
            place = place_in_slabs(net, slab, own_quad, number_of_four(share, item), own_column)
            store_four(net.slabs, place, total)
        item = int32(item + cuda.blockDim.x)
    cuda.syncthreads()


def place_in_slabs(net, slab, quad, number, column):
    """Return the number of a four of the sums of a slab: of a quad of rows, and of unit ``4 column + number``."""
    rows, _, n_out = shape_of(net, int64(0))
    return int32(int32(int32(slab * quads_of(rows) + quad) * 4 + number) * quads_of(n_out) + column)


def add_inputs_by_weight(net, share, slab, column, quad, sums):
    """Add this thread's part of the products of the inputs of a slab and the weight."""
    weights, inputs = cuda.local.array(16, real), cuda.local.array(16, real)
    block, places = cuda.local.array(16, real), cuda.local.array(4, int64)
    _, n_in, _ = shape_of(net, int64(0))
    places_of_rows(net, quad, places)
    size = shift_up(int32(4), tile_inputs_bits(net))
    k, step, end = int32(slab * size + 4 * share.group), shift_up(int32(4), share.group_bits), int32(slab * size + size)
    is_chunk = has_chunks(net, share)
    if is_chunk:
        k, step = int32(slab * size + 16 * share.group), int32(4)
        end = int32(k + 16)
    if is_chunk and end <= n_in:
        add_chunk_by_weight(net, places, k, column, sums)
        k = end
    end = min(end, n_in)
    while k < end:
        block_of_weight(net, int64(0), k, int32(4 * column), weights)
        block_of_inputs(net, places, k, real(0), block)
        for m in range(4):
            for i in range(4):
                inputs[4 * i + m] = block[4 * m + i]
        add_products(weights, inputs, sums)
        k = int32(k + step)


def has_chunks(net, share):
    """Return whether each group has 16 inputs of a tile, and these are bytes that can be read at once."""
    is_wide = source_width == 16 and ((net.source[0] | net.source[1]) & 15) == 0
    return is_wide and shift_up(int32(16), share.group_bits) == shift_up(int32(4), tile_inputs_bits(net))


def add_chunk_by_weight(net, places, k, column, sums):
    """Add the products of 16 inputs of each row: their loads are all under way before anything waits for one."""
    words = cuda.local.array(16, int32)
    for m in range(4):
        load_wide_word(net.source[0] + places[m] + k, 0, words[4 * m : 4 * m + 4])
    # No loop: where the compiler leaves one as it is, arrays are no registers.
    add_part_of_chunk(net, words, 0, k, column, sums)
    add_part_of_chunk(net, words, 1, k, column, sums)
    add_part_of_chunk(net, words, 2, k, column, sums)
    add_part_of_chunk(net, words, 3, k, column, sums)


def add_part_of_chunk(net, words, part, k, column, sums):
    """Do so for the four inputs that are one of four words of each row."""
    weights, inputs = cuda.local.array(16, real), cuda.local.array(16, real)
    scale, offset = net.source[3], net.source[4]
    block_of_weight(net, int64(0), int32(k + 4 * part), int32(4 * column), weights)
    for m in range(4):
        for i in range(4):
            inputs[4 * i + m] = real(byte_of_word(words[4 * m + part], int32(i))) * scale + offset
    add_products(weights, inputs, sums)


def places_of_rows(net, quad, places):
    """Fill ``places`` with where four rows of the batch begin in the data."""
    first = word(4) * word(quad)
    for m in range(4):
        places[m] = int64(net.numbers[first | word(m)]) * net.source[1]


def block_of_weight(net, index, i, j, values):
    """Fill ``values`` with the weights from inputs ``i, i + 1, i + 2, i + 3`` to outputs ``j`` to ``j + 3``.

    There is one of them at least. In the place of those that there are not come zeros.
    """
    weight, (_, n_in, n_out) = field(net, index, at_weight), shape_of(net, index)
    place = place_in_matrix(i, n_out, j)
    if field(net, index, at_is_wide) != 0:
        for m in range(4):
            load_four_real(weight, place, values[4 * m : 4 * m + 4])
            place = int32(place + n_out)
    else:
        for m in range(4):
            for n in range(4):
                is_weight = int32(i + m) < n_in and int32(j + n) < n_out
                values[4 * m + n] = load_real(weight, int32(place + n)) if is_weight else real(0)
            place = int32(place + n_out)


def block_of_inputs(net, places, k, other, values):
    """Fill ``values`` with four inputs of each of four rows, from number k on, row by row.

    In the place of those that there are not comes ``other``.
    """
    loaded, (x, stride, _, scale, offset) = cuda.local.array(16, source_type), net.source
    n_in = int32(field(net, int64(0), at_n_in))
    if begins_wide(x, stride) and k + 4 <= n_in:
        for m in range(4):  # all loads are under way before anything waits for one
            load_four_source(x, places[m] + k, loaded[4 * m : 4 * m + 4])
        for v in range(16):
            values[v] = real(loaded[v]) * scale + offset
    else:
        for m in range(4):
            for i in range(4):
                is_input = int32(k + i) < n_in
                values[4 * m + i] = one_of_source(x, places[m] + k + i, scale, offset) if is_input else other


TEMPLATES = (
    multiply_own_tiles,
    tile_inputs_bits,
    multiply_tile,
    place_in_slabs,
    add_inputs_by_weight,
    has_chunks,
    add_chunk_by_weight,
    add_part_of_chunk,
    places_of_rows,
    block_of_weight,
    block_of_inputs,
)
