"""Dense layers of small networks, forward: one launch for all of a layer.

A captured step of a small network takes as long as its nodes and the latency inside of each, so what counts is that a
layer is one node and that its loads are under way at the same time: see :mod:`accelnn_kernels.cuda.dense_products`, and
:mod:`accelnn_kernels.cuda.dense_shapes` for how large the tiles are. Large layers belong to cuBLAS.

A phase takes the number of its block and of all blocks, and does every tile whose number its block comes to. So the
result does not depend on how many blocks there are, and a kernel may have several phases.
"""

from __future__ import annotations

from accelnn_kernels import activations
from accelnn_kernels.cuda import dense_shapes
from accelnn_kernels.cuda.shapes import Kind


def dense_forward(x, weight, bias, z, a, rows, n_in, n_out):
    """Compute a <- g(x W + b) for ``x (rows, n_in)``, ``weight (n_in, n_out)`` and ``bias (n_out,)``, both real.

    ``z (rows, n_out)`` gets x W + b if the derivative of g needs it, and is not used otherwise.
    """
    cube, partials = launched_cube(), cuda.shared.array(dense_partials, real)
    addends, shape = cuda.shared.array(dense_outputs, real), (int32(rows), int32(n_in), int32(n_out))
    source, out = (x, n_in, 0, real(1), real(0)), (z, a)
    forward_phase(cuda.blockIdx.x, cuda.gridDim.x, cube, source, weight, bias, out, shape, partials, addends)


def dense_forward_gathered(x, stride, indices, weight, bias, z, a, rows, n_in, n_out, scale, offset, cursor, ahead):
    """Do the same for rows of the data: x[indices[first : first + rows]] * scale + offset.

    ``x``, ``stride``, ``first``, ``cursor`` and ``ahead`` are as in ``gather_rows``; the variant is
    ``"activation.source"``. Values are scaled in reals and, other than in a batch of bfloat16, not rounded.
    """
    cube, partials = launched_cube(), cuda.shared.array(dense_partials, real)
    addends, shape = cuda.shared.array(dense_outputs, real), (int32(rows), int32(n_in), int32(n_out))
    source, out = (x, stride, indices_of_batch(indices, cursor, ahead, rows), scale, offset), (z, a)
    forward_phase(cuda.blockIdx.x, cuda.gridDim.x, cube, source, weight, bias, out, shape, partials, addends)


def forward_phase(block, blocks, cube, source, weight, bias, out, shape, partials, addends):
    """Do this block's tiles of ``a``.

    ``source``: (address, distance of rows, address of row numbers, scale, offset) of the inputs; ``out``: (z, a);
    ``shape``: (rows, n_in, n_out); ``partials, addends``: shared arrays.
    """
    tile, tiles = int32(block), tiles_of(cube, shape[0], shape[2])
    while tile < tiles:
        row, column = tile_place(cube, tile, shape[2])
        forward_tile(cube, row, column, source, weight, bias, out, shape, partials, addends)
        tile = int32(tile + blocks)


def forward_tile(cube, row, column, source, weight, bias, out, shape, partials, addends):
    """Do the tile of ``a`` that begins at ``row, column``."""
    sums, shift = cuda.local.array(16, real), cuda.local.array(4, real)
    rows, n_in, n_out = shape
    load_bias_of_tile(cube, bias, int32(column + 4 * cube.column), n_out, shift)
    clear_sums(sums)
    if begins_wide(source[0], source[1]) and begins_wide(weight, n_out) and (n_in & 3) == 0:
        add_wide_rows_by_weight(cube, source, weight, shape, row, column, sums)
    else:
        add_rows_by_weight(cube, source, weight, shape, row, column, sums)
    add_bias(shift, sums)
    add_groups(cube, sums, partials, addends)
    turn = int32(0)
    while turn < turns_of_outputs(cube):
        output = int32(thread_of_cube(cube) + turn * threads_of_cube(cube))
        i, j = int32(row + row_of_output(cube, output)), int32(column + column_of_output(cube, output))
        total = total_of(cube, addends, output)
        if output < outputs_of_tile(cube) and i < rows and j < n_out:
            keep_output(out, place_in_matrix(i, n_out, j), total)
        turn = int32(turn + 1)


