"""The persistent kernel: many training steps of a small network of dense layers in one launch.

Between two nodes of a graph a GPU idles for about as long as one of these works. Here the blocks of one launch stay,
and meet at barriers of their own instead, three in a step:

1. The tiles of the first layer's output are shared out over all blocks. Barrier.
2. A block takes a few rows through all other layers, the loss, and back down to the first layer's dz: no other block
   has anything to do with these rows. Barrier.
3. The tiles of all weights and biases are shared out. Whoever has the gradient of one updates it on the spot, so
   gradients never go to memory. Barrier.

The step itself is the one source of all runners, which this module gives its operations: ``train_step(net, step)``
calls the functions below by their names.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelnn_kernels.cuda import persistent_rows, persistent_update
from accelnn_kernels.cuda.persistent_shapes import INTEGERS, MAX_LAYERS, REALS


class Net(NamedTuple):
    """What the operations work on.

    integers, reals: shared arrays with the tables of the layers. partials, addends: shared scratch.
    rows: of the batch. row_bits: logarithm of the lanes over the rows that a block does. loss_bits: logarithm of the
    threads that share a row of outputs.
    source: (address of the rows of the data, their distance, address of the number of the launch's first row, scale,
    offset). targets: (as the third of these, targets, weights, factor, whether it is divided by the weights).
    arena: (values, moments_1, moments_2, hyperparameters of the launch's first step). limits: (what penalties are
    divided by, the value to which gradients are clipped, whether there is any of this).
    turn: a shared array: the number of the step, and the arrivals that the last barrier waited for.
    penalty: a local array: this thread's share of the penalties.
    """

    n_layers: Any
    integers: Any
    reals: Any
    partials: Any
    addends: Any
    rows: Any
    row_bits: Any
    loss_bits: Any
    source: Any
    targets: Any
    arena: Any
    limits: Any
    arrivals: Any
    turn: Any
    penalty: Any


def persistent_steps(
    integers, reals, n_layers, row_bits, loss_bits, x, stride, indices, rows, scale, offset,
    order, targets, weights, factor, by_weights, values, moments_1, moments_2, hyper, share, limit, is_limited,
    steps, parts, arrivals, departures, result, blocks, threads,
):  # fmt: skip
    """Train ``steps`` steps of ``rows`` rows and write their losses, reals, to ``result (steps,)``.

    ``integers (n_layers, len(INTEGERS))`` and ``reals (n_layers, len(REALS))``: the tables of
    :mod:`.persistent_shapes`. ``indices``: the address of the number of the first step's first row, ``order``: the same
    for targets and weights, ``hyper``: the address of its hyperparameters. ``parts`` has room for a real per step and
    block. ``arrivals`` and ``departures``: counters, int64, 0 before and after. All ``blocks`` have to be on the device
    at the same time. The other arguments are those of :class:`Net`.
    """
    words = cuda.shared.array(persistent_words, int64)  # a line each: the simulator tells them apart by that
    factors = cuda.shared.array(persistent_factors, real)
    partials = cuda.shared.array(dense_partials, real)
    addends = cuda.shared.array(dense_outputs, real)
    turn = cuda.shared.array(2, int64)
    penalty = cuda.local.array(1, real)
    copy_table(integers, reals, n_layers, words, factors)
    if cuda.threadIdx.x == 0:
        turn[1] = 0
    net = Net(
        n_layers, words, factors, partials, addends, int32(rows), int32(row_bits), int32(loss_bits),
        (x, stride, indices, scale, offset), (order, targets, weights, factor, by_weights),
        (values, moments_1, moments_2, hyper), (share, limit, is_limited), arrivals, turn, penalty,
    )  # fmt: skip
    step = int64(0)
    while step < steps:
        loss = block_sum(train_step(net, step))
        if cuda.threadIdx.x == 0:
            store_real(parts, step * cuda.gridDim.x + cuda.blockIdx.x, loss)
        step += 1
    meet(net)
    add_losses(parts, steps, result)
    if is_last_block(departures, cuda.gridDim.x) and cuda.threadIdx.x == 0:
        store_int(arrivals, 0, 0)


def copy_table(integers, reals, n_layers, words, factors):
    """Bring the tables to the shared memory of the block."""
    i = cuda.threadIdx.x
    while i < n_layers * words_of_layer:
        words[word(i)] = load_int(integers, i)
        i += cuda.blockDim.x
    i = cuda.threadIdx.x
    while i < n_layers * factors_of_layer:
        factors[word(i)] = load_real(reals, i)
        i += cuda.blockDim.x
    cuda.syncthreads()


def add_losses(parts, steps, result):
    """Add what the blocks have found of each step's loss, in the order of the blocks."""
    step = first_element()
    while step < steps:
        total = real(0)
        for block in range(cuda.gridDim.x):
            total += load_real(parts, step * cuda.gridDim.x + block)
        store_real(result, step, total)
        step += all_threads()


def meet(net):
    """Wait until all blocks of the launch are here; what each wrote before is then visible to all.

    The arrivals are never taken back, so that no block can miss a moment at which they are complete.
    """
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        net.turn[1] += cuda.gridDim.x
        arrive(net.arrivals)
        while count_arrivals(net.arrivals) < net.turn[1]:
            pass
    cuda.syncthreads()


def own_thread():
    """Return the number of this thread in its block."""
    return cuda.threadIdx.x


def thread_of_row():
    """Return it as ``thread_of_block`` does."""
    return int64(own_thread())


