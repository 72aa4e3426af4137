"""Dense layers of small networks, backward: one launch for all gradients of a layer; see :mod:`.dense`."""

from __future__ import annotations

from accelnn_kernels import activations
from accelnn_kernels.cuda import dense_shapes
from accelnn_kernels.cuda.dense import BATCH, SOURCE
from accelnn_kernels.cuda.shapes import Kind


def dense_backward(dz, x, weight, z_below, a_below, dx, dw, db, rows, n_in, n_out):
    """Compute dw <- x^T dz, db <- the sum of the rows of dz, and dx <- (dz W^T) * g'(z_below, a_below).

    ``dz (rows, n_out)``, ``x, z_below, a_below, dx (rows, n_in)`` are elements, ``weight, dw (n_in, n_out)`` and ``db
    (n_out,)`` real. ``db`` may be 0: then it is not wanted. g is the activation of the layer below, so ``dx`` is its
    dz; the identity reads neither ``z_below`` nor ``a_below``, and ``z_below`` is read only where g' needs it. Nothing
    that is written may overlap what is read.
    """
    cube, partials = launched_cube(), cuda.shared.array(dense_partials, real)
    addends, shape = cuda.shared.array(dense_outputs, real), (int32(rows), int32(n_in), int32(n_out))
    block, blocks, below = cuda.blockIdx.x, cuda.gridDim.x, (z_below, a_below)
    block = input_gradient_phase(block, blocks, cube, dz, weight, below, dx, shape, partials, addends)
    source = (x, n_in, 0, real(1), real(0))
    weight_gradient_phase(block, blocks, cube, dz, source, (dw, db), shape, partials, addends)


def dense_backward_gathered(dz, x, stride, indices, dw, db, rows, n_in, n_out, scale, offset, cursor, ahead):
    """Compute ``dw`` and ``db`` for rows of the data, which are read as ``dense_forward_gathered`` does."""
    cube, partials = launched_cube(), cuda.shared.array(dense_partials, real)
    addends, shape = cuda.shared.array(dense_outputs, real), (int32(rows), int32(n_in), int32(n_out))
    source = (x, stride, indices_of_batch(indices, cursor, ahead, rows), scale, offset)
    weight_gradient_phase(cuda.blockIdx.x, cuda.gridDim.x, cube, dz, source, (dw, db), shape, partials, addends)


def input_gradient_phase(block, blocks, cube, dz, weight, below, dx, shape, partials, addends):
    """Do this block's tiles of ``dx``; return the number of its next tile, counted from the last one on.

    ``below``: (z, a) of the layer below; ``shape``: (rows, n_in, n_out); ``partials, addends``: shared arrays.
    """
    tile, tiles = int32(block), tiles_of(cube, shape[0], shape[1])
    while tile < tiles:
        row, column = tile_place(cube, tile, shape[1])
        input_gradient_tile(cube, row, column, dz, weight, below, dx, shape, partials, addends)
        tile = int32(tile + blocks)
    return int32(tile - tiles)


def input_gradient_tile(cube, row, column, dz, weight, below, dx, shape, partials, addends):
    """Do the tile of ``dx`` that begins at ``row, column``."""
    sums = cuda.local.array(16, real)
    rows, n_in, n_out = shape
    z, a = below_output(cube, below, row, column, thread_of_cube(cube), rows, n_in)
    clear_sums(sums)
    if begins_wide(dz, n_out) and begins_wide(weight, n_out):
        add_wide_rows_by_rows(cube, dz, weight, shape, row, column, sums)
    else:
        add_rows_by_rows(cube, dz, weight, shape, row, column, sums)
    add_groups(cube, sums, partials, addends)
    turn = int32(0)
    while turn < turns_of_outputs(cube):
        output = int32(thread_of_cube(cube) + turn * threads_of_cube(cube))
        i, j = int32(row + row_of_output(cube, output)), int32(column + column_of_output(cube, output))
        if turn > 0:
            z, a = below_output(cube, below, row, column, output, rows, n_in)
        total = total_of(cube, addends, output)
        if output < outputs_of_tile(cube) and i < rows and j < n_in:
            store(dx, place_in_matrix(i, n_in, j), total * derivative(z, a))
        turn = int32(turn + 1)


