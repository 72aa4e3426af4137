"""Forward and backward of each kind of layer, on the rows of the batch that this thread owns.

Part of a program, see :mod:`accelnn_kernels.program`; ``layer`` is a record of ``tables.LAYER``, ``frame`` one of
``tables.FRAME``. Where a result is a sum over rows, each thread adds up its own rows, all meet, and each adds the parts
of all in the same order.
"""

from __future__ import annotations


def own(frame, address, columns):
    """Return where this thread's rows of a ``(batch, columns)`` buffer begin."""
    return address + frame.first * columns * frame.itemsize


def own_part(frame, address, columns):
    """Return where this thread's row of a ``(size, columns)`` buffer begins."""
    return address + frame.rank * columns * frame.itemsize


def meet(frame):
    """Wait for the other threads; remember it if all were told to give up, and then do not wait again.

    A thread that gave up and still arrived at a later meeting would count as one that is missing at an earlier one.
    """
    if frame.abandoned == 0 and not wait(frame.counters, frame.size, frame.yield_address):
        frame.abandoned = 1


def dense_forward(frame, layer):
    """Compute z = x W, then bias and activation in one pass."""
    rows = frame.last - frame.first
    x, z = own(frame, layer.x, layer.n_in), own(frame, layer.z, layer.n_out)
    invoke(frame.matmul, (frame.gemm, x, layer.weight, z, rows, layer.n_in, layer.n_out))
    invoke(layer.forward, (z, layer.bias, own(frame, layer.a, layer.n_out), rows, layer.n_out))


def banded_forward(frame, layer):
    """Compute the same where this thread holds a band of the inputs of all rows, and owns their rows of W.

    Each thread multiplies its band, all meet, and each adds the products of all for its own rows of the batch. Inputs
    are gathered block by block: a block is multiplied while it is in the cache.
    """
    n = layer.n_out
    product = frame.batch_size * n
    weight_rows = layer.weight + frame.band * n * frame.itemsize
    part = layer.parts + frame.rank * product * frame.itemsize
    for first in range(0, frame.rows, frame.block):
        rows = min(frame.block, frame.rows - first)
        load_inputs(frame, first, rows, frame.x_batch)
        z = part + first * n * frame.itemsize
        invoke(frame.matmul, (frame.gemm, frame.x_batch, weight_rows, z, rows, frame.n_in, n))
    meet(frame)
    own_rows = frame.last - frame.first
    z = own(frame, layer.z, n)
    invoke(frame.add_parts, (own(frame, layer.parts, n), product, frame.size, own_rows * n, z))
    invoke(layer.forward, (z, layer.bias, own(frame, layer.a, n), own_rows, n))


def dense_backward(frame, layer):
    """Compute dz = da * g'(z) and a part of db in one pass, then dx = dz W^T. dW waits until all rows are done."""
    rows = frame.last - frame.first
    dz, z, a = own(frame, layer.da, layer.n_out), own(frame, layer.z, layer.n_out), own(frame, layer.a, layer.n_out)
    invoke(layer.backward, (dz, z, a, own_part(frame, layer.bias_parts, layer.n_out), rows, layer.n_out))
    if layer.dx != 0:
        dx = own(frame, layer.dx, layer.n_in)
        invoke(
            frame.matmul_transposed, (frame.gemm, frame.scratch, dz, layer.weight, dx, rows, layer.n_in, layer.n_out)
        )


def activation_forward(frame, layer):
    """Compute a = g(x) in a buffer of its own; the bias is zeros."""
    n = layer.n_out
    rows = frame.last - frame.first
    z = own(frame, layer.z, n)
    invoke(frame.copy, (own(frame, layer.x, n), z, rows * n))
    invoke(layer.forward, (z, layer.bias, own(frame, layer.a, n), rows, n))


def activation_backward(frame, layer):
    """Compute dx = da * g'(z); the column sums that come with it are not used."""
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
    """Compute target = source * scale + offset."""
    n = layer.n_out
    size = (frame.last - frame.first) * n
    invoke(frame.rescaling, (own(frame, source, n), own(frame, target, n), size, layer.scale, offset))


def batch_norm_forward(frame, layer):
    """Compute mean and variance over all rows of the batch, then y = gamma x_hat + beta on this thread's rows."""
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
    invoke(frame.add_parts, (parts, n, frame.size, n, total))
    invoke(frame.scale_values, (total, n, 1.0 / frame.rows))
    meet(frame)


def batch_norm_apply(frame, layer, mean, variance):
    """Compute y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    n = layer.n_out
    inverse = own_part(frame, layer.inverse, n)
    invoke(frame.inverse_deviation, (variance, n, layer.epsilon, inverse))
    x, y = own(frame, layer.x, n), own(frame, layer.a, n)
    invoke(frame.batch_norm, (x, mean, inverse, layer.weight, layer.bias, y, frame.last - frame.first, n))


def batch_norm_backward(frame, layer):
    """Compute dgamma, dbeta and dx; the sums over all rows that dx needs are dgamma and dbeta themselves."""
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
    invoke(frame.add_parts, (layer.weight_parts, n, frame.size, n, dgamma))
    invoke(frame.add_parts, (layer.bias_parts, n, frame.size, n, dbeta))
    dx = own(frame, layer.dx, n)
    invoke(
        frame.batch_norm_gradient,
        (dy, x, mean, inverse, layer.weight, dgamma, dbeta, dx, rows, n, frame.rows),
    )


def layer_norm_forward(frame, layer):
    """Compute y = gamma x_hat + beta, row by row."""
    n = layer.n_out
    x, y = own(frame, layer.x, n), own(frame, layer.a, n)
    rows = frame.last - frame.first
    invoke(frame.layer_norm, (x, layer.weight, layer.bias, y, rows, n, layer.epsilon))


def layer_norm_backward(frame, layer):
    """Compute dx of this thread's rows and its parts of dgamma and dbeta; a first layer's dx goes to scratch memory."""
    n = layer.n_out
    dy, x, dx = own(frame, layer.da, n), own(frame, layer.x, n), own(frame, layer.z, n)
    if layer.dx != 0:
        dx = own(frame, layer.dx, n)
    dgamma, dbeta = own_part(frame, layer.weight_parts, n), own_part(frame, layer.bias_parts, n)
    rows = frame.last - frame.first
    invoke(frame.layer_norm_gradient, (dy, x, layer.weight, dx, dgamma, dbeta, rows, n, layer.epsilon))


TEMPLATES = (
    own, own_part, meet, dense_forward, banded_forward, dense_backward, activation_forward, activation_backward,
    dropout_map, rescaling_map, batch_norm_forward, average_parts, batch_norm_apply, batch_norm_backward,
    layer_norm_forward, layer_norm_backward,
)  # fmt: skip
