"""The work that all contenders do: a fully connected network with ReLU, softmax and mean cross-entropy, in float32.

All start from the same weights and see the same mini-batches in the same order, so that their losses must agree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

Weights: TypeAlias = list[tuple[np.ndarray, np.ndarray]]
"""(W, b) per layer, float32."""

UNITS = (784, 128, 64, 10)
LEARNING_RATES = {"sgd": 0.1, "adam": 0.001}
QUICK = os.environ.get("ACCELNN_BENCH_QUICK") == "1"
"""Whether programs are only tried out: on few random images, without pauses. Their figures mean nothing then."""

N_IMAGES = 8192 if QUICK else 60_000
PIECE_ROWS = 65_536
"""Contenders that copy the rows of a round before they train do it in pieces of at most so many rows."""


@dataclass(frozen=True)
class Work:
    """One round of training: ``n_steps`` mini-batches of ``batch_size`` rows through layers of ``units``.

    ``n_steps`` 0 takes an epoch of ``N_IMAGES`` rows; ``learning_rate`` 0 takes that of ``LEARNING_RATES``. ``data`` is
    "mnist", or "synthetic" for random images with labels that can be learned. ``precision`` is that of matrix products:
    "float32", and on a GPU also "tf32" or "bf16"; parameters are float32 in any case.
    """

    batch_size: int
    optimizer: str = "sgd"
    units: tuple[int, ...] = UNITS
    n_steps: int = 0
    learning_rate: float = 0.0
    data: str = "mnist"
    precision: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_steps", self.n_steps or N_IMAGES // self.batch_size)
        object.__setattr__(self, "learning_rate", self.learning_rate or LEARNING_RATES[self.optimizer])

    @classmethod
    def from_json(cls, text: str) -> Work:
        """Return the work that ``to_json`` wrote."""
        fields = json.loads(text)
        return cls(**fields | {"units": tuple(fields["units"])})

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def n_rows(self) -> int:
        """The rows of a round."""
        return self.n_steps * self.batch_size

    @property
    def step_flops(self) -> int:
        """Floating-point operations of the matrix products of a step; the first layer needs no input gradient."""
        products = [n_in * n_out for n_in, n_out in pairwise(self.units)]
        return 2 * self.batch_size * (3 * sum(products) - products[0])

    def initial_weights(self) -> Weights:
        """Return (W, b) per layer, float32."""
        return initial_weights(self.units, seed=0)

    def order(self, round_number: int) -> np.ndarray:
        """Return the rows of a round in their order, int64 (n_rows,): permutations, as many as it takes."""
        rng = np.random.default_rng(1 + round_number)
        permutations = [rng.permutation(N_IMAGES) for _ in range(-(-self.n_rows // N_IMAGES))]
        return np.concatenate(permutations)[: self.n_rows]

    def epochs(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """Cut the rows of a round into pieces of whole mini-batches, each of at most an epoch's rows."""
        size = max(1, N_IMAGES // self.batch_size) * self.batch_size
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def pieces(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """Cut the rows of a round into pieces of whole mini-batches, of at most ``PIECE_ROWS`` rows if they fit."""
        size = max(1, PIECE_ROWS // self.batch_size) * self.batch_size
        for start in range(0, len(order), size):
            yield order[start : start + size]


def initial_weights(units: tuple[int, ...], seed: int) -> Weights:
    """Return (W, b) per layer, float32: normal numbers of variance 2 / n_in (He et al. 2015), and zeros."""
    rng = np.random.default_rng(seed)
    return [
        ((rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)).astype(np.float32), np.zeros(n_out, np.float32))
        for n_in, n_out in pairwise(units)
    ]


def load_rows(data: str = "mnist") -> tuple[np.ndarray, np.ndarray]:
    """Return the training images, uint8 (N_IMAGES, 784), and labels, int64 (N_IMAGES,)."""
    if data == "synthetic" or QUICK:
        return synthetic_rows()
    from accelnn import load_dataset

    mnist = load_dataset("mnist", download=False)
    return mnist.x_train, mnist.y_train


def synthetic_rows(n: int = N_IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """Return random images, uint8 (n, 784), and labels, int64 (n,): the brightest of the first ten pixels."""
    images = np.random.default_rng(0).integers(0, 256, (n, 784), np.uint8)
    return images, images[:, :10].argmax(axis=1)


SCALE = np.float32(1 / 255).item()
"""What bytes are multiplied by."""


def scaled(images: np.ndarray) -> np.ndarray:
    """Return the images as float32 in [0, 1]: what contenders start from that do not scale by themselves."""
    return np.multiply(images, np.float32(SCALE), dtype=np.float32)
