"""Compare a gradient with the slope of the function, in float64, along one random direction.

A gradient ``g`` is right if the slope of the function along a unit direction ``u`` is ``g . u``. A random
``u`` has a part of every element, so one slope checks them all (the idea of Chainer's gradient_check).

The slope comes from central differences at two step widths, extrapolated to width 0 (Richardson); its
error is far below the tolerance, unless the function has a kink nearby, as relu has at 0. A kink is
found out by the same five values and reported as such, instead of being hidden by a loose tolerance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelnn.network import Network

STEP = 1e-4
TOLERANCE = 1e-6  # relative to the typical slope along a random direction


class KinkError(AssertionError):
    """The function has no derivative near the point: check at another point."""


def check_gradient(
    function: Callable[[], float],
    variable: np.ndarray,
    gradient: np.ndarray,
    rng: np.random.Generator,
    name: str = "variable",
) -> None:
    """Raise AssertionError unless ``gradient`` is the gradient of ``function`` with respect to ``variable``.

    ``function`` takes no argument and reads ``variable``, a float64 array that is changed for the
    evaluations and restored afterwards.
    """
    assert variable.dtype == gradient.dtype == np.float64, "rounding of float32 hides errors"
    assert variable.shape == gradient.shape, f"{name}: {gradient.shape} is not the shape {variable.shape}"
    direction = rng.standard_normal(variable.shape)
    direction /= np.linalg.norm(direction)
    typical_slope = np.linalg.norm(gradient) / np.sqrt(gradient.size)
    slope = slope_along(function, variable, direction, typical_slope, name)
    claimed = float(np.sum(gradient * direction))
    error = abs(slope - claimed)
    assert error <= TOLERANCE * typical_slope + 1e-9, f"{name}: slope {slope!r}, gradient says {claimed!r}"


def slope_along(
    function: Callable[[], float], variable: np.ndarray, direction: np.ndarray, scale: float, name: str
) -> float:
    """Return the slope of ``function`` along ``direction``; KinkError if it jumps, on the scale of slopes."""
    start = variable.copy()
    value = {}
    for half_steps in (-2, -1, 0, 1, 2):
        variable[...] = start + (0.5 * STEP * half_steps) * direction
        value[half_steps] = function()
    variable[...] = start
    wide = (value[2] - value[-2]) / (2 * STEP)
    narrow = (value[1] - value[-1]) / STEP
    # For a smooth function both slopes agree to STEP^2, and the difference between the slopes right and
    # left of the point is proportional to the width. A kink anywhere within the width breaks one or both.
    wide_jump = (value[2] - 2 * value[0] + value[-2]) / STEP
    narrow_jump = (value[1] - 2 * value[0] + value[-1]) / (0.5 * STEP)
    tolerance = TOLERANCE * max(scale, abs(narrow)) + 1e-9
    if abs(wide - narrow) > tolerance or abs(wide_jump - 2 * narrow_jump) > tolerance:
        raise KinkError(f"{name}: slopes {wide!r} and {narrow!r}, jumps {wide_jump!r} and {narrow_jump!r}")
    return (4 * narrow - wide) / 3


def check_network_gradients(
    network: Network,
    x: np.ndarray,
    rng: np.random.Generator,
    *,
    training: bool = True,
    dropout_keys: np.ndarray | None = None,
    scores: bool = False,
) -> None:
    """Check ``dx`` and the gradient of every parameter of a float64 network, for a random ``d_output``."""
    context = network.context(training=training, dropout_keys=dropout_keys)
    upstream = rng.standard_normal(network.forward(x, context, scores=scores).shape)

    def function() -> float:
        return float(np.sum(upstream * network.forward(x, context, scores=scores)))

    network.arena.gradients[...] = np.nan  # a gradient that is not assigned must not pass
    dx = network.backward(upstream)
    gradients = [(p, p.gradients.copy()) for p in network.arena.parameters]
    check_gradient(function, x, dx, rng, "x")
    for parameter, gradient in gradients:
        name = f"{parameter.layer_name}.{parameter.name}"
        check_gradient(function, parameter.values, gradient, rng, name)