def below_output(cube, below, row, column, output, rows, n_in):
    """Return what g' needs for an output of a tile. The loads are started early and wait together with the others."""
    i, j = int32(row + row_of_output(cube, output)), int32(column + column_of_output(cube, output))
    if output < outputs_of_tile(cube) and i < rows and j < n_in:
        return load_below(below[0], below[1], place_in_matrix(i, n_in, j))
    return real(0), real(0)


def load_nothing(z_below, a_below, place):
    """Return zeros: the derivative of the identity needs nothing."""
    return real(0), real(0)


def load_a(z_below, a_below, place):
    """Return ``a`` where it is all that g' needs."""
    a = load(a_below, place)
    return a, a


def load_both(z_below, a_below, place):
    """Return ``z`` and ``a``."""
    return load(z_below, place), load(a_below, place)


def add_wide_rows_by_rows(cube, dz, weight, shape, row, column, sums):
    """Add this thread's part of dz W^T, 16 bytes at a time; behind the last row of both comes itself again."""
    left, right, four = cuda.local.array(16, real), cuda.local.array(16, real), cuda.local.array(4, real)
    rows, n_in, n_out = shape
    i, j, k = row + 4 * cube.row, column + 4 * cube.column, int32(4 * cube.group)
    while k < n_out:
        for m in range(4):
            load_four(dz, place_in_matrix(min(int32(i + m), int32(rows - 1)), n_out, k), four)
            for term in range(4):
                left[4 * term + m] = four[term]
        for n in range(4):
            load_four_real(weight, place_in_matrix(min(int32(j + n), int32(n_in - 1)), n_out, k), four)
            for term in range(4):
                right[4 * term + n] = four[term]
        add_products(left, right, sums)
        k = int32(k + 4 * cube.groups)


def add_rows_by_rows(cube, dz, weight, shape, row, column, sums):
    """Do so number by number."""
    left, right = cuda.local.array(4, real), cuda.local.array(4, real)
    rows, n_in, n_out = shape
    i, j, k = row + 4 * cube.row, column + 4 * cube.column, cube.group
    while k < n_out:
        for m in range(4):
            left[m] = load(dz, place_in_matrix(min(int32(i + m), int32(rows - 1)), n_out, k))
            right[m] = load_real(weight, place_in_matrix(min(int32(j + m), int32(n_in - 1)), n_out, k))
        add_product(left, right, sums)
        k = int32(k + cube.groups)


def weight_gradient_phase(block, blocks, cube, dz, source, target, shape, partials, addends):
    """Do this block's tiles of the gradients; return the number of its next tile, counted from the last one on.

    The gradient of the bias is one more row of that of the weight: of an input that is always 1. ``target``: (dw, db),
    whose db is 0 if it is not wanted; ``source``: as in forward_phase; ``shape``: (rows, n_in, n_out).
    """
    n_rows = int32(shape[1] + 1) if target[1] != 0 else shape[1]
    tile, tiles = int32(block), tiles_of(cube, n_rows, shape[2])
    while tile < tiles:
        row, column = tile_place(cube, tile, shape[2])
        weight_gradient_tile(cube, row, column, dz, source, target, n_rows, shape, partials, addends)
        tile = int32(tile + blocks)
    return int32(tile - tiles)


