"""Dropout whose mask is a function of a key and a position, not of a generator's state.

So a mask needs no memory between forward and backward pass, and every backend draws the same one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from accelnn.arrays.namespace import arange, namespace
from accelnn.arrays.typing import Array, Namespace
from accelnn.errors import invalid

MAX_DROPOUT_LAYERS = 4096
"""Keys of different steps and layers are distinct for at most this many layers."""

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 1 << 32


def lowbias32(h: Array) -> Array:
    """Return a hash of each element of ``h`` (uint32, any shape).

    Source: C. Wellons, Prospecting for Hash Functions (2018), function lowbias32. Products wrap around.
    """
    h = (h ^ (h >> 16)) * 0x7FEB352D
    h = (h ^ (h >> 15)) * 0x846CA68B
    return h ^ (h >> 16)


def dropout_bits(
    rows: int,
    cols: int,
    first_row: int,
    key: Sequence[int] | npt.NDArray[np.uint32],
    xp: Namespace,
    device: object = None,
) -> Array:
    """Return 32 pseudo-random bits per element, a uint32 array (rows, cols) of namespace ``xp``.

    Row i is row ``first_row + i`` of a larger batch, so that a batch in pieces gets the bits of the whole.
    ``key`` holds two integers in 0..2**32-1. With index = row * cols + col (mod 2**32), the bits are
    lowbias32(lowbias32(index ^ key[0]) + key[1]).
    """
    first, second = int(key[0]), int(key[1])
    row = arange(xp, rows, xp.uint32, device) + first_row % _WORD
    col = arange(xp, cols, xp.uint32, device)
    index = row[:, None] * (cols % _WORD) + col[None, :]
    return lowbias32(lowbias32(index ^ first) + second)


def dropout(x: Array, rate: float, key: Sequence[int] | npt.NDArray[np.uint32], first_row: int = 0) -> Array:
    """Return ``x`` with elements dropped with probability ``rate`` and the rest divided by 1 - rate.

    ``x`` has shape (batch, units), ``rate`` is in [0, 1), ``key`` and ``first_row`` are those of
    dropout_bits. An element is kept where its bits are >= rate * 2**32. The gradient is the same
    function of the upstream gradient. Source: Srivastava et al. 2014, in the inverted form.
    """
    xp = namespace(x)
    bits = dropout_bits(x.shape[0], x.shape[1], first_row, key, xp, x.device)
    return xp.where(bits >= int(rate * _WORD), x * (1.0 / (1.0 - rate)), xp.zeros_like(x))


def dropout_keys(seed: int, steps: npt.NDArray[np.int64], n_layers: int) -> npt.NDArray[np.uint32]:
    """Return keys (n_steps, n_layers, 2) for the dropout layers of the given steps, on the host.

    ``seed`` is an integer (taken modulo 2**64), ``steps`` holds step numbers >= 0. A key is the low and
    the high word of the 64-bit finaliser of splitmix64 (Steele et al. 2014) at seed + golden * (4096 step
    + layer + 1). Raises ArgumentError for more than 4096 layers.
    """
    if not 0 <= n_layers <= MAX_DROPOUT_LAYERS:
        raise invalid("n_layers", n_layers, f"use at most {MAX_DROPOUT_LAYERS} dropout layers")
    counters = steps.astype(np.uint64)[:, None] * np.uint64(MAX_DROPOUT_LAYERS)
    counters = counters + np.arange(1, n_layers + 1, dtype=np.uint64)[None, :]
    words = _splitmix64(counters * np.uint64(_GOLDEN) + np.uint64(seed % (1 << 64)))
    low = (words & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    high = (words >> np.uint64(32)).astype(np.uint32)
    return np.stack([low, high], axis=-1)


def _splitmix64(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
