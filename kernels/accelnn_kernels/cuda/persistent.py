"""The persistent kernel: many training steps of a small network of dense layers in one launch.

Between two nodes of a graph a GPU idles for about as long as one of these works. Here the blocks of one launch stay,
and meet at barriers of their own instead, two in a step:

1. The weight of the first layer is cut into tiles, and each block has its own of them in all steps. It multiplies them
   by the inputs of all rows. Barrier.
2. A block takes four rows of its own through what is left: it adds up what the tiles of the first layer have given,
   does the other layers and the loss, and goes back down to the first layer's dz. Barrier.
3. The tiles of all weights and biases are shared out, those of the first layer to the blocks that have them anyway.
   Whoever has the gradient of one updates it on the spot, so gradients never go to memory. A block that is done begins
   the next step: of what others update now, only the second part reads anything.

The step itself is the one source of all runners, which this module gives its operations: ``train_step(net, step)``
calls the functions below by their names.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelnn_kernels.cuda import persistent_first, persistent_rows, persistent_sums, persistent_update
from accelnn_kernels.cuda.persistent_shapes import INTEGERS, MAX_LAYERS, MAX_ROWS, REALS


class Net(NamedTuple):
    """What the operations work on.

    integers, reals: shared arrays with the tables of the layers. numbers: one with the numbers in the data of the rows
    of the batch. units: one with the fours of all layers' units, of each quad of rows that the block has; zs: the same
    with what activations were applied to, where derivatives need it. partials: shared scratch.
    rows: of the batch. loss_bits: logarithm of the threads that share a row of outputs.
    source: (address of the rows of the data, their distance, address of the number of the launch's first row, scale,
    offset). slabs: the address of the sums that the tiles of the first layer's weight leave.
    targets: (as the third of the source, targets, weights, factor, whether it is divided by the weights).
    arena: (values, moments_1, moments_2, hyperparameters of the launch's first step). limits: (what penalties are
    divided by, the value to which gradients are clipped, whether there is any of this).
    turn: a shared array: the number of the step, and the arrivals that the last barrier waited for.
    penalty: a local array: this thread's share of the penalties.
    """

    n_layers: Any
    integers: Any
    reals: Any
    numbers: Any
    units: Any
    zs: Any
    partials: Any
    rows: Any
    loss_bits: Any
    source: Any
    slabs: Any
    targets: Any
    arena: Any
    limits: Any
    arrivals: Any
    turn: Any
    penalty: Any


def persistent_steps(
    integers, reals, n_layers, loss_bits, x, stride, indices, rows, scale, offset, slabs,
    order, targets, weights, factor, by_weights, values, moments_1, moments_2, hyper, share, limit, is_limited,
    steps, parts, arrivals, departures, result, blocks, threads,
):  # fmt: skip
    """Train ``steps`` steps of ``rows`` rows and write their losses, reals, to ``result (steps,)``.

    ``integers (n_layers, len(INTEGERS))`` and ``reals (n_layers, len(REALS))``: the tables of
    :mod:`.persistent_shapes`, which says how large ``slabs`` is. ``indices``: the address of the number of the first
    step's first row, ``order``: the same for targets and weights, ``hyper``: the address of its hyperparameters.
    ``parts`` has room for a real per step and block. ``arrivals`` and ``departures``: counters, int64, 0 before and
    after. All ``blocks`` have to be on the device at the same time. The other arguments are those of :class:`Net`.
    """
    # A line each: the simulator tells arrays apart by that.
    words = cuda.shared.array((most_layers, words_of_layer), int64)
    factors = cuda.shared.array(persistent_factors, real)
    numbers = cuda.shared.array(persistent_numbers, int32, four_alignment)
    units = cuda.shared.array(persistent_units, real, four_alignment)
    zs = cuda.shared.array(persistent_zs, real)
    partials = cuda.shared.array(persistent_partials, real, four_alignment)
    turn = cuda.shared.array(2, int64)
    penalty = cuda.local.array(1, real)
    copy_table(integers, reals, n_layers, words, factors)
    if cuda.threadIdx.x == 0:
        turn[1] = 0
    net = Net(
        int32(n_layers), words, factors, numbers, units, zs, partials, int32(rows), int32(loss_bits),
        (x, stride, indices, scale, offset), slabs, (order, targets, weights, factor, by_weights),
        (values, moments_1, moments_2, hyper), (share, limit, is_limited), arrivals, turn, penalty,
    )  # fmt: skip
    step = int32(0)
    while step < steps:
        loss = block_sum(train_step(net, step))
        if cuda.threadIdx.x == 0:
            store_real(parts, step * cuda.gridDim.x + cuda.blockIdx.x, loss)
        step = int32(step + 1)
    meet(net)
    add_losses(parts, steps, result)
    if is_last_block(departures, cuda.gridDim.x) and cuda.threadIdx.x == 0:
        store_int(arrivals, 0, 0)


def copy_table(integers, reals, n_layers, words, factors):
    """Bring the tables to the shared memory of the block."""
    i = cuda.threadIdx.x
    while i < n_layers * words_of_layer:
        words[word(i // words_of_layer), word(i % words_of_layer)] = load_int(integers, i)
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


def field(net, index, name):
    """Return a number of a layer."""
    return net.integers[word(index), name]


def shape_of(net, index):
    """Return (rows, n_in, n_out) of a layer."""
    return net.rows, int32(field(net, index, at_n_in)), int32(field(net, index, at_n_out))


def batch_of(net, indices):
    """Return the address of the number of the first row of this step's batch; ``indices``: that of the first step's."""
    return indices + 8 * (net.turn[0] * net.rows)


def load_batch(net, step):
    """Remember the step, and bring the numbers of its rows to shared memory; there are fewer than 2^31 rows.

    In the place of rows that the last four of them lack comes the last one again.
    """
    if cuda.threadIdx.x == 0:
        net.turn[0] = step
    batch, row = net.source[2] + 8 * (step * net.rows), int32(own_thread())
    while row < 4 * quads_of(net.rows):
        net.numbers[word(row)] = int32(load_int(batch, min(row, int32(net.rows - 1))))
        row = int32(row + cuda.blockDim.x)
    cuda.syncthreads()


def count_layers(net):
    """Return the number of layers."""
    return net.n_layers


def forward(net, index):
    """Compute the outputs of layer ``index`` for the block's rows; for the first, all blocks do their tiles before."""
    if index == 0:
        multiply_own_tiles(net)
        meet(net)
    forward_quads(net, index)


