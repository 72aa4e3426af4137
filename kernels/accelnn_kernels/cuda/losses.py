"""Losses: value and gradient in one pass over the outputs of a batch, targets and weights right from the data set.

Row i of the batch is row ``indices[cursor[1] + ahead * rows + i]`` of the targets and weights. A row of a block's
threads does a row of the batch, as in softmax. Every thread adds up what it has seen; blocks add up their threads, and
the last block the blocks.
"""

from __future__ import annotations

from typing import NamedTuple

from accelnn_kernels import losses
from accelnn_kernels.cuda import softmax
from accelnn_kernels.cuda.shapes import MAX_SUM_BLOCKS, THREADS, Kind, always

FEW_COLUMNS = 32
"""Rows so short that one block can do a small batch alone: then no block has to wait for others."""


class RowThreads(NamedTuple):
    """Who a thread is where ``lanes`` threads of a block do a row: number row * lanes + lane of the block."""

    lane: int
    lanes: int
    row: int


def loss(output, d, target, weights, factor, rows, columns, indices, cursor, ahead, total, parts, counter, result):
    """Write the loss of ``output (rows, columns)`` to its slot of ``result``, and its gradient to ``d``, elements both.

    ``target``: labels, int64 (n,), or real (n, columns); ``weights``: real (n,), or 0.
    """
    threads = RowThreads(cuda.threadIdx.x, cuda.blockDim.x, cuda.threadIdx.y)
    span = cuda.blockIdx.x * cuda.blockDim.y, rows, cuda.gridDim.x * cuda.blockDim.y
    batch = indices_of_batch(indices, cursor, ahead, rows)
    loss = loss_of_rows(threads, span, output, d, target, weights, batch, scale_of(factor, total), columns)
    finish_loss(loss, cursor, ahead, parts, counter, result)


def elementwise_loss(threads, span, output, d, target, weights, batch, scale, columns):
    """Return this thread's share of the sum over all elements of a scalar loss; its slope goes to ``d``.

    The rows are those of ``span``: (the first, the end, how many are done until the block does the next). ``batch`` is
    the address of the number of the batch's first row, ``scale`` what a row counts.
    """
    loss, row = real(0), span[0] + threads.row
    while row < span[1]:
        source = load_int(batch, row)
        count = scale * weight_of(weights, source)
        if columns % width == 0:
            loss += count * wide_losses(threads, output, d, row * columns, target, source * columns, columns, count)
        else:
            loss += count * narrow_losses(threads, output, d, row * columns, target, source * columns, columns, count)
        row += span[2]
    return loss


def cross_entropy_of_labels(threads, span, output, d, target, weights, batch, scale, columns):
    """Do so for the cross-entropy of softmax(output) and labels; d <- softmax(output) - one-hot."""
    loss, first = real(0), span[0]
    while first < span[1]:
        row = first + threads.row
        start, end = row * columns, columns if row < span[1] else 0  # threads without a row come to the sums as well
        source = load_int(batch, min(row, span[1] - 1))
        label, count = load_int(target, source), scale * weight_of(weights, source)
        largest = largest_output(threads, output, start, end)
        exponentials, j = real(0), threads.lane
        while j < end:
            shifted = load(output, start + j) - largest
            exponentials += exp(shifted)
            if j == label:
                loss -= count * shifted
            j += threads.lanes
        exponentials, j = sum_of_lanes(threads, exponentials), threads.lane
        if j == 0 and row < span[1]:
            loss += count * log(exponentials)
        share = count / exponentials
        while j < end:
            own = exponentials if j == label else real(0)
            store(d, start + j, (exp(load(output, start + j) - largest) - own) * share)
            j += threads.lanes
        first += span[2]
    return loss


def cross_entropy_of_rows(threads, span, output, d, target, weights, batch, scale, columns):
    """Do so for the cross-entropy of softmax(output) and rows of probabilities."""
    loss, first = real(0), span[0]
    while first < span[1]:
        row = first + threads.row
        start, end = row * columns, columns if row < span[1] else 0  # threads without a row come to the sums as well
        source = load_int(batch, min(row, span[1] - 1))
        count = scale * weight_of(weights, source)
        largest = largest_output(threads, output, start, end)
        exponentials, mass, inner, j = real(0), real(0), real(0), threads.lane
        while j < end:
            shifted, y = load(output, start + j) - largest, load_real(target, source * columns + j)
            exponentials += exp(shifted)
            mass += y
            inner += y * shifted
            j += threads.lanes
        exponentials, mass, j = sum_of_lanes(threads, exponentials), sum_of_lanes(threads, mass), threads.lane
        loss -= count * inner
        if j == 0 and row < span[1]:
            loss += count * (mass * log(exponentials))
        share = mass / exponentials
        while j < end:
            y = load_real(target, source * columns + j)
            store(d, start + j, (exp(load(output, start + j) - largest) * share - y) * count)
            j += threads.lanes
        first += span[2]
    return loss


