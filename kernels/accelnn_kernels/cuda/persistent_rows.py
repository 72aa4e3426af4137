"""What a block of the persistent kernel does with four rows of its own: all layers behind the weight of the first one.

What the layers hand on stays in shared memory: first their outputs, then, in the same places, the gradients of what
they were computed from. Both are written to global memory as well, where other blocks find what the gradients of the
weights are made of.
"""

from __future__ import annotations


def forward_quads(net, index):
    """Compute the outputs of a layer, of the last one what its activation is applied to, for this block's rows."""
    quad, held = int32(cuda.blockIdx.x), int32(0)
    while quad < quads_of(net.rows):
        forward_quad(net, index, quad, held)
        quad, held = int32(quad + cuda.gridDim.x), int32(held + 1)


def forward_quad(net, index, quad, held):
    """Do so for one quad of rows; ``held``: its number among the block's own."""
    sums, total = cuda.local.array(16, real), cuda.local.array(4, real)
    share = lanes_first(field(net, index, at_forward_lanes), field(net, index, at_forward_groups))
    _, _, n_out = shape_of(net, index)
    column = int32(0)
    while column < quads_of(n_out):
        own = int32(column + share.lane)
        if share.is_active:
            start_with_bias(net, index, share, own, sums)
            if own < quads_of(n_out):
                if index == 0:
                    add_slabs(net, share, quad, own, sums)
                else:
                    add_units_by_weight(net, index, share, held, own, sums)
            put_sums(share, sums, net.partials)
        cuda.syncthreads()
        item = int32(own_thread())
        while item < fours_of_share(share):
            own = int32(column + lane_of_four(share, item))
            if own < quads_of(n_out):
                total_of_share(share, net.partials, item, total)
                keep_unit(net, index, quad, held, int32(4 * own + number_of_four(share, item)), total)
            item = int32(item + cuda.blockDim.x)
        cuda.syncthreads()
        column = int32(column + shift_up(int32(1), share.lane_bits))


def start_with_bias(net, index, share, column, sums):
    """Set the sums of the first group to the bias, others to 0. Its loads come first: none waits for them alone."""
    bias, n_out = field(net, index, at_bias), field(net, index, at_n_out)
    for n in range(4):
        j = int32(4 * column + n)
        first = load_real(bias, j) if share.group == 0 and j < n_out else real(0)
        for m in range(4):
            sums[4 * n + m] = first


def add_slabs(net, share, quad, column, sums):
    """Add this thread's part of the sums that the tiles of the first layer's weight have left, one for each slab."""
    four = cuda.local.array(4, real)
    _, n_in, n_out = shape_of(net, int64(0))
    slab, slabs = share.group, tiles_along(n_in, tile_inputs_bits(net))
    while slab < slabs:
        place = place_in_slabs(net, slab, quad, int32(0), column)
        for n in range(4):
            load_four_real(net.slabs, int64(4) * place, four)
            for m in range(4):
                sums[4 * n + m] += four[m]
            place = int32(place + quads_of(n_out))
        slab = int32(slab + shift_up(int32(1), share.group_bits))


def add_units_by_weight(net, index, share, held, column, sums):
    """Add its part of the products of the units below and the weight."""
    weights, units = cuda.local.array(16, real), cuda.local.array(16, real)
    _, n_in, _ = shape_of(net, index)
    first, across = place_of_units(net, index - 1, held), quads_of_units(n_in)
    k = share.group
    while k < quads_of(n_in):
        block_of_weight(net, index, int32(4 * k), int32(4 * column), weights)
        for i in range(4):
            get_four(net.units, int32(first + i * across + k), units[4 * i : 4 * i + 4])
        add_products(weights, units, sums)
        k = int32(k + shift_up(int32(1), share.group_bits))


def place_of_units(net, index, held):
    """Return the number of the first four of a layer's units in shared memory."""
    last = net.n_layers - 1
    of_a_quad = field(net, last, at_place) + 4 * quads_of_units(field(net, last, at_n_out))
    return int32(field(net, index, at_place) + held * of_a_quad)


