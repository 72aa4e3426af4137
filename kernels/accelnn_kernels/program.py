"""Run a program: the operations of one training step over the tables of :mod:`accelnn_kernels.tables`.

Every thread of a team runs all of this on its own rows of the batch. Where a result is a sum over rows, each thread
adds up its rows, all meet, and each adds the parts of all in the same order. ``net`` is a tuple ``(layers,
parameters, frame)`` of arrays of records; ``frame`` has one record, the thread's own.
"""

from __future__ import annotations

from accelnn_kernels import layer_program, tables, update_program
from accelnn_kernels.update_program import update


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
    if frame.banded == 0:  # else the first layer gathers its inputs
        load_inputs(frame, first, last - first, frame.x_batch + first * frame.n_in * frame.itemsize)
    if frame.targets != 0:
        load_targets(frame, indices)


def load_inputs(frame, first, rows, out):
    """Gather ``rows`` rows of the batch from row ``first`` on, those inputs of them that are this thread's."""
    start = frame.step * frame.batch_size + first
    alone = frame.banded != 0 or frame.size == 1  # else the rows behind are another thread's
    n_indices = frame.n_rows - start if alone else rows
    invoke(
        frame.gather_rows,
        (
            frame.x, frame.x_stride, frame.permutation + 8 * start, n_indices, rows, frame.n_in, out, frame.scale,
            frame.offset,
        ),
    )  # fmt: skip


def load_targets(frame, indices):
    """Fill this thread's rows of the targets and of the weights."""
    rows = frame.last - frame.first
    if frame.labels != 0:
        invoke(frame.gather_targets, (frame.targets, indices, rows, frame.target_batch + 8 * frame.first))
    else:
        n = frame.n_targets
        out = frame.target_batch + frame.first * n * frame.itemsize
        invoke(frame.gather_targets, (frame.targets, n, indices, rows, rows, n, out, 1.0, 0.0))
    if frame.weights != 0:
        invoke(frame.gather_weights, (frame.weights, indices, rows, frame.weight_batch + 8 * frame.first))


def synchronize(net):
    """Wait for the other threads."""
    meet(net.frame[0])


def forward(net, index):
    """Compute this thread's rows of the output of layer ``index``."""
    frame = net.frame[0]
    layer = net.layers[index]
    if layer.kind == dense:
        dense_forward(frame, layer)
    elif layer.kind == banded_dense:
        banded_forward(frame, layer)
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
    if layer.kind == dense or layer.kind == banded_dense:
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

TEMPLATES = (load_inputs, *OPERATIONS, load_targets, total_weight, *layer_program.TEMPLATES, *update_program.TEMPLATES)


def constants() -> dict[str, int]:
    """Return the names that the templates of a program need."""
    return {
        "dense": tables.DENSE,
        "banded_dense": tables.BANDED_DENSE,
        "activation_layer": tables.ACTIVATION,
        "dropout_layer": tables.DROPOUT,
        "batch_norm_layer": tables.BATCH_NORM,
        "batch_norm_inference": tables.BATCH_NORM_INFERENCE,
        "layer_norm_layer": tables.LAYER_NORM,
        "weight": tables.WEIGHT,
    }
