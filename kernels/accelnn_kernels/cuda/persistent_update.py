"""What the persistent kernel does with gradients of parameters: whoever has one updates the parameter on the spot."""

from __future__ import annotations


def update_layer(net, index, block):
    """Do this block's tiles of a layer's weight and bias; return its next tile's number, counted from the last one on.

    The bias is one more row of the weight: that of an input that is always 1.
    """
    columns_bits = int32(field(net, index, at_gradient_columns))
    rows_bits = int32(field(net, index, at_gradient_rows))
    share = lanes_first(int32(columns_bits + rows_bits), field(net, index, at_gradient_groups))
    _, n_in, n_out = shape_of(net, index)
    n_rows = int32(n_in + 1) if field(net, index, at_own_bias) != 0 else n_in
    across = tiles_along(n_out, columns_bits)
    tile, tiles = int32(block), int32(tiles_along(n_rows, rows_bits) * across)
    while tile < tiles:
        down = int32(word(tile) // word(across))
        row, column = shift_up(down, rows_bits), shift_up(int32(tile - down * across), columns_bits)
        update_tile(net, index, share, columns_bits, row, column)
        tile = int32(tile + cuda.gridDim.x)
    return int32(tile - tiles)


def update_tile(net, index, share, columns_bits, row, column):
    """Do the tile that begins at a quad of rows and a quad of columns."""
    sums, total = cuda.local.array(16, real), cuda.local.array(4, real)
    _, n_in, n_out = shape_of(net, index)
    own_bias = field(net, index, at_own_bias)
    if share.is_active:
        clear_sums(sums)
        own_row, own_column = place_of_lane(share.lane, columns_bits, row, column)
        if own_row < quads_of_units(n_in) and own_column < quads_of(n_out):
            add_units_by_gradients(net, index, share, own_row, own_column, sums)
        put_sums(share, sums, net.partials)
    cuda.syncthreads()
    item = int32(own_thread())
    while item < fours_of_share(share):
        own_row, own_column = place_of_lane(lane_of_four(share, item), columns_bits, row, column)
        i, j = int32(4 * own_row + number_of_four(share, item)), int32(4 * own_column)
        if j < n_out and (i < n_in or (i == n_in and own_bias != 0)):
            total_of_share(share, net.partials, item, total)
            update_four(net, index, i, j, total)
        item = int32(item + cuda.blockDim.x)
    cuda.syncthreads()


def add_units_by_gradients(net, index, share, row, column, sums):
    """Add this thread's part of the products of what a layer has read and its dz, four rows of the batch at a time."""
    units, gradients, places = cuda.local.array(16, real), cuda.local.array(16, real), cuda.local.array(4, int64)
    rows, n_in, n_out = shape_of(net, index)
    across, quad, d = quads_of_units(n_out), share.group, field(net, index, at_d)
    while quad < quads_of(rows):
        fours_of_batch(d, quad, across, column, gradients)
        if index == 0:
            places_of_rows(net, quad, places)
            block_of_inputs(net, places, int32(4 * row), real(1), units)
        else:
            fours_of_batch(field(net, index - 1, at_a), quad, quads_of_units(n_in), row, units)
        add_products(units, gradients, sums)
        quad = int32(quad + shift_up(int32(1), share.group_bits))


def fours_of_batch(address, quad, across, column, values):
    """Fill ``values`` with four units of four rows of the batch, row by row, of a layer that takes ``across`` quads."""
    four, place = cuda.local.array(4, real), int32(int32(4 * quad) * across + column)
    for n in range(4):
        load_four(address, int64(4) * place, four)
        for m in range(4):
            values[4 * m + n] = four[m]
        place = int32(place + across)


def update_four(net, index, i, j, gradients):
    """Update four neighbours by their gradients: weights from input i, of the bias where that is one behind the last.

    j: the first one's output.
    """
    p, m, v = cuda.local.array(4, real), cuda.local.array(4, real), cuda.local.array(4, real)
    values, moments_1, moments_2, hyper = net.arena
    n_out, is_weight = field(net, index, at_n_out), i < field(net, index, at_n_in)
    first = ((field(net, index, at_weight if is_weight else at_own_bias) - values) >> real_bits) + j
    first, count = first + (i * n_out if is_weight else 0), min(int64(4), n_out - j)
    is_wide = is_weight and field(net, index, at_is_wide) != 0
    load_some(values, first, count, is_wide, p)
    if n_moments() > 0:
        load_some(moments_1, first, count, is_wide, m)
    if n_moments() > 1:
        load_some(moments_2, first, count, is_wide, v)
    h = hyper + ((6 * net.turn[0]) << real_bits)
    h0, h1, h2, h3, h4, h5 = (
        load_real(h, 0), load_real(h, 1), load_real(h, 2), load_real(h, 3), load_real(h, 4), load_real(h, 5)
    )  # fmt: skip
    for k in range(4):
        if net.limits[2] != 0:
            factors = index * factors_of_layer + (0 if is_weight else 2)
            gradients[k] = penalize_element(net, factors, p[k], gradients[k])
        p[k], m[k], v[k] = update_formula(p[k], gradients[k], m[k], v[k], h0, h1, h2, h3, h4, h5)
    store_some(values, first, count, is_wide, p)
    if n_moments() > 0:
        store_some(moments_1, first, count, is_wide, m)
    if n_moments() > 1:
        store_some(moments_2, first, count, is_wide, v)


def load_some(address, first, count, is_wide, values):
    """Fill ``values`` with up to four neighbours, 16 bytes at a time if that is possible; behind them come zeros."""
    if is_wide:
        load_four_real(address, first, values)
    else:
        for k in range(4):
            values[k] = load_real(address, first + k) if k < count else real(0)


def store_some(address, first, count, is_wide, values):
    """Write them."""
    if is_wide:
        for k in range(0, 4, real_width):
            store_wide_real(address, first + k, values[k : k + real_width])
    else:
        for k in range(4):
            if k < count:
                store_real(address, first + k, values[k])


def penalize_element(net, factors, p, gradient):
    """Return the gradient with that of the penalties, clipped; the penalty of this parameter is added up."""
    l1 = net.reals[word(factors)] / net.limits[0]
    l2 = net.reals[word(factors + 1)] / net.limits[0]
    net.penalty[0] += (l1 + l2 * real(0.5) * abs(p)) * abs(p)
    return penalized(gradient, p, l1, l2, net.limits[1])


TEMPLATES = (
    update_layer,
    update_tile,
    add_units_by_gradients,
    fours_of_batch,
    update_four,
    load_some,
    store_some,
    penalize_element,
)
