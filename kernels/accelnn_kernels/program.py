"""Run a program: the operations of one training step over the tables of :mod:`accelnn_kernels.tables`.

Every thread of a team runs all of this on its own rows of the batch. Where a result is a sum over rows, each thread
adds up its rows, all meet, and each adds the parts of all in the same order. ``net`` is a tuple ``(layers,
parameters, frame)`` of arrays of records; ``frame`` has one record, the thread's own.
"""

from __future__ import annotations

from accelnn_kernels import tables


def load_batch(net, step):
    """Fill this thread's rows of the batch buffers with the rows of mini-batch ``step`` of the epoch."""
    frame = net.frame[0]
    start = step * frame.batch_size
    rows = min(frame.batch_size, frame.n_rows - start)
    share = (rows + frame.size - 1) // frame.size
    first = min(frame.rank * share, rows)
    last = min(first + share, rows)
    frame.step, frame.rows, frame.first, frame.last = step, rows, first, last
    indices = frame.permutation + 8 * (start + first)
    invoke(
        frame.gather_rows,
        (
            frame.x, frame.x_stride, indices, last - first, frame.n_in,
            frame.x_batch + first * frame.n_in * frame.itemsize, frame.scale, frame.offset,
        ),
    )  # fmt: skip
    if frame.targets != 0:
        load_targets(frame, indices)


def load_targets(frame, indices):
    """Fill this thread's rows of the targets and of the weights."""
    rows = frame.last - frame.first
    if frame.labels != 0:
        invoke(frame.gather_targets, (frame.targets, indices, rows, frame.target_batch + 8 * frame.first))
    else:
        out = frame.target_batch + frame.first * frame.n_targets * frame.itemsize
        invoke(frame.gather_targets, (frame.targets, frame.n_targets, indices, rows, frame.n_targets, out, 1.0, 0.0))
    if frame.weights != 0:
        invoke(frame.gather_weights, (frame.weights, indices, rows, frame.weight_batch + 8 * frame.first))


def own(frame, address, columns):
    """Return where this thread's rows of a ``(batch, columns)`` buffer begin."""
    return address + frame.first * columns * frame.itemsize


def own_part(frame, address, columns):
    """Return where this thread's row of a ``(size, columns)`` buffer begins."""
    return address + frame.rank * columns * frame.itemsize


def synchronize(net):
    """Wait for the other threads."""
    meet(net.frame[0])


def meet(frame):
    """Wait for the other threads; remember it if all were told to give up, and then do not wait again.

    A thread that gave up and still arrived at a later meeting would count as one that is missing at an earlier one.
    """
    if frame.abandoned == 0 and not wait(frame.counters, frame.size, frame.yield_address):
        frame.abandoned = 1


def forward(net, index):
    """Compute this thread's rows of the output of layer ``index``."""
    frame = net.frame[0]
    layer = net.layers[index]
    if layer.kind == dense:
        dense_forward(frame, layer)
    elif layer.kind == activation_layer:
        activation_forward(frame, layer)
    elif layer.kind == dropout_layer:
        dropout_map(frame, layer, layer.x, layer.a)
    elif layer.kind == batch_norm_layer:
        batch_norm_forward(frame, layer)
    elif layer.kind == batch_norm_inference:
        batch_norm_apply(frame, layer, layer.running_mean, layer.running_variance)
    elif layer.kind == layer_norm_layer:
        layer_norm_forward(frame, layer)
    else:
        rescaling_map(frame, layer, layer.x, layer.a, layer.offset)


def backward(net, index):
    """Turn this thread's rows of da of layer ``index`` into dz, parts of its gradients, and the dx below."""
    frame = net.frame[0]
    layer = net.layers[index]
    if layer.kind == dense:
        dense_backward(frame, layer)
    elif layer.kind == batch_norm_layer:
        batch_norm_backward(frame, layer)
    elif layer.kind == layer_norm_layer:
        layer_norm_backward(frame, layer)
    elif layer.dx == 0:
        return
    elif layer.kind == activation_layer:
        activation_backward(frame, layer)
    elif layer.kind == dropout_layer:
        dropout_map(frame, layer, layer.da, layer.dx)
    else:
        rescaling_map(frame, layer, layer.da, layer.dx, 0.0)


