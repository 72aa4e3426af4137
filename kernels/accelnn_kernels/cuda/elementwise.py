"""Elementwise kernels: every thread does some elements, 16 bytes at a time where all rows begin at such an address.

A thread's next element lies a whole number of launches ahead, so its column moves by the same step every time: one
division at the start replaces one per element. Where the step is 0, as for widths that are powers of two, a thread
stays in its columns and reads their bias once.
"""

from __future__ import annotations

from accelnn_kernels import activations
from accelnn_kernels.cuda import softmax
from accelnn_kernels.cuda.shapes import MAX_BLOCKS, THREADS, Kind, width_of


def bias_activation_in_place(z, bias, a, rows, columns):
    """Compute a <- g(a + bias) for ``a (rows, columns)``; ``z`` is not used."""
    if columns % width == 0:
        values, shift = cuda.local.array(width, real), cuda.local.array(width, real)
        units = columns // width
        unit, step = place_in_row(first_element(), units), place_in_row(all_threads(), units)
        load_bias(bias, unit * width, shift)
        i = first_element()
        while i < rows * units:
            load_wide(a, i * width, values)
            for k in range(width):
                values[k] = activation(values[k] + shift[k])
            store_wide(a, i * width, values)
            i += all_threads()
            if step != 0:
                unit = next_in_row(unit, step, units)
                load_bias(bias, unit * width, shift)
    else:
        column, step = place_in_row(first_element(), columns), place_in_row(all_threads(), columns)
        i = first_element()
        while i < rows * columns:
            store(a, i, activation(load(a, i) + load_real(bias, column)))
            i += all_threads()
            column = next_in_row(column, step, columns)


def bias_activation_keeping_z(z, bias, a, rows, columns):
    """Compute z <- z + bias and a <- g(z) for ``z, a (rows, columns)``."""
    if columns % width == 0:
        values, shift = cuda.local.array(width, real), cuda.local.array(width, real)
        units = columns // width
        unit, step = place_in_row(first_element(), units), place_in_row(all_threads(), units)
        load_bias(bias, unit * width, shift)
        i = first_element()
        while i < rows * units:
            load_wide(z, i * width, values)
            for k in range(width):
                values[k] += shift[k]
            store_wide(z, i * width, values)
            for k in range(width):
                values[k] = activation(values[k])
            store_wide(a, i * width, values)
            i += all_threads()
            if step != 0:
                unit = next_in_row(unit, step, units)
                load_bias(bias, unit * width, shift)
    else:
        column, step = place_in_row(first_element(), columns), place_in_row(all_threads(), columns)
        i = first_element()
        while i < rows * columns:
            value = load(z, i) + load_real(bias, column)
            store(z, i, value)
            store(a, i, activation(value))
            i += all_threads()
            column = next_in_row(column, step, columns)


def place_in_row(i, length):
    """Return i modulo the length of a row, both below 2^31: dividing 64-bit numbers takes several times as long."""
    return flag_type(word(i) % word(length))


def next_in_row(place, step, length):
    """Return (place + step) modulo ``length``, for both below it."""
    place += step
    return place - length if place >= length else place


def load_bias(bias, column, values):
    """Fill ``values`` with the bias of ``width`` columns; it is a part of the arena, which is aligned to elements."""
    for k in range(width):
        values[k] = load_real(bias, column + k)


def accesses(arguments, element):
    """One thread for each access: 16 bytes where rows begin at multiples of it, else an element."""
    width = width_of(element)
    rows, columns = arguments["rows"], arguments["columns"]
    count = rows * columns // (width if columns % width == 0 else 1)
    return (max(1, min(-(-count // THREADS), MAX_BLOCKS)),), (THREADS,)


def _bias_activation(name):
    if name == "softmax":
        return softmax.bias_softmax, {}
    keeps_z = name in activations.KEEPS_Z
    return (bias_activation_keeping_z if keeps_z else bias_activation_in_place), {"activation": name}


TEMPLATES = (place_in_row, next_in_row, load_bias)
KINDS = {"bias_activation": Kind(_bias_activation, accesses, {"softmax": softmax.forward_shape})}