def load_bias_of_tile(cube, bias, column, n_out, shift):
    """Fill ``shift`` with the bias of this thread's columns if it is in the first group, else with 0."""
    for n in range(4):
        shift[n] = real(0)
        if cube.group == 0:
            shift[n] = load_real(bias, min(int32(column + n), int32(n_out - 1)))


def add_bias(shift, sums):
    """Add it. The loads were started before those of the product, so that nothing waits for them alone."""
    for v in range(16):
        sums[v] += shift[v & 3]


def find_rows(cube, source, row, rows, k, places):
    """Fill ``places`` with where input k of this thread's four rows lies; behind the last row comes itself again."""
    for m in range(4):
        own = min(int32(row + 4 * cube.row + m), int32(rows - 1))
        places[m] = row_place(source[2], own, source[1]) + k


def add_wide_rows_by_weight(cube, source, weight, shape, row, column, sums):
    """Add this thread's part of x W for the tile at ``row, column``, 16 bytes at a time."""
    left, right = cuda.local.array(16, real), cuda.local.array(16, real)
    four, places = cuda.local.array(4, real), cuda.local.array(4, place_type)
    rows, n_in, n_out = shape
    find_rows(cube, source, row, rows, 4 * cube.group, places)
    j, k = min(int32(column + 4 * cube.column), int32(n_out - 4)), int32(4 * cube.group)
    while k < n_in:
        for i in range(4):
            load_four_real(weight, place_in_matrix(int32(k + i), n_out, j), right[4 * i : 4 * i + 4])
        for m in range(4):
            load_four_inputs(source[0], places[m], source[3], source[4], four)
            for i in range(4):
                left[4 * i + m] = four[i]
        add_products(left, right, sums)
        for m in range(4):
            places[m] += 4 * cube.groups
        k = int32(k + 4 * cube.groups)


def add_rows_by_weight(cube, source, weight, shape, row, column, sums):
    """Do so number by number."""
    left, right = cuda.local.array(4, real), cuda.local.array(4, real)
    places = cuda.local.array(4, place_type)
    rows, n_in, n_out = shape
    find_rows(cube, source, row, rows, cube.group, places)
    j, k = int32(column + 4 * cube.column), cube.group
    while k < n_in:
        for m in range(4):
            left[m] = load_input(source[0], places[m], source[3], source[4])
            places[m] += cube.groups
            right[m] = load_real(weight, place_in_matrix(k, n_out, min(int32(j + m), int32(n_out - 1))))
        add_product(left, right, sums)
        k = int32(k + cube.groups)


def keep_activation(out, place, value):
    """Write an output."""
    store(out[1], place, activation(value))


def keep_both(out, place, value):
    """Write an output and what it was computed from."""
    store(out[0], place, value)
    store(out[1], place, activation(value))


BATCH = {
    "load_four_inputs": "four_of_batch",
    "load_input": "one_of_batch",
    "row_place": "row_of_batch",
    "place_type": "int32",
    "inputs_or_ones": "replace_by_ones",
}
SOURCE = {
    "load_four_inputs": "four_of_source",
    "load_input": "one_of_source",
    "row_place": "row_of_source",
    "place_type": "int64",
    "inputs_or_ones": "keep_inputs",
}
"""How rows of inputs are found and read."""


def _forward(name):
    keep = "keep_both" if name in activations.KEEPS_Z else "keep_activation"
    return dense_forward, {"activation": name, "keep_output": keep, **BATCH}


def _forward_gathered(variant):
    name, _, _ = variant.partition(".")
    return dense_forward_gathered, _forward(name)[1] | SOURCE


TEMPLATES = (
    load_bias_of_tile,
    add_bias,
    find_rows,
    add_wide_rows_by_weight,
    add_rows_by_weight,
    keep_activation,
    keep_both,
    forward_tile,
    forward_phase,
)
KINDS = {
    "dense_forward": Kind(_forward, dense_shapes.forward, max_threads=dense_shapes.MAX_THREADS),
    "dense_forward_gathered": Kind(_forward_gathered, dense_shapes.forward, max_threads=dense_shapes.MAX_THREADS),
}