def dense_forward(frame, layer):
    """Z = x W, then bias and activation in one pass."""
    rows = frame.last - frame.first
    x, z = own(frame, layer.x, layer.n_in), own(frame, layer.z, layer.n_out)
    invoke(frame.matmul, (frame.gemm, x, layer.weight, z, rows, layer.n_in, layer.n_out))
    invoke(layer.forward, (z, layer.bias, own(frame, layer.a, layer.n_out), rows, layer.n_out))


def dense_backward(frame, layer):
    """Dz = da * g'(z) and the part of db in one pass, then dx = dz W^T. dW waits until all rows are done."""
    rows = frame.last - frame.first
    dz, z, a = own(frame, layer.da, layer.n_out), own(frame, layer.z, layer.n_out), own(frame, layer.a, layer.n_out)
    invoke(layer.backward, (dz, z, a, own_part(frame, layer.bias_parts, layer.n_out), rows, layer.n_out))
    if layer.dx != 0:
        dx = own(frame, layer.dx, layer.n_in)
        invoke(
            frame.matmul_transposed, (frame.gemm, frame.scratch, dz, layer.weight, dx, rows, layer.n_in, layer.n_out)
        )


def activation_forward(frame, layer):
    """A = g(x) in a buffer of its own; the bias is zeros."""
    n = layer.n_out
    rows = frame.last - frame.first
    z = own(frame, layer.z, n)
    invoke(frame.copy, (own(frame, layer.x, n), z, rows * n))
    invoke(layer.forward, (z, layer.bias, own(frame, layer.a, n), rows, n))


def activation_backward(frame, layer):
    """Dx = da * g'(z); the column sums that come with it are not used."""
    n = layer.n_out
    rows = frame.last - frame.first
    dx = own(frame, layer.dx, n)
    invoke(frame.copy, (own(frame, layer.da, n), dx, rows * n))
    scratch = own_part(frame, layer.bias_parts, n)
    invoke(layer.backward, (dx, own(frame, layer.z, n), own(frame, layer.a, n), scratch, rows, n))


def dropout_map(frame, layer, source, target):
    """Apply this step's mask to this thread's rows, on the way up and on the way down."""
    n = layer.n_out
    key = integers(
        frame.dropout_keys + 16 * ((frame.step - frame.first_step) * frame.n_dropout + layer.dropout_index), 2
    )
    invoke(
        frame.dropout,
        (
            own(frame, source, n), own(frame, target, n), frame.last - frame.first, n, frame.first,
            key[0], key[1], layer.rate,
        ),
    )  # fmt: skip


def rescaling_map(frame, layer, source, target, offset):
    """Target = source * scale + offset."""
    n = layer.n_out
    size = (frame.last - frame.first) * n
    invoke(frame.rescaling, (own(frame, source, n), own(frame, target, n), size, layer.scale, offset))


def batch_norm_forward(frame, layer):
    """Mean and variance over all rows of the batch, then y = gamma x_hat + beta on this thread's rows."""
    n = layer.n_out
    rows = frame.last - frame.first
    x, part = own(frame, layer.x, n), own_part(frame, layer.parts, n)
    mean, variance = own_part(frame, layer.mean, n), own_part(frame, layer.variance, n)
    invoke(frame.column_sums, (x, rows, n, part))
    average_parts(frame, layer.parts, n, mean)
    invoke(frame.column_squares, (x, mean, rows, n, part))
    average_parts(frame, layer.parts, n, variance)
    if frame.rank == 0 and frame.abandoned == 0:
        invoke(frame.running_average, (layer.running_mean, mean, n, layer.momentum))
        invoke(frame.running_average, (layer.running_variance, variance, n, layer.momentum))
    batch_norm_apply(frame, layer, mean, variance)


