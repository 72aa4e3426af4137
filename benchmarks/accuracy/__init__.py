"""Time to accuracy: one recipe for MNIST, followed by accelnn and its peers.

784-512-256-10, ReLU, softmax cross-entropy, float32, Adam with a constant rate of 0.001, batches of 100, a new order of
the rows in every epoch. Smaller networks do not reach 98 % with every seed; 100 divides 60,000, so that there is no
partial batch. In round r all contenders start from the weights of seed r and see the same mini-batches. The test
accuracy is looked at after every epoch, and the time for that counts.

Each module of a contender has ``prepare(data) -> train``, and ``train(seed, after_epoch)`` trains a new model until
``after_epoch(test_accuracy)`` is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.work import QUICK, Weights, Work, initial_weights, synthetic_rows

WORK = Work(100, "adam", (784, 512, 256, 10))
MAX_EPOCHS = 2 if QUICK else 20
TARGETS = (0.975, 0.98)

AfterEpoch: TypeAlias = Callable[[float], bool]
Train: TypeAlias = Callable[[int, AfterEpoch], None]


@dataclass(frozen=True)
class Data:
    """MNIST: images, uint8 (n, 784), and labels, int64 (n,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load_data() -> Data:
    if QUICK:
        return Data(*synthetic_rows(), *synthetic_rows())
    from accelnn import load_dataset

    mnist = load_dataset("mnist", download=False)
    return Data(mnist.x_train, mnist.y_train, mnist.x_test, mnist.y_test)


def weights_of(seed: int) -> Weights:
    """Return the initial weights of a round."""
    return initial_weights(WORK.units, seed)


def orders_of(seed: int, epochs: int = MAX_EPOCHS, n: int = WORK.n_rows) -> Iterator[np.ndarray]:
    """Return the orders of the rows, int64 (n,), one for each epoch: those that accelnn's ``fit`` draws from the seed.

    So all contenders see the same mini-batches, and no one is lucky with another order.
    """
    from accelnn import Dense, Sequential

    rng = Sequential([Dense(1)], backend="cpu", seed=seed).shuffle_rng
    return (rng.permutation(np.arange(n)) for _ in range(epochs))
