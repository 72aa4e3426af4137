"""How long chunks are: a sign of life at least every half second, whatever happens to the time of a step.

Runner and clock are made up: a step takes as long as a test says.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from accelnn import Sequential
from accelnn.training import fit
from accelnn.training.callbacks import Callback
from accelnn.training.pace import CHUNK_S, GROWTH, Pace
from tests.training.parity import dense

LONGEST_S = 0.5


class Clock:
    """Counts the seconds that the runner says it needs."""

    def __init__(self) -> None:
        self.now_s = 0.0


class MadeUpRunner:
    """Trains nothing; step number i of the whole run takes ``step_s(i)`` seconds."""

    name, threads = "made up", 1

    def __init__(self, clock: Clock, step_s: Callable[[int], float]) -> None:
        self.clock, self.step_s = clock, step_s
        self.done = 0

    def begin_epoch(self, permutation: np.ndarray) -> None:
        pass

    def train(self, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> np.ndarray:
        assert len(hyper) == len(dropout_keys) == last - first
        for _ in range(first, last):
            self.clock.now_s += self.step_s(self.done)
            self.done += 1
        return np.zeros(last - first)


class SignsOfLife(Callback):
    """Notes when chunks ended, and how many steps of the epoch were done."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.times_s, self.steps = clock, [0.0], [0]

    def on_chunk_end(self, model, epoch, steps_done, steps_total, loss) -> None:
        self.times_s.append(self.clock.now_s)
        self.steps.append(epoch * steps_total + steps_done)

    @property
    def intervals_s(self) -> np.ndarray:
        return np.diff(self.times_s)


@pytest.fixture
def signs_of_life(monkeypatch):
    """Return a function that trains with made-up steps: 8 rows each, and what is left over in the last of an epoch."""

    def train(step_s: Callable[[int], float], *, rows: int, epochs: int) -> SignsOfLife:
        clock = Clock()
        watch, runner = SignsOfLife(clock), MadeUpRunner(clock, step_s)
        monkeypatch.setattr(fit, "choose_runner", lambda *arguments, **options: runner)
        monkeypatch.setattr(fit, "time", SimpleNamespace(perf_counter=lambda: clock.now_s))
        x = np.zeros((rows, 1))
        model = Sequential([dense(1)], seed=0)
        model.fit(x, x, batch_size=8, epochs=epochs, verbose=0, callbacks=watch, optimizer="sgd")
        assert watch.steps[-1] == epochs * -(-rows // 8)
        return watch

    return train


def test_quick_steps_make_chunks_of_the_wanted_length(signs_of_life):
    intervals_s = signs_of_life(lambda step: 1e-4, rows=80_000, epochs=2).intervals_s
    assert max(intervals_s) <= CHUNK_S * 1.01
    assert len(intervals_s) < 40  # about ten for each of the two seconds, and a few short ones to begin with


def test_a_slow_step_is_a_chunk_of_its_own(signs_of_life):
    watch = signs_of_life(lambda step: 0.7, rows=160, epochs=1)
    assert np.diff(watch.steps).tolist() == [1] * 20


def test_a_first_step_that_compiles_decides_nothing(signs_of_life):
    watch = signs_of_life(lambda step: 5.0 if step == 0 else 1e-4, rows=80_000, epochs=1)
    assert max(watch.intervals_s[1:]) <= CHUNK_S * 1.01
    assert len(watch.steps) < 30


def test_steps_that_become_slower_make_shorter_chunks(signs_of_life):
    """From one step to the next they take four times as long (another program wants the processor), and stay so."""
    watch = signs_of_life(lambda step: 1e-3 if step < 2000 else 4e-3, rows=8 * 4000, epochs=1)
    assert max(watch.intervals_s) <= LONGEST_S
    assert max(watch.intervals_s[-10:]) <= CHUNK_S * 1.01


def test_steps_that_become_slower_little_by_little(signs_of_life):
    """A thousand times in the end, over many short epochs: each epoch has fewer steps than a chunk at the beginning."""
    watch = signs_of_life(lambda step: 1e-5 * 1.0007**step, rows=8 * 50, epochs=200)
    assert watch.times_s[-1] > 10.0
    assert max(watch.intervals_s) <= LONGEST_S


def test_one_hiccup_does_not_last(signs_of_life):
    watch = signs_of_life(lambda step: 0.4 if step == 500 else 1e-3, rows=8 * 2000, epochs=1)
    assert max(watch.intervals_s) <= LONGEST_S
    assert len(watch.steps) < 40


def test_the_short_last_batch_does_not_decide_how_long_a_chunk_is(signs_of_life):
    """A step of 1 row may be a thousand times faster than one of all rows: the next chunk would hold up Ctrl-C."""
    watch = signs_of_life(lambda step: 1e-5 if step % 5 == 4 else 0.2, rows=33, epochs=10)
    assert max(watch.intervals_s) < 0.3


def test_a_lucky_measurement_lengthens_chunks_only_so_far():
    pace = Pace()
    assert pace.steps == 1
    for expected in (GROWTH, GROWTH**2, GROWTH**3):
        pace.record(pace.steps, 1e-9)
        assert pace.steps == expected
    pace.record(pace.steps, 0.0)  # a clock that stands still
    assert pace.steps == GROWTH**4
    pace.record(10, 10 * CHUNK_S)
    assert pace.steps == 1


def test_the_end_of_an_epoch_does_not_shorten_the_next_chunk():
    pace = Pace()
    for _ in range(4):
        pace.record(pace.steps, 1e-6 * pace.steps)
    before = pace.steps
    pace.record(3, 3e-6)
    assert pace.steps >= before == GROWTH**4
