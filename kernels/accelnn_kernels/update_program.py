"""The optimizer's step: every thread computes the gradients of its share of the parameters and updates that share.

Part of a program, see :mod:`accelnn_kernels.program`. A share is updated right after its gradient was computed, while
it is still in the cache, unless the norm of all gradients has to be known first.
"""

from __future__ import annotations


def update(net, step):
    """Compute the gradients of this thread's share of the parameters and take the optimizer's step with them.

    Returns the thread's part of the penalty that the parameters had before the step.
    """
    frame = net.frame[0]
    if frame.abandoned != 0:
        return 0.0
    hyper = frame.hyper + 48 * (step - frame.first_step)
    if frame.direct != 0:
        direct_update(net, hyper)
        return 0.0
    penalty, share = 0.0, penalty_share(frame)
    for index in range(net.parameters.size):
        penalty += compute_gradient(frame, net.parameters[index], index, share)
        if frame.clip_norm == 0.0:
            take_step(frame, net.parameters[index], index, hyper)
    if frame.clip_norm > 0.0:
        clipped_update(net, hyper)
    return penalty


def penalty_share(frame):
    """Return the part of the penalties that belongs to this batch."""
    if frame.penalty_per_row == 0:
        return 1.0
    total = total_weight(frame)
    return 1.0 / total if total > 0.0 else 0.0


def share_of(frame, parameter, index):
    """Return the rows [first, last) of a parameter that this thread updates; a vector has one row, and one owner."""
    if parameter.rows == 1:
        return (0, 1) if index % frame.size == frame.rank else (0, 0)
    return parameter.rows * frame.rank // frame.size, parameter.rows * (frame.rank + 1) // frame.size


def add_bias_parts(frame, parameter):
    """Add up what the threads contributed to the gradient of a vector."""
    n = parameter.columns
    invoke(frame.add_parts, (parameter.parts, n, frame.size, n, parameter.gradients))


def compute_gradient(frame, parameter, index, share):
    """Fill this thread's rows of the gradient; return the penalty. ``share`` of it and value clipping are included."""
    first, last = share_of(frame, parameter, index)
    if first == last:
        return 0.0
    if parameter.kind == weight:
        weight_rows(frame, parameter, parameter.gradients, first, last, 1.0, 0.0)
    else:
        add_bias_parts(frame, parameter)
    if frame.penalized == 0:
        return 0.0
    shift = first * parameter.columns * frame.itemsize
    size = (last - first) * parameter.columns
    gradients, values = parameter.gradients + shift, parameter.values + shift
    l1, l2 = share * parameter.l1, share * parameter.l2
    return measure(frame.penalize, (gradients, values, size, l1, l2, frame.clip_value))


def weight_rows(frame, parameter, target, first, last, alpha, beta):
    """Rows [first, last) of target <- alpha x^T dz + beta target."""
    x, dz, n_in, n_out = parameter.x, parameter.dz, parameter.rows, parameter.columns
    if parameter.banded != 0:
        band_of_weight(frame, parameter, target + first * n_out * frame.itemsize, alpha, beta)
    else:
        invoke(frame.weight_gradient, (frame.gemm, x, dz, target, frame.rows, n_in, n_out, first, last, alpha, beta))


def band_of_weight(frame, parameter, target, alpha, beta):
    """Do the same for the rows that belong to this thread's band of the inputs.

    If the batch has more than one block of rows, its inputs are gathered once more: that costs less than keeping them
    in memory that no cache holds.
    """
    x, n_in, n_out = frame.x_batch, frame.n_in, parameter.columns
    for first in range(0, frame.rows, frame.block):
        rows = min(frame.block, frame.rows - first)
        if frame.rows > frame.block:
            load_inputs(frame, first, rows, x)
        dz, factor = parameter.dz + first * n_out * frame.itemsize, beta if first == 0 else 1.0
        invoke(frame.weight_gradient, (frame.gemm, x, dz, target, rows, n_in, n_out, 0, n_in, alpha, factor))


def take_step(frame, parameter, index, hyper):
    """Update this thread's rows of a parameter while they are still in its cache."""
    first, last = share_of(frame, parameter, index)
    shift = first * parameter.columns * frame.itemsize
    invoke(
        frame.update,
        (
            parameter.values + shift, parameter.gradients + shift, parameter.moments_1 + shift,
            parameter.moments_2 + shift, hyper, (last - first) * parameter.columns,
        ),
    )  # fmt: skip


def direct_update(net, hyper):
    """Plain gradient descent: W <- W - learning_rate x^T dz as one product, without writing dW."""
    frame = net.frame[0]
    learning_rate = doubles(hyper, 6)[0]
    for index in range(net.parameters.size):
        parameter = net.parameters[index]
        first, last = share_of(frame, parameter, index)
        if parameter.kind == weight:
            if last > first:
                weight_rows(frame, parameter, parameter.values, first, last, -learning_rate, 1.0)
        elif last > first:
            add_bias_parts(frame, parameter)
            take_step(frame, parameter, index, hyper)


def clipped_update(net, hyper):
    """Scale all gradients down to the norm ``clip_norm`` together, then take the step."""
    frame = net.frame[0]
    factor = clip_factor(net)
    for index in range(net.parameters.size):
        parameter = net.parameters[index]
        first, last = share_of(frame, parameter, index)
        shift = first * parameter.columns * frame.itemsize
        if factor < 1.0:
            invoke(frame.scale_values, (parameter.gradients + shift, (last - first) * parameter.columns, factor))
        take_step(frame, parameter, index, hyper)


def clip_factor(net):
    """Return clip_norm / norm of all gradients, at most 1."""
    frame = net.frame[0]
    squares = 0.0
    for index in range(net.parameters.size):
        parameter = net.parameters[index]
        first, last = share_of(frame, parameter, index)
        shift = first * parameter.columns * frame.itemsize
        size = (last - first) * parameter.columns
        squares += measure(frame.sum_of_squares, (parameter.gradients + shift, size))
    sums = doubles(frame.partial_sums, 8 * frame.size)
    sums[8 * frame.rank] = squares
    meet(frame)
    total = 0.0
    for rank in range(frame.size):
        total += sums[8 * rank]
    norm = math.sqrt(total)
    return frame.clip_norm / norm if norm > frame.clip_norm else 1.0


TEMPLATES = (
    update, penalty_share, share_of, add_bias_parts, compute_gradient, band_of_weight, weight_rows, take_step,
    direct_update, clipped_update, clip_factor,
)  # fmt: skip
