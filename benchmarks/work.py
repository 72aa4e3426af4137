"""The work that all contenders do: MNIST, a fully connected network with ReLU, softmax and cross-entropy, in float32.

All start from the same weights and see the same mini-batches in the same order, so that their losses must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

UNITS = (784, 128, 64, 10)
LEARNING_RATES = {"sgd": 0.1, "adam": 0.001}


@dataclass(frozen=True)
class Work:
    """One round of training: ``n_steps`` mini-batches of ``batch_size`` rows."""

    batch_size: int
    optimizer: str = "sgd"
    units: tuple[int, ...] = UNITS
    n_steps: int = field(init=False)

    def __post_init__(self) -> None:
        rows = min(60_000, 15_000 if self.batch_size < 32 else 60_000)
        object.__setattr__(self, "n_steps", rows // self.batch_size)

    @property
    def learning_rate(self) -> float:
        return LEARNING_RATES[self.optimizer]

    @property
    def n_rows(self) -> int:
        """The rows of a round."""
        return self.n_steps * self.batch_size

    def initial_weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (W, b) per layer, float32."""
        rng = np.random.default_rng(0)
        return [
            ((rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)).astype(np.float32), np.zeros(n_out, np.float32))
            for n_in, n_out in zip(self.units[:-1], self.units[1:], strict=True)
        ]

    def order(self, round_number: int) -> np.ndarray:
        """Return the rows of a round in their order, int64 (n_rows,)."""
        return np.random.default_rng(1 + round_number).permutation(60_000)[: self.n_rows]


def load_mnist() -> tuple[np.ndarray, np.ndarray]:
    """Return the training images, uint8 (60000, 784), and labels, int64 (60000,)."""
    from accelnn import load_dataset

    data = load_dataset("mnist", download=False)
    return data.x_train, data.y_train


def scaled(images: np.ndarray) -> np.ndarray:
    """Return the images as float32 in [0, 1]: what contenders start from that do not scale by themselves."""
    return np.multiply(images, np.float32(1 / 255), dtype=np.float32)