def average_parts(frame, parts, n, total):
    """Add the parts of all threads and divide by the rows of the batch; the parts may then be overwritten."""
    meet(frame)
    invoke(frame.add_parts, (parts, frame.size, n, total))
    invoke(frame.scale_values, (total, n, 1.0 / frame.rows))
    meet(frame)


def batch_norm_apply(frame, layer, mean, variance):
    """Y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    n = layer.n_out
    inverse = own_part(frame, layer.inverse, n)
    invoke(frame.inverse_deviation, (variance, n, layer.epsilon, inverse))
    x, y = own(frame, layer.x, n), own(frame, layer.a, n)
    invoke(frame.batch_norm, (x, mean, inverse, layer.weight, layer.bias, y, frame.last - frame.first, n))


def batch_norm_backward(frame, layer):
    """The sums over all rows that dx needs are dgamma and dbeta themselves."""
    n = layer.n_out
    rows = frame.last - frame.first
    dy, x = own(frame, layer.da, n), own(frame, layer.x, n)
    mean, inverse = own_part(frame, layer.mean, n), own_part(frame, layer.inverse, n)
    dgamma, dbeta = own_part(frame, layer.weight_parts, n), own_part(frame, layer.bias_parts, n)
    invoke(frame.batch_norm_sums, (dy, x, mean, inverse, dgamma, dbeta, rows, n))
    if layer.dx == 0:
        return
    meet(frame)
    dgamma, dbeta = own_part(frame, layer.parts, n), own_part(frame, layer.variance, n)
    invoke(frame.add_parts, (layer.weight_parts, frame.size, n, dgamma))
    invoke(frame.add_parts, (layer.bias_parts, frame.size, n, dbeta))
    dx = own(frame, layer.dx, n)
    invoke(
        frame.batch_norm_gradient,
        (dy, x, mean, inverse, layer.weight, dgamma, dbeta, dx, rows, n, frame.rows),
    )


def layer_norm_forward(frame, layer):
    """Y = gamma x_hat + beta, row by row."""
    n = layer.n_out
    x, y = own(frame, layer.x, n), own(frame, layer.a, n)
    rows = frame.last - frame.first
    invoke(frame.layer_norm, (x, layer.weight, layer.bias, y, rows, n, layer.epsilon))


def layer_norm_backward(frame, layer):
    """Dx of this thread's rows and its parts of dgamma and dbeta. A first layer's dx goes to a scratch buffer."""
    n = layer.n_out
    dy, x, dx = own(frame, layer.da, n), own(frame, layer.x, n), own(frame, layer.z, n)
    if layer.dx != 0:
        dx = own(frame, layer.dx, n)
    dgamma, dbeta = own_part(frame, layer.weight_parts, n), own_part(frame, layer.bias_parts, n)
    rows = frame.last - frame.first
    invoke(frame.layer_norm_gradient, (dy, x, layer.weight, dx, dgamma, dbeta, rows, n, layer.epsilon))


def output_gradient(net):
    """Write this thread's rows of the gradient of the loss and return its part of the loss."""
    frame = net.frame[0]
    factor = frame.loss_scale
    if frame.mean_loss != 0:
        total = total_weight(frame)
        factor = factor / total if total > 0.0 else 0.0
    targets = frame.target_batch + frame.first * (8 if frame.labels != 0 else frame.n_targets * frame.itemsize)
    output, d_output = own(frame, frame.output, frame.n_out), own(frame, frame.d_output, frame.n_out)
    rows = frame.last - frame.first
    weights = frame.weight_batch + 8 * frame.first
    return measure(frame.loss, (output, d_output, targets, weights, factor, rows, frame.n_out))