def output_gradient(net):
    """Compute dz of the last layer for this block's rows; return this thread's share of the loss."""
    order, _, weights, factor, by_weights = net.targets
    if by_weights != 0:
        factor = share_of(factor, weight_of_batch(net, weights, batch_of(net, order)))
    return loss_of_quads(net, factor)


def backward(net, index):
    """Compute dz of the layer below for this block's rows; gradients of parameters wait for the rows of all blocks."""
    if index > 0:
        backward_quads(net, index)
    else:
        meet(net)


def synchronize(net):
    """Let the threads of the block meet: what they have written is visible to each other."""
    cuda.syncthreads()


def update(net, step):
    """Compute this block's tiles of all gradients and update these parameters; return its share of the penalties."""
    net.penalty[0] = real(0)
    block = int32(cuda.blockIdx.x)
    for index in range(net.n_layers):
        block = update_layer(net, index, block)
    return net.penalty[0]


OPERATIONS = (load_batch, count_layers, forward, output_gradient, backward, synchronize, update)
"""What the source of the step calls."""

TEMPLATES = (
    copy_table,
    add_losses,
    meet,
    own_thread,
    thread_of_row,
    field,
    shape_of,
    batch_of,
    *persistent_sums.TEMPLATES,
    *persistent_first.TEMPLATES,
    *persistent_rows.TEMPLATES,
    *persistent_update.TEMPLATES,
)
"""What these call."""

CONSTANTS = {
    "words_of_layer": len(INTEGERS),
    "factors_of_layer": len(REALS),
    "most_layers": MAX_LAYERS,
    "persistent_factors": MAX_LAYERS * len(REALS),
    "persistent_numbers": MAX_ROWS,
    # Typed: for each literal number, field() would be compiled once more.
    **{f"at_{name}": np.int64(place) for place, name in enumerate(INTEGERS)},
}
