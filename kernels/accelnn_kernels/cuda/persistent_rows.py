"""What a block of the persistent kernel does with rows of its own: the layers behind the first one, and the loss."""

from __future__ import annotations


def forward_rows(net, index):
    """Do this block's rows of another layer's output, tile after tile."""
    cube = cube_of(field(net, index, at_forward_columns), net.row_bits)
    weight, bias, shape = field(net, index, at_weight), field(net, index, at_bias), shape_of(net, index)
    out = net, index, index == net.n_layers - 1
    source, row = source_below(net, index), first_row_of_block(net)
    while row < net.rows:
        column = int32(0)
        while column < shape[2]:
            forward_tile(cube, row, column, source, weight, bias, out, shape, net.partials, net.addends)
            column = int32(column + 4 * cube.columns)
        row = next_row_of_block(net, row)


def first_row_of_block(net):
    """Return the first of the rows that this block does in all layers but the first."""
    return int32(cuda.blockIdx.x * shift_up(int32(4), net.row_bits))


def next_row_of_block(net, row):
    """Return the first of its next rows."""
    return int32(row + cuda.gridDim.x * shift_up(int32(4), net.row_bits))


def backward_rows(net, index):
    """Do the rows tile after tile."""
    cube = cube_of(field(net, index, at_backward_columns), net.row_bits)
    dz, weight, dx = field(net, index, at_da), field(net, index, at_weight), (net, index)
    below, shape = (field(net, index - 1, at_z), field(net, index - 1, at_a)), shape_of(net, index)
    row = first_row_of_block(net)
    while row < net.rows:
        column = int32(0)
        while column < shape[1]:
            input_gradient_tile(cube, row, column, dz, weight, below, dx, shape, net.partials, net.addends)
            column = int32(column + 4 * cube.columns)
        row = next_row_of_block(net, row)


def keep_dx(dx, place, value):
    """Write an element of the gradient of the layer below; ``dx``: (net, layer)."""
    store(field(dx[0], dx[1], at_dx), place, value)


def weight_of_batch(net, weights, batch):
    """Return the sum of the weights of the rows of the batch, to all threads."""
    total, row = real(0), int32(cuda.threadIdx.x)
    while row < net.rows:
        total += load_real(weights, load_int(batch, row))
        row = int32(row + cuda.blockDim.x)
    return block_sum(total)


def keep_of_layer(out, place, value):
    """Write an output, and what it was computed from if the derivative needs it; ``out``: (net, layer, is it the last).

    Addresses are looked up here rather than carried through the product, where registers are few.
    """
    net, index, is_last = out
    if output_keeps_z() if is_last else hidden_keeps_z():
        store(field(net, index, at_z), place, value)
    store(field(net, index, at_a), place, output_activation(value) if is_last else activation(value))


def leave_gradient(d, z, a, first, last):
    """Leave da as it is: it is dz for the identity."""


def multiply_by_derivative(d, z, a, first, last):
    """Turn da into dz, for the elements [first, last)."""
    i = first + cuda.threadIdx.x
    while i < last:
        own_a = load(a, i)
        store(d, i, load(d, i) * output_derivative(load(z, i) if output_keeps_z() else own_a, own_a))
        i += cuda.blockDim.x


def yes():
    """Return True, as a function that the compiler sees through."""
    return True


def no():
    """Return False."""
    return False


TEMPLATES = (
    forward_rows,
    first_row_of_block,
    next_row_of_block,
    backward_rows,
    keep_dx,
    weight_of_batch,
    keep_of_layer,
    leave_gradient,
    multiply_by_derivative,
    yes,
    no,
)