def weight_gradient_tile(cube, row, column, dz, source, target, n_rows, shape, partials, addends):
    """Do the tile of the gradients that begins at ``row, column``."""
    sums = cuda.local.array(16, real)
    _, n_in, n_out = shape
    clear_sums(sums)
    if begins_wide(dz, n_out) and begins_wide(source[0], source[1]) and (n_in & 3) == 0:
        add_wide_columns_by_columns(cube, dz, source, shape, row, column, sums)
    else:
        add_columns_by_columns(cube, dz, source, shape, row, column, sums)
    add_groups(cube, sums, partials, addends)
    turn = int32(0)
    while turn < turns_of_outputs(cube):
        output = int32(thread_of_cube(cube) + turn * threads_of_cube(cube))
        i, j = int32(row + row_of_output(cube, output)), int32(column + column_of_output(cube, output))
        total = total_of(cube, addends, output)
        if output < outputs_of_tile(cube) and i < n_rows and j < n_out:
            is_weight = i < n_in
            place = place_in_matrix(i if is_weight else int32(0), n_out, j)
            store_real(target[0] if is_weight else target[1], place, total)
        turn = int32(turn + 1)


def add_wide_columns_by_columns(cube, dz, source, shape, row, column, sums):
    """Add this thread's part of x^T dz, 16 bytes at a time, and of the sum of dz in the row ``n_in``."""
    left, right = cuda.local.array(16, real), cuda.local.array(16, real)
    rows, n_in, n_out = shape
    x, stride, indices, scale, offset = source
    i, j = int32(row + 4 * cube.row), min(int32(column + 4 * cube.column), int32(n_out - 4))
    has_inputs, i = i < n_in, min(i, int32(n_in - 4))
    scale, offset = (scale, offset) if has_inputs else (real(0), real(1))
    k, in_fours = int32(4 * cube.group), int32(rows & -4)
    while k < in_fours:
        for m in range(4):
            load_four(dz, place_in_matrix(int32(k + m), n_out, j), right[4 * m : 4 * m + 4])
            place = row_place(indices, int32(k + m), stride) + i
            load_four_inputs(x, place, scale, offset, left[4 * m : 4 * m + 4])
        inputs_or_ones(has_inputs, left)
        add_products(left, right, sums)
        k = int32(k + 4 * cube.groups)
    k = int32(in_fours + cube.group)
    while k < rows:
        load_four(dz, place_in_matrix(k, n_out, j), right[:4])
        load_four_inputs(x, row_place(indices, k, stride) + i, scale, offset, left[:4])
        inputs_or_ones(has_inputs, left)
        add_product(left, right, sums)
        k = int32(k + cube.groups)


def add_columns_by_columns(cube, dz, source, shape, row, column, sums):
    """Do so number by number."""
    left, right = cuda.local.array(4, real), cuda.local.array(4, real)
    rows, n_in, n_out = shape
    x, stride, indices, scale, offset = source
    i, j, k = row + 4 * cube.row, column + 4 * cube.column, cube.group
    while k < rows:
        start = row_place(indices, k, stride)
        for m in range(4):
            left[m] = load_input(x, start + i + m, scale, offset) if int32(i + m) < n_in else real(1)
            right[m] = load(dz, place_in_matrix(k, n_out, min(int32(j + m), int32(n_out - 1))))
        add_product(left, right, sums)
        k = int32(k + cube.groups)


def _backward(name):
    loads = "load_both" if name in activations.KEEPS_Z else "load_a"
    loads = "load_nothing" if name == "identity" else loads
    return dense_backward, {"load_below": loads, "derivative": f"{name}_derivative", **BATCH}


def _backward_gathered(source):
    return dense_backward_gathered, SOURCE


TEMPLATES = (
    load_nothing,
    load_a,
    load_both,
    below_output,
    add_wide_rows_by_rows,
    add_rows_by_rows,
    input_gradient_tile,
    input_gradient_phase,
    add_wide_columns_by_columns,
    add_columns_by_columns,
    weight_gradient_tile,
    weight_gradient_phase,
)
KINDS = {
    "dense_backward": Kind(_backward, dense_shapes.backward, max_threads=dense_shapes.MAX_THREADS),
    "dense_backward_gathered": Kind(
        _backward_gathered, dense_shapes.weight_gradient, max_threads=dense_shapes.MAX_THREADS
    ),
}
