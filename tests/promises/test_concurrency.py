"""One model in several threads, and a training among signals."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from accelnn import Adam, Dense, Dropout, Sequential

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(600, 30)), RNG.integers(0, 4, 600)


def new_model(seed: int) -> Sequential:
    return Sequential([Dense(40, "tanh"), Dropout(0.2), Dense(4, "softmax")], seed=seed, backend="cpu")


def same(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_one_model_predicts_in_several_threads() -> None:
    model = new_model(0)
    model.fit(X, Y, epochs=1, verbose=0)
    expected = [model.predict_proba(X[i:]) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: model.predict_proba(X[i:]), [*range(8)] * 4))
    assert same(expected * 4, together)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_a_handler_of_signals_changes_nothing() -> None:
    model, heard = new_model(2), []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        model.fit(X, Y, epochs=60, optimizer=Adam(0.01), batch_size=32, verbose=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(heard) > 2
    undisturbed = new_model(2)
    undisturbed.fit(X, Y, epochs=60, optimizer=Adam(0.01), batch_size=32, verbose=0)
    assert same(model.get_weights(), undisturbed.get_weights())
