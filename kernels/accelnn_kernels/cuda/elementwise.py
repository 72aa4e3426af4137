"""Elementwise kernels: every thread does some elements, 16 bytes at a time where all rows begin at such an address."""

from __future__ import annotations

from accelnn_kernels import activations
from accelnn_kernels.cuda.shapes import Kind, elements


def bias_activation_in_place(z, bias, a, rows, columns):
    """Compute a <- g(a + bias) for ``a (rows, columns)``; ``z`` is not used."""
    if columns % width == 0:
        values = cuda.local.array(width, real)
        for i in range(first_element(), rows * columns // width, all_threads()):
            load_wide(a, i * width, values)
            column = i * width % columns
            for k in range(width):
                values[k] = activation(values[k] + load_real(bias, column + k))
            store_wide(a, i * width, values)
    else:
        for i in range(first_element(), rows * columns, all_threads()):
            store(a, i, activation(load(a, i) + load_real(bias, i % columns)))


def bias_activation_keeping_z(z, bias, a, rows, columns):
    """Compute z <- z + bias and a <- g(z) for ``z, a (rows, columns)``."""
    if columns % width == 0:
        values = cuda.local.array(width, real)
        for i in range(first_element(), rows * columns // width, all_threads()):
            load_wide(z, i * width, values)
            column = i * width % columns
            for k in range(width):
                values[k] += load_real(bias, column + k)
            store_wide(z, i * width, values)
            for k in range(width):
                values[k] = activation(values[k])
            store_wide(a, i * width, values)
    else:
        for i in range(first_element(), rows * columns, all_threads()):
            value = load(z, i) + load_real(bias, i % columns)
            store(z, i, value)
            store(a, i, activation(value))


def _bias_activation(name):
    keeps_z = name in activations.KEEPS_Z
    return (bias_activation_keeping_z if keeps_z else bias_activation_in_place), {"activation": name}


KINDS = {"bias_activation": Kind(_bias_activation, elements)}
