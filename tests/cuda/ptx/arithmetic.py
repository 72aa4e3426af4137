"""Arithmetic of PTX on NumPy arrays, or on NumPy's scalars where all threads have the same number."""

from __future__ import annotations

from typing import Any

import numpy as np

Values = Any
"""A NumPy array with an element for each thread, or a NumPy scalar."""

_WIDER = {np.dtype(np.float32): np.float64, np.dtype(np.float64): np.longdouble}


def fma(a: Values, b: Values, c: Values, mode: str = "rn") -> Values:
    """Return a b + c, rounded once; the product and the sum are made in the next wider format."""
    wider = _WIDER[a.dtype]
    return rounded(a.astype(wider) * b.astype(wider) + c.astype(wider), a.dtype, mode)


def add(a: Values, b: Values, mode: str = "rn") -> Values:
    """Return a + b."""
    return a + b if mode == "rn" else rounded(a.astype(_WIDER[a.dtype]) + b, a.dtype, mode)


def multiply(a: Values, b: Values, mode: str = "rn") -> Values:
    """Return a b."""
    return a * b if mode == "rn" else rounded(a.astype(_WIDER[a.dtype]) * b, a.dtype, mode)


def rounded(exact: Values, dtype: np.dtype, mode: str) -> Values:
    """Return wider numbers in ``dtype``: to the nearest (rn), to zero (rz), down (rm) or up (rp)."""
    nearest = exact.astype(dtype)
    if mode == "rn":
        return nearest
    if mode == "rz":
        too_far, towards = np.abs(nearest) > np.abs(exact), dtype.type(0)
    elif mode == "rm":
        too_far, towards = nearest > exact, dtype.type(-np.inf)
    else:
        too_far, towards = nearest < exact, dtype.type(np.inf)
    return select(too_far, np.nextafter(nearest, towards), nearest)


def select(condition: Values, a: Values, b: Values) -> Values:
    """Return a where the condition holds, else b."""
    if condition.ndim == 0:
        return a if condition else b
    return np.where(condition, a, b)


def flushed(a: Values) -> Values:
    """Return numbers without subnormal ones, which become zeros of their sign (.ftz)."""
    return select(np.abs(a) < np.finfo(a.dtype).tiny, np.copysign(a.dtype.type(0), a), a)


def in_wider(function: Any, a: Values) -> Values:
    """Return a function of NumPy's, computed in the next wider format and rounded."""
    return function(a.astype(_WIDER[a.dtype])).astype(a.dtype)


def reciprocal(a: Values) -> Values:
    """Return 1 / a."""
    return a.dtype.type(1) / a


def approximate_reciprocal_of_double(a: Values) -> Values:
    """Return 1 / a as rcp.approx.ftz.f64 does: the lower half of its bits is 0."""
    bits = (a.dtype.type(1) / a).view(np.uint64) & np.uint64(0xFFFFFFFF00000000)
    return bits.view(np.float64)


def saturated(a: Values) -> Values:
    """Return a number brought to [0, 1]; NaN becomes 0."""
    return np.fmin(np.fmax(a, a.dtype.type(0)), a.dtype.type(1))


def to_integer(a: Values, dtype: np.dtype, rounding: str) -> Values:
    """Return floats as integers: beyond the range they become its ends, NaN becomes 0."""
    whole = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}[rounding](a).astype(np.longdouble)
    limits = np.iinfo(dtype)
    inside = np.where(np.isnan(whole), 0, np.clip(whole, limits.min, limits.max))
    return inside.astype(dtype)[()]


def divide(a: Values, b: Values) -> Values:
    """Return the quotient of integers, cut off towards 0."""
    quotient = a // b
    is_lower = (quotient * b != a) & ((a < 0) != (b < 0))
    return quotient + is_lower.astype(a.dtype)


def remainder(a: Values, b: Values) -> Values:
    """Return what is left of a, with its sign."""
    return a - divide(a, b) * b


def high(a: Values, b: Values) -> Values:
    """Return the upper half of the product of two integers of 32 or 64 bits."""
    if a.dtype.itemsize == 4:
        wide = np.dtype(f"{a.dtype.kind}8")
        return ((a.astype(wide) * b.astype(wide)) >> wide.type(32)).astype(a.dtype)
    product = np.asarray(a).astype(object) * np.asarray(b).astype(object)
    words = [int(p) >> 64 & 0xFFFFFFFFFFFFFFFF for p in np.ravel(product)]
    return np.array(words, np.uint64).reshape(product.shape)[()].view(a.dtype)


