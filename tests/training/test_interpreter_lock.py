"""The interpreter's lock is free while a chunk is in the compiled loop: other Python threads go on."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from accelnn import SGD, Sequential
from accelnn.training.data import TrainingData
from accelnn.training.runners.compiled import CompiledRunner
from tests.training.parity import dense, inputs, labels

N_STEPS = 1000


class Watcher:
    """A thread that reads a number of the model again and again; every step of the training changes it."""

    def __init__(self, model: Sequential) -> None:
        self._number = model.layers[0].b
        self._values: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> list[float]:
        self._thread.start()
        return self._values

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._values.append(float(self._number[0]))
            time.sleep(0)


@pytest.mark.parametrize("threads", [1, 2])
def test_another_thread_sees_the_weights_move_during_one_call(threads, use_threads):
    use_threads(threads)
    model = Sequential([dense(256, "tanh"), dense(3, "softmax")], n_in=300, seed=0, dtype="float32", backend="cpu")
    data = TrainingData(inputs(n=640, n_in=300).astype(np.float32), labels(n=640))
    runner = CompiledRunner(model, data, "cross_entropy", SGD(0.01), (), 64)
    runner.begin_epoch(np.arange(64 * N_STEPS) % 640)
    hyper, keys = np.full((N_STEPS, 1), 0.01), np.zeros((N_STEPS, 0, 2), np.uint32)
    runner.train(0, 1, hyper[:1], keys[:1])  # compiles, which takes the lock
    with Watcher(model) as values:
        before = len(values)
        losses = runner.train(0, N_STEPS, hyper, keys)
        seen = values[before:]
    assert np.isfinite(losses).all()
    # With the lock held in the loop there would be the number before it, and the one after it.
    assert len(set(seen)) > 10
