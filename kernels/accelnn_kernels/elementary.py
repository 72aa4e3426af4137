"""Elementary functions for CPU loops: branch-free, so that a loop over them vectorises.

The C library's ``exp`` is a call per element, which no loop around it can turn into vector instructions; these
polynomials it can. They are accurate to a few units in the last place *relative* to the result, near zero too, follow
IEEE arithmetic at the ends (overflow gives infinity, NaN stays NaN), and share one idea:

    x = n ln 2 + r with |r| <= ln(2)/2,   exp(x) = 2^n exp(r),   exp(r) - 1 by its Taylor series

(argument reduction in two steps after Cody and Waite, "Software Manual for the Elementary Functions", 1980).
"""

from __future__ import annotations

import math

import numpy as np


def taylor_expm1_float32(r):
    """Return exp(r) - 1 for abs(r) <= ln(2)/2: Taylor to r^7, truncation below 2^-25 relative."""
    p = real(1 / 5040)
    p = p * r + real(1 / 720)
    p = p * r + real(1 / 120)
    p = p * r + real(1 / 24)
    p = p * r + real(1 / 6)
    p = p * r + real(0.5)
    return p * r * r + r


def taylor_expm1_float64(r):
    """Return exp(r) - 1 for abs(r) <= ln(2)/2: Taylor to r^13, truncation below 2^-55 relative."""
    p = real(1 / 6227020800)
    p = p * r + real(1 / 479001600)
    p = p * r + real(1 / 39916800)
    p = p * r + real(1 / 3628800)
    p = p * r + real(1 / 362880)
    p = p * r + real(1 / 40320)
    p = p * r + real(1 / 5040)
    p = p * r + real(1 / 720)
    p = p * r + real(1 / 120)
    p = p * r + real(1 / 24)
    p = p * r + real(1 / 6)
    p = p * r + real(0.5)
    return p * r * r + r


def power_of_two(n):
    """Return 2^n for an integer n in the range of normal numbers, assembled from its bits."""
    return signed((signed(n) + signed(exponent_bias)) << signed(mantissa_bits)).view(real)


def clamped_exponent(x):
    """Return x kept within the range where exp is neither zero nor infinite by more than one step; NaN stays."""
    x = real(lowest_exponent) if x < real(lowest_exponent) else x
    return real(highest_exponent) if x > real(highest_exponent) else x


def exp(x):
    """Return e^x."""
    x = clamped_exponent(x)
    n = floor(x * real(log2_e) + real(0.5))
    r = (x - n * real(ln2_high)) - n * real(ln2_low)
    # Two factors: 2^n alone would overflow, or underflow, one step before the result does.
    half = floor(n * real(0.5))
    return (taylor_expm1(r) + real(1)) * power_of_two(half) * power_of_two(n - half)


def expm1(x):
    """Return e^x - 1 without cancellation near zero, for x below the overflow of e^x."""
    x = clamped_exponent(x)
    n = floor(x * real(log2_e) + real(0.5))
    r = (x - n * real(ln2_high)) - n * real(ln2_low)
    half = floor(n * real(0.5))
    first = power_of_two(half)
    second = power_of_two(n - half)
    return taylor_expm1(r) * first * second + (first * second - real(1))


def atanh_series_float32(square):
    """Return atanh(s)/s as a series in s^2 for s in [0, 1/3]: truncation below 2^-25."""
    p = real(1 / 13)
    p = p * square + real(1 / 11)
    p = p * square + real(1 / 9)
    p = p * square + real(1 / 7)
    p = p * square + real(1 / 5)
    p = p * square + real(1 / 3)
    return p * square + real(1)


def atanh_series_float64(square):
    """Return atanh(s)/s as a series in s^2 for s in [0, 1/3]: truncation below 2^-54."""
    p = real(1 / 31)
    p = p * square + real(1 / 29)
    p = p * square + real(1 / 27)
    p = p * square + real(1 / 25)
    p = p * square + real(1 / 23)
    p = p * square + real(1 / 21)
    p = p * square + real(1 / 19)
    p = p * square + real(1 / 17)
    p = p * square + real(1 / 15)
    p = p * square + real(1 / 13)
    p = p * square + real(1 / 11)
    p = p * square + real(1 / 9)
    p = p * square + real(1 / 7)
    p = p * square + real(1 / 5)
    p = p * square + real(1 / 3)
    return p * square + real(1)


def log1p_unit(u):
    """Return the logarithm of 1 + u for u in [0, 1], as 2 atanh(u / (2 + u))."""
    s = u / (u + real(2))
    return real(2) * s * atanh_series(s * s)


def tanh(x):
    """Return the hyperbolic tangent, as -e / (2 + e) with e = expm1(-2 |x|), and the sign of x."""
    e = expm1(real(-2) * abs(x))
    t = -e / (real(2) + e)
    return -t if x < real(0) else t


TEMPLATES = (power_of_two, clamped_exponent, exp, expm1, log1p_unit, tanh)

LN2 = {
    # The high part has so few bits that n * high is exact for every n that occurs.
    "float32": (0.693359375, math.log(2) - 0.693359375),
    "float64": (float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")),
}


def constants(dtype: np.dtype) -> dict[str, object]:
    """Return the names that the templates of this file need, for ``dtype`` (float32 or float64)."""
    info = np.finfo(dtype)
    wide = dtype.itemsize == 8
    high, low = LN2[dtype.name]
    return {
        "signed": np.int64 if wide else np.int32,
        "exponent_bias": 1023 if wide else 127,
        "mantissa_bits": info.nmant,
        "lowest_exponent": -746.0 if wide else -104.0,
        "highest_exponent": 710.0 if wide else 89.0,
        "log2_e": math.log2(math.e),
        "ln2_high": high,
        "ln2_low": low,
    }