def sum_weights(weights, indices, rows, cursor, ahead, result):
    """Write the sum of the weights, reals, of the rows of the batch to ``result[0]``; the launch has one block."""
    index, threads = first_index(cursor, ahead, rows), cuda.blockDim.x
    total, first = real(0), cuda.threadIdx.x
    while first < rows:
        for k in range(8):  # so many are read at a time
            row = first + k * threads
            if row < rows:
                total += load_real(weights, load_int(indices, index + row))
        first += 8 * threads
    total = sum_of_threads(total, 0, threads)
    if cuda.threadIdx.x == 0:
        store_real(result, 0, total)


def first_index(cursor, ahead, rows):
    """Return where the indices of this batch begin."""
    return load_int(cursor, 1) + ahead * rows


def scale_of(factor, total):
    """Return ``factor``, divided by the number at ``total`` unless that is 0; 0 for a number 0."""
    return factor if total == 0 else share_of(factor, load_real(total, 0))


def share_of(factor, divisor):
    """Return ``factor / divisor``, 0 for a divisor 0."""
    return factor / divisor if divisor > real(0) else real(0)


def weight_of(weights, row):
    """Return the weight of a row of the data set; without weights, all are 1."""
    return real(1) if weights == 0 else load_real(weights, row)


def wide_losses(threads, output, d, start, target, target_start, columns, count):
    """Return this thread's share of the loss of a row, 16 bytes of outputs at a time."""
    outputs, targets = cuda.local.array(width, real), cuda.local.array(width, real)
    loss, j = real(0), width * threads.lane
    while j < columns:
        load_wide(output, start + j, outputs)
        load_targets(target, target_start + j, targets)
        for k in range(width):
            loss += value(outputs[k], targets[k])
            outputs[k] = slope(outputs[k], targets[k]) * count
        store_wide(d, start + j, outputs)
        j += width * threads.lanes
    return loss


def load_targets(target, first, targets):
    """Fill ``targets`` with as many reals as a wide access to outputs moves; the data may lie anywhere."""
    if is_aligned(target):
        for part in range(width // real_width):
            place = part * real_width
            load_wide_real(target, first + place, targets[place : place + real_width])
    else:
        for k in range(width):
            targets[k] = load_real(target, first + k)


def narrow_losses(threads, output, d, start, target, target_start, columns, count):
    """Do the same element by element."""
    loss, j = real(0), threads.lane
    while j < columns:
        a, y = load(output, start + j), load_real(target, target_start + j)
        loss += value(a, y)
        store(d, start + j, slope(a, y) * count)
        j += threads.lanes
    return loss


def largest_output(threads, output, start, end):
    """Return the largest of ``end`` outputs from ``start`` on, to all threads of the row."""
    largest, j = lowest(), threads.lane
    while j < end:
        largest = larger(load(output, start + j), largest)
        j += threads.lanes
    return largest_of_threads(largest, threads.row * threads.lanes, threads.lanes)


def sum_of_lanes(threads, value):
    """Return the sum of ``value`` over the threads of the same row, to all of them."""
    return sum_of_threads(value, threads.row * threads.lanes, threads.lanes)


def finish_loss(loss, cursor, ahead, parts, counter, result):
    """Write the sum of ``loss`` over all threads of the launch to the slot of this step."""
    is_last, loss = launch_sum(loss, parts, counter)
    if is_last and thread_of_block() == 0:
        store_real(result, load_int(cursor, 0) + ahead, loss)


def loss_shape(arguments, element):
    """Rows of threads, in one block if that can be."""
    rows, columns = arguments["rows"], arguments["columns"]
    lanes = softmax.lanes_of_row(rows, columns, element)
    if columns <= FEW_COLUMNS and 2 * softmax.power_of_two(rows) <= THREADS:
        lanes = min(softmax.power_of_two(columns), THREADS // softmax.power_of_two(rows))
    return (softmax.blocks_of_rows(rows, lanes, MAX_SUM_BLOCKS),), (lanes, THREADS // lanes)


def one_block(arguments, element):
    """Return the shape of a launch of one block."""
    return (1,), (THREADS,)


def formulas_of(name):
    """Return what the name ``loss_of_rows`` and others are bound to for a loss."""
    if name == "cross_entropy":
        return {"loss_of_rows": "cross_entropy_of_labels"}
    if name == "cross_entropy_rows":
        return {"loss_of_rows": "cross_entropy_of_rows"}
    value, slope = losses.ELEMENTWISE[name]
    return {"loss_of_rows": "elementwise_loss", "value": value.__name__, "slope": slope.__name__}


def _loss(name):
    return loss, formulas_of(name)


TEMPLATES = (
    first_index,
    share_of,
    scale_of,
    weight_of,
    load_targets,
    wide_losses,
    narrow_losses,
    largest_output,
    sum_of_lanes,
    elementwise_loss,
    cross_entropy_of_labels,
    cross_entropy_of_rows,
    finish_loss,
)
KINDS = {"loss": Kind(_loss, loss_shape), "sum_weights": Kind(always(sum_weights), one_block)}