def cube_of(column_bits, row_bits):
    """Return this thread's place where the block's threads share out tiles with so many lanes."""
    me, bits = int32(own_thread()), int32(column_bits + row_bits)
    columns, rows = shift_up(int32(1), int32(column_bits)), shift_up(int32(1), int32(row_bits))
    row = int32(shift_down(me, int32(column_bits)) & int32(rows - 1))
    place = int32(me & int32(columns - 1)), row, shift_down(me, bits)
    groups = shift_down(int32(cuda.blockDim.x), bits)
    return Cube(*place, columns, rows, groups, int32(column_bits), int32(row_bits))


def field(net, index, name):
    """Return a number of a layer."""
    return net.integers[word(index * words_of_layer + name)]


def shape_of(net, index):
    """Return (rows, n_in, n_out) of a layer."""
    return net.rows, int32(field(net, index, at_n_in)), int32(field(net, index, at_n_out))


def batch_of(net, indices):
    """Return the address of the number of the first row of this step's batch; ``indices``: that of the first step's."""
    return indices + 8 * (net.turn[0] * net.rows)


def source_of(net):
    """Return the inputs of the first layer, as forward_phase takes them."""
    return net.source[0], net.source[1], batch_of(net, net.source[2]), net.source[3], net.source[4]


def source_below(net, index):
    """Return the inputs of any other layer."""
    return field(net, index, at_x), field(net, index, at_n_in), 0, real(1), real(0)


def load_batch(net, step):
    """Remember the step: the first layer reads the rows of the data itself."""
    if cuda.threadIdx.x == 0:
        net.turn[0] = step
    cuda.syncthreads()


def count_layers(net):
    """Return the number of layers."""
    return net.n_layers


def forward(net, index):
    """Compute the output of layer ``index``: of the first one all blocks together, of others a block its rows."""
    if index == 0:
        forward_tiles(net)
        meet(net)
    else:
        forward_rows(net, index)
        cuda.syncthreads()


def forward_tiles(net):
    """Do this block's tiles of the first layer's output."""
    cube = cube_of(field(net, int64(0), at_forward_columns), field(net, int64(0), at_forward_rows))
    out = net, int64(0), net.n_layers == 1
    weight, bias, shape = field(net, int64(0), at_weight), field(net, int64(0), at_bias), shape_of(net, int64(0))
    forward_from_source(
        cuda.blockIdx.x, cuda.gridDim.x, cube, source_of(net), weight, bias, out, shape, net.partials, net.addends
    )


def output_gradient(net):
    """Write the gradient of the loss for this block's rows; return this thread's share of the loss."""
    me, lanes = int64(own_thread()), int64(1 << net.loss_bits)
    threads = RowThreads(me & (lanes - 1), lanes, me >> net.loss_bits)
    order, targets, weights, factor, by_weights = net.targets
    last, loss, batch = net.n_layers - 1, real(0), batch_of(net, order)
    columns, output, d = field(net, last, at_n_out), field(net, last, at_a), field(net, last, at_da)
    if by_weights != 0:
        factor = share_of(factor, weight_of_batch(net, weights, batch))
    row, at_a_time = first_row_of_block(net), int64(cuda.blockDim.x >> net.loss_bits)
    while row < net.rows:
        span = int64(row), int64(min(net.rows, int32(row + (4 << net.row_bits)))), at_a_time
        loss += loss_of_rows(threads, span, output, d, targets, weights, batch, factor, columns)
        cuda.syncthreads()
        through_output_activation(d, field(net, last, at_z), output, span[0] * columns, span[1] * columns)
        row = next_row_of_block(net, row)
    cuda.syncthreads()
    return loss


def backward(net, index):
    """Compute dz of the layer below for this block's rows; gradients of parameters wait for all rows."""
    if index > 0:
        backward_rows(net, index)
        cuda.syncthreads()


def synchronize(net):
    """Let all blocks meet."""
    meet(net)


def update(net, step):
    """Compute this block's tiles of all gradients and update these parameters; return its share of the penalties."""
    net.penalty[0] = real(0)
    block = int64(cuda.blockIdx.x)
    for index in range(net.n_layers):
        cube = cube_of(field(net, index, at_gradient_columns), field(net, index, at_gradient_rows))
        dz, target, shape = field(net, index, at_da), (index, field(net, index, at_own_bias), net), shape_of(net, index)
        if index == 0:
            block = gradient_of_source(
                block, cuda.gridDim.x, cube, dz, source_of(net), target, shape, net.partials, net.addends
            )
        else:
            source = source_below(net, index)
            block = gradient_of_batch(block, cuda.gridDim.x, cube, dz, source, target, shape, net.partials, net.addends)
    return net.penalty[0]


OPERATIONS = (load_batch, count_layers, forward, output_gradient, backward, synchronize, update)
"""What the source of the step calls."""

TEMPLATES = (
    copy_table,
    add_losses,
    meet,
    own_thread,
    thread_of_row,
    cube_of,
    field,
    shape_of,
    batch_of,
    source_of,
    source_below,
    forward_tiles,
    *persistent_rows.TEMPLATES,
    *persistent_update.TEMPLATES,
)
"""What these call."""

CONSTANTS = {
    "words_of_layer": len(INTEGERS),
    "factors_of_layer": len(REALS),
    "persistent_words": MAX_LAYERS * len(INTEGERS),
    "persistent_factors": MAX_LAYERS * len(REALS),
    # Typed: for each literal number, field() would be compiled once more.
    **{f"at_{name}": np.int64(place) for place, name in enumerate(INTEGERS)},
}
