"""accelnn through its fast runner, from uint8 images, as ``Sequential.fit`` uses it: compiled, or captured on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelnn import Dense, Rescaling, Sequential
from accelnn.arrays import reference
from accelnn.training.data import TrainingData
from accelnn.training.fit import OptimizerState
from accelnn.training.optimizers import resolve_optimizer
from accelnn.training.runners.choice import choose_runner
from benchmarks.work import Work

FAST_RUNNERS = {"cpu": "compiled", "cuda": "captured"}


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    return prepare_runner(FAST_RUNNERS[device], work, images, labels, device)


def prepare_runner(
    requested: str, work: Work, images: np.ndarray, labels: np.ndarray, device: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that trains a round with the runner of this name, which is a requirement."""
    hidden = [Dense(n, "relu") for n in work.units[1:-1]]
    model = Sequential([Rescaling(1 / 255), *hidden, Dense(work.units[-1], "softmax")], n_in=784, backend=device)
    model.set_weights([array for pair in work.initial_weights() for array in pair])
    state = OptimizerState.fresh(resolve_optimizer(work.optimizer, work.learning_rate), model)
    data = TrainingData(images, labels)
    arguments = (model, data, "cross_entropy", state.optimizer, state.moments, work.batch_size)
    runner = choose_runner(requested, *arguments, precision=None if device == "cpu" else work.precision)

    def train(order: np.ndarray) -> np.ndarray:
        n_steps = len(order) // work.batch_size
        steps = state.steps + np.arange(n_steps)
        hyper = state.optimizer.hyper(steps, np.full(n_steps, work.learning_rate))
        runner.begin_epoch(order)
        losses = runner.train(0, n_steps, hyper, reference.dropout_keys(0, steps, 0))
        state.steps += n_steps
        return losses

    def run(order: np.ndarray) -> np.ndarray:
        if device == "cpu":
            return train(order)
        return np.concatenate([train(piece) for piece in work.epochs(order)])

    return run