def total_weight(frame):
    """Return the sum of the weights of all rows of the batch: their number where there are no weights."""
    if frame.weights == 0:
        return float(frame.rows)
    start = frame.step * frame.batch_size
    return measure(frame.sum_weights, (frame.weights, frame.permutation + 8 * start, frame.rows))


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
    penalty = 0.0
    for index in range(net.parameters.size):
        penalty += compute_gradient(frame, net.parameters[index], index)
        if frame.clip_norm == 0.0:
            take_step(frame, net.parameters[index], index, hyper)
    if frame.clip_norm > 0.0:
        clipped_update(net, hyper)
    return penalty


def share_of(frame, parameter, index):
    """Return the rows [first, last) of a parameter that this thread updates; a vector has one row, and one owner."""
    if parameter.rows == 1:
        return (0, 1) if index % frame.size == frame.rank else (0, 0)
    share = (parameter.rows + frame.size - 1) // frame.size
    first = min(frame.rank * share, parameter.rows)
    return first, min(first + share, parameter.rows)


def compute_gradient(frame, parameter, index):
    """Fill this thread's rows of the gradient, penalties and value clipping included; return the penalty."""
    first, last = share_of(frame, parameter, index)
    if first == last:
        return 0.0
    if parameter.kind == weight:
        weight_rows(frame, parameter, parameter.gradients, first, last, 1.0, 0.0)
    else:
        invoke(frame.add_parts, (parameter.parts, frame.size, parameter.columns, parameter.gradients))
    if frame.penalized == 0:
        return 0.0
    shift = first * parameter.columns * frame.itemsize
    size = (last - first) * parameter.columns
    gradients, values = parameter.gradients + shift, parameter.values + shift
    return measure(frame.penalize, (gradients, values, size, parameter.l1, parameter.l2, frame.clip_value))


def weight_rows(frame, parameter, target, first, last, alpha, beta):
    """Rows [first, last) of target <- alpha x^T dz + beta target."""
    invoke(
        frame.weight_gradient,
        (
            frame.gemm, parameter.x, parameter.dz, target, frame.rows, parameter.rows, parameter.columns,
            first, last, alpha, beta,
        ),
    )  # fmt: skip


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
            invoke(frame.add_parts, (parameter.parts, frame.size, parameter.columns, parameter.gradients))
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


def store_output(net, step):
    """Copy this thread's rows of the output to the predictions of the whole data set."""
    frame = net.frame[0]
    rows = frame.last - frame.first
    row = step * frame.batch_size + frame.first
    target = frame.predictions + row * frame.n_out * frame.itemsize
    invoke(frame.copy, (own(frame, frame.output, frame.n_out), target, rows * frame.n_out))


def count_layers(net):
    """Return the number of layers."""
    return net.layers.size


def abandoned(net):
    """Return whether the team was told to give up."""
    return net.frame[0].abandoned != 0


OPERATIONS = (
    load_batch,
    forward,
    output_gradient,
    backward,
    synchronize,
    update,
    store_output,
    count_layers,
    abandoned,
)
"""What the source of the training step calls."""

TEMPLATES = (
    *OPERATIONS, load_targets, own, own_part, meet,
    dense_forward, dense_backward, activation_forward, activation_backward, dropout_map, rescaling_map,
    batch_norm_forward, average_parts, batch_norm_apply, batch_norm_backward, layer_norm_forward, layer_norm_backward,
    total_weight, share_of, compute_gradient, weight_rows, take_step, direct_update, clipped_update, clip_factor,
)  # fmt: skip


def constants() -> dict[str, int]:
    """Return the names that the templates of this file need."""
    return {
        "dense": tables.DENSE,
        "activation_layer": tables.ACTIVATION,
        "dropout_layer": tables.DROPOUT,
        "batch_norm_layer": tables.BATCH_NORM,
        "batch_norm_inference": tables.BATCH_NORM_INFERENCE,
        "layer_norm_layer": tables.LAYER_NORM,
        "weight": tables.WEIGHT,
    }