def shift_left(a: Values, bits: Values) -> Values:
    """Return a shifted; a shift by all bits or more gives 0."""
    return a << np.minimum(bits.view(np.uint32), np.uint32(8 * a.dtype.itemsize)).astype(a.dtype)


def shift_right(a: Values, bits: Values) -> Values:
    """Return a shifted, filled with its sign if its dtype has one."""
    return a >> np.minimum(bits.view(np.uint32), np.uint32(8 * a.dtype.itemsize)).astype(a.dtype)


def funnel(low: Values, upper: Values, bits: Values, left: bool) -> Values:
    """Return 32 bits of a pair of words, shifted by ``bits`` modulo 32."""
    pair = (upper.view(np.uint32).astype(np.uint64) << np.uint64(32)) | low.view(np.uint32).astype(np.uint64)
    bits = (bits.view(np.uint32) & np.uint32(31)).astype(np.uint64)
    moved = (pair << bits) >> np.uint64(32) if left else pair >> bits
    return moved.astype(np.uint32).view(np.int32)


def insert_bits(a: Values, b: Values, first: Values, count: Values) -> Values:
    """Return b with the lowest ``count`` bits of a at ``first`` (bfi)."""
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    first, count = (x.view(np.uint32).astype(np.uint64) & np.uint64(255) for x in (first, count))
    mask = (((np.uint64(1) << count) - np.uint64(1)) << first).astype(unsigned)
    moved = (a.view(unsigned).astype(np.uint64) << first).astype(unsigned)
    return ((moved & mask) | (b.view(unsigned) & ~mask)).view(a.dtype)


def permute_bytes(a: Values, b: Values, selector: Values) -> Values:
    """Return four bytes of a and b, chosen by the fours of bits of the selector (prmt); bit 3 copies a sign."""
    pair = (b.view(np.uint32).astype(np.uint64) << np.uint64(32)) | a.view(np.uint32).astype(np.uint64)
    total = np.uint64(0)
    for place in range(4):
        choice = (selector.view(np.uint32).astype(np.uint64) >> np.uint64(4 * place)) & np.uint64(15)
        byte = (pair >> (np.uint64(8) * (choice & np.uint64(7)))) & np.uint64(255)
        signs = select((byte >> np.uint64(7)) == 1, np.uint64(255), np.uint64(0))
        byte = select((choice >> np.uint64(3)) == 1, signs, byte)
        total = total | (byte << np.uint64(8 * place))
    return total.astype(np.uint32).view(np.int32)


def pack(low: Values, upper: Values) -> Values:
    """Return the 64 bits of two words of 32, as int64."""
    words = low.view(np.uint32).astype(np.uint64) | (upper.view(np.uint32).astype(np.uint64) << np.uint64(32))
    return words.view(np.int64)


def unpack(bits: Values) -> tuple[Values, Values]:
    """Return the two words of 32 bits, as int32."""
    words = bits.view(np.uint64)
    return tuple((words >> np.uint64(n)).astype(np.uint32).view(np.int32) for n in (0, 32))


COMPARISONS = {
    "eq": "{a} == {b}",
    "ne": "({a} < {b}) | ({a} > {b})",
    "lt": "{a} < {b}",
    "le": "{a} <= {b}",
    "gt": "{a} > {b}",
    "ge": "{a} >= {b}",
    "equ": "~(({a} < {b}) | ({a} > {b}))",
    "neu": "{a} != {b}",
    "ltu": "~({a} >= {b})",
    "leu": "~({a} > {b})",
    "gtu": "~({a} <= {b})",
    "geu": "~({a} < {b})",
    "num": "~(np.isnan({a}) | np.isnan({b}))",
    "nan": "np.isnan({a}) | np.isnan({b})",
    "lo": "{a} < {b}",
    "ls": "{a} <= {b}",
    "hi": "{a} > {b}",
    "hs": "{a} >= {b}",
}
"""What setp computes; those with a u at their end also hold where an operand is NaN."""