def keep_unit(net, index, quad, held, unit, values):
    """Keep the outputs of a unit of a layer for a quad of rows; of the last layer what its activation is applied to.

    Behind the last unit there are zeros, because products go by fours.
    """
    n_out, is_last, four = field(net, index, at_n_out), index == net.n_layers - 1, cuda.local.array(4, real)
    place = place_of_unit(unit, n_out)
    kept = int32(place_of_units(net, index, held) + place)
    for m in range(4):
        four[m] = values[m] if is_last else activation(values[m])
        four[m] = four[m] if unit < n_out else real(0)
    put_four(net.units, kept, four)
    if hidden_keeps_z() and not is_last:
        put_four(net.zs, kept, values)
    if unit < n_out and not is_last:
        store_four(field(net, index, at_a), int32(4 * quad * quads_of_units(n_out) + place), four)


def loss_of_quads(net, factor):
    """Return this thread's share of the loss of the block's rows; what is kept of the last layer becomes its dz."""
    loss, quad, held = real(0), int32(cuda.blockIdx.x), int32(0)
    while quad < quads_of(net.rows):
        loss += loss_of_quad(net, quad, held, factor)
        quad, held = int32(quad + cuda.gridDim.x), int32(held + 1)
    return loss


def loss_of_quad(net, quad, held, factor):
    """Do one quad of rows: outputs and gradients lie row by row meanwhile, where the partial sums were."""
    last = net.n_layers - 1
    n_out, first = int32(field(net, last, at_n_out)), place_of_units(net, last, held)
    rows, i = min(int32(4), int32(net.rows - 4 * quad)), int32(own_thread())
    while i < 4 * n_out:
        row = int32(word(i) // word(n_out))
        j = int32(i - row * n_out)
        z = net.units[word(int32(4 * int32(first + place_of_unit(j, n_out)) + row))]
        net.partials[word(i)] = output_activation(z)
        i = int32(i + cuda.blockDim.x)
    cuda.syncthreads()
    me, lanes = int64(own_thread()), int64(1 << net.loss_bits)
    threads = RowThreads(me & (lanes - 1), lanes, me >> net.loss_bits)
    span = int64(0), int64(rows), int64(cuda.blockDim.x >> net.loss_bits)
    output, d = (net.partials, int32(0)), (net.partials, int32(4 * n_out))
    order, targets, weights, _, _ = net.targets
    batch = batch_of(net, order) + 32 * quad
    loss = loss_of_rows(threads, span, output, d, targets, weights, batch, factor, int64(n_out))
    cuda.syncthreads()
    i = int32(own_thread())
    while i < 4 * n_out:
        row = int32(word(i) // word(n_out))
        j = int32(i - row * n_out)
        place = int32(4 * place_of_unit(j, n_out) + row)
        z, a = net.units[word(int32(4 * first + place))], net.partials[word(i)]
        dz = output_slope(net.partials[word(int32(4 * n_out + i))], z, a) if row < rows else real(0)
        net.units[word(int32(4 * first + place))] = dz
        store(field(net, last, at_d), int64(16) * quad * quads_of_units(n_out) + place, dz)
        i = int32(i + cuda.blockDim.x)
    cuda.syncthreads()
    return loss


def place_of_unit(j, n_out):
    """Return the number of the four of unit j among those of its layer."""
    return int32(int32(j & 3) * quads_of_units(n_out) + shift_down(j, int32(2)))


def load_kept(kept, i):
    """Return an element of what lies row by row; ``kept``: (a shared array, where it begins). For the loss."""
    return kept[0][word(int32(kept[1] + i))]


def store_kept(kept, i, value):
    """Write one."""
    kept[0][word(int32(kept[1] + i))] = value


def load_wide_kept(kept, i, values):
    """Read as many as a wide access to global memory."""
    for k in range(width):
        values[k] = kept[0][word(int32(kept[1] + i + k))]


def store_wide_kept(kept, i, values):
    """Write them."""
    for k in range(width):
        kept[0][word(int32(kept[1] + i + k))] = values[k]


def backward_quads(net, index):
    """Compute dz of the layer below for this block's rows."""
    quad, held = int32(cuda.blockIdx.x), int32(0)
    while quad < quads_of(net.rows):
        backward_quad(net, index, quad, held)
        quad, held = int32(quad + cuda.gridDim.x), int32(held + 1)


def backward_quad(net, index, quad, held):
    """Do so for one quad of rows."""
    sums, total = cuda.local.array(16, real), cuda.local.array(4, real)
    share = groups_first(field(net, index, at_backward_lanes), field(net, index, at_backward_groups))
    _, n_in, _ = shape_of(net, index)
    column = int32(0)
    while column < quads_of(n_in):
        if share.is_active:
            clear_sums(sums)
            own = int32(column + share.lane)
            if own < quads_of(n_in):
                add_gradients_by_weight(net, index, share, held, own, sums)
            put_sums(share, sums, net.partials)
        cuda.syncthreads()
        item = int32(own_thread())
        while item < fours_of_share(share):
            unit = int32(4 * int32(column + lane_of_four(share, item)) + number_of_four(share, item))
            if unit < n_in:
                total_of_share(share, net.partials, item, total)
                keep_dz(net, index - 1, quad, held, unit, total)
            item = int32(item + cuda.blockDim.x)
        cuda.syncthreads()
        column = int32(column + shift_up(int32(1), share.lane_bits))


def add_gradients_by_weight(net, index, share, held, column, sums):
    """Add its part of the products of the dz of a layer and the weight."""
    block, weights, gradients = cuda.local.array(16, real), cuda.local.array(16, real), cuda.local.array(16, real)
    _, _, n_out = shape_of(net, index)
    first, across = place_of_units(net, index, held), quads_of_units(n_out)
    k = share.group
    while k < quads_of(n_out):
        block_of_weight(net, index, int32(4 * column), int32(4 * k), block)
        for i in range(4):
            get_four(net.units, int32(first + i * across + k), gradients[4 * i : 4 * i + 4])
            for n in range(4):
                weights[4 * i + n] = block[4 * n + i]
        add_products(weights, gradients, sums)
        k = int32(k + shift_up(int32(1), share.group_bits))


def keep_dz(net, index, quad, held, unit, gradients):
    """Make the gradients of a unit's outputs those of what they were computed from, and keep these instead of them."""
    a, z, n_out = cuda.local.array(4, real), cuda.local.array(4, real), field(net, index, at_n_out)
    place = place_of_unit(unit, n_out)
    kept = int32(place_of_units(net, index, held) + place)
    get_four(net.units, kept, a)
    get_four(net.zs if hidden_keeps_z() else net.units, kept, z)
    for m in range(4):
        a[m] = gradients[m] * derivative(z[m], a[m])
    put_four(net.units, kept, a)
    store_four(field(net, index, at_d), int32(4 * quad * quads_of_units(n_out) + place), a)


def leave_gradient(d, z, a):
    """Return da: it is dz for the identity."""
    return d


def through_output_activation(d, z, a):
    """Return dz of the last layer."""
    return d * output_derivative(z, a)


def weight_of_batch(net, weights, batch):
    """Return the sum of the weights of the rows of the batch, to all threads."""
    total, row = real(0), int32(cuda.threadIdx.x)
    while row < net.rows:
        total += load_real(weights, load_int(batch, row))
        row = int32(row + cuda.blockDim.x)
    return block_sum(total)


def yes():
    """Return True, as a function that the compiler sees through."""
    return True


def no():
    """Return False."""
    return False


KEPT = {"load": load_kept, "store": store_kept, "load_wide": load_wide_kept, "store_wide": store_wide_kept}
"""How the loss reads outputs and writes gradients here."""

TEMPLATES = (
    forward_quads,
    forward_quad,
    start_with_bias,
    add_slabs,
    add_units_by_weight,
    place_of_units,
    keep_unit,
    loss_of_quads,
    loss_of_quad,
    place_of_unit,
    backward_quads,
    backward_quad,
    add_gradients_by_weight,
    keep_dz,
    leave_gradient,
    through_output_activation,
    weight_of_batch,
    yes,
    no,
)
