"""Gather the rows of a mini-batch: select, convert and scale in one pass. Copies of buffers."""

from __future__ import annotations

from accelnn_kernels.cuda.shapes import THREADS, Kind, always, elements, width_of

MAX_GATHER_BLOCKS = 1 << 16
"""Rows lie anywhere, so a block that does many of them waits for each: rather many blocks at a time."""


def gather_rows(x, stride, indices, n_indices, rows, columns, out, scale, offset, cursor, ahead):
    """Write x[indices[first : first + rows]] * scale + offset to ``out (rows, columns)``, computed in reals.

    ``first`` is cursor[1] + ahead * rows, or 0 if ``cursor`` is 0. ``x`` is the address of the first of all rows, of
    the variant's type, and ``stride`` the distance of two rows in elements. ``n_indices`` is not used: it says on a CPU
    which rows will be wanted next.

    The threads of a block with one ``threadIdx.y`` share a row.
    """
    first = load_int(cursor, 1) + ahead * rows if cursor != 0 else 0
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    while i < rows:
        row = load_int(indices, first + i) * stride
        if columns % width != 0:
            j = cuda.threadIdx.x
            while j < columns:
                store(out, i * columns + j, real(load_source(x, row + j)) * scale + offset)
                j += cuda.blockDim.x
        elif source_width <= width and is_aligned(x) and row % source_width == 0:
            gather_by_wide_reads(x, row, columns, out, i * columns, scale, offset)
        elif width % 4 == 0 and is_aligned(x) and row % 4 == 0:
            gather_by_fours(x, row, columns, out, i * columns, scale, offset)
        else:
            gather_by_elements(x, row, columns, out, i * columns, scale, offset)
        i += cuda.gridDim.x * cuda.blockDim.y


def gather_by_wide_reads(x, row, columns, out, start, scale, offset):
    """Write a row from element ``row`` of ``x`` on to element ``start`` of ``out``; both begin at 16 bytes."""
    values, loaded = cuda.local.array(width, real), cuda.local.array(source_width, source_type)
    j = width * cuda.threadIdx.x
    while j < columns:
        for part in range(width // source_width):
            load_wide_source(x, row + j + part * source_width, loaded)
            for k in range(source_width):
                values[part * source_width + k] = real(loaded[k]) * scale + offset
        store_wide(out, start + j, values)
        j += width * cuda.blockDim.x


def gather_by_fours(x, row, columns, out, start, scale, offset):
    """Do the same for a source whose elements are smaller than those of the batch: four at a time, as pixels are.

    A thread writes 16 bytes, so neighbours write neighbouring addresses. If it read 16 pixels instead, it would write
    64 bytes, and each of its accesses half of what memory moves at a time.
    """
    values, loaded = cuda.local.array(width, real), cuda.local.array(4, source_type)
    j = width * cuda.threadIdx.x
    while j < columns:
        for part in range(width // 4):
            load_four_source(x, row + j + 4 * part, loaded)
            for k in range(4):
                values[4 * part + k] = real(loaded[k]) * scale + offset
        store_wide(out, start + j, values)
        j += width * cuda.blockDim.x


def gather_by_elements(x, row, columns, out, start, scale, offset):
    """Do the same for a source that lies anywhere. Numbers are read one by one, but from the line in the L1 cache."""
    values = cuda.local.array(width, real)
    j = width * cuda.threadIdx.x
    while j < columns:
        for k in range(width):
            values[k] = real(load_source(x, row + j + k)) * scale + offset
        store_wide(out, start + j, values)
        j += width * cuda.blockDim.x


def gather_shape(arguments, element):
    """Threads for every 16 bytes (or element) of a row, a power of two, and for several rows if they are short."""
    rows, columns = arguments["rows"], arguments["columns"]
    accesses = columns // width_of(element) if columns % width_of(element) == 0 else columns
    lanes = min(THREADS, 1 << (accesses - 1).bit_length())
    blocks = max(1, min(-(-rows * lanes // THREADS), MAX_GATHER_BLOCKS))
    return (blocks,), (lanes, THREADS // lanes)


def copy(source_values, target_values, size):
    """Copy ``size`` elements between buffers that begin at multiples of 16 bytes."""
    values = cuda.local.array(width, real)
    units, i = size // width, first_element()
    while i < units:
        load_wide(source_values, i * width, values)
        store_wide(target_values, i * width, values)
        i += all_threads()
    i = units * width + first_element()
    if i < size:  # fewer elements are left than any launch has threads
        store(target_values, i, load(source_values, i))


def rescaling(x, y, size, scale, offset):
    """Write x * scale + offset to ``y (size,)``; both begin at multiples of 16 bytes and may be the same."""
    values = cuda.local.array(width, real)
    units, i = size // width, first_element()
    while i < units:
        load_wide(x, i * width, values)
        for k in range(width):
            values[k] = values[k] * scale + offset
        store_wide(y, i * width, values)
        i += all_threads()
    i = units * width + first_element()
    if i < size:  # fewer elements are left than any launch has threads
        store(y, i, load(x, i) * scale + offset)


TEMPLATES = (gather_by_wide_reads, gather_by_fours, gather_by_elements)
KINDS = {
    "gather_rows": Kind(always(gather_rows), gather_shape),
    "copy": Kind(always(copy), elements),
    "rescaling": Kind(always(rescaling), elements),
}
