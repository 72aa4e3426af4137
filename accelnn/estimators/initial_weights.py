"""First weights as scikit-learn draws them, so that the same ``random_state`` begins the same way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Weights = tuple[list[np.ndarray], list[np.ndarray]]
"""``coefs_`` (n_in, n_out) and ``intercepts_`` (n_out,) of each layer."""


def initial_weights(
    units: Sequence[int], activations: Sequence[str], random: np.random.RandomState, dtype: str
) -> Weights:
    """Return weights and biases, uniform within +-sqrt(6 / (n_in + n_out)), or sqrt(2 / ...) for sigmoids.

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    units: widths, the inputs first. activations: one for each layer that is drawn. random: its next numbers are used, W
    and b of each layer in turn.
    """
    coefs, intercepts = [], []
    for (n_in, n_out), activation in zip(pairwise(units), activations, strict=True):
        bound = np.sqrt((2.0 if activation == "sigmoid" else 6.0) / (n_in + n_out))
        coefs.append(random.uniform(-bound, bound, (n_in, n_out)).astype(dtype))
        intercepts.append(random.uniform(-bound, bound, n_out).astype(dtype))
    return coefs, intercepts
