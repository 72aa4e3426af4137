"""Threads are gone after a run; timers during its chunks, with handlers that return and that raise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from accelnn import Dense, Sequential
from tests.training.parity import inputs, targets


def trained() -> Sequential:
    model = Sequential([Dense(16, "tanh"), Dense(3)], seed=0)
    model.fit(inputs(), targets(), epochs=2, verbose=0)
    return model


def test_threads_are_gone_after_a_run() -> None:
    trained()
    before = threading.active_count()
    trained()
    assert threading.active_count() == before


ALARM = """
import signal, sys, time
import numpy as np
from accelnn import Dense, Sequential
from accelnn.training import pace
from accelnn.training.runners import compiled

compiled.team_size = lambda *_: int(sys.argv[1])
ticks, raised = [], sys.argv[2] == "raises"

class Alarm(Exception):
    pass

def tick(number, frame):
    ticks.append(time.monotonic())
    if raised and len(ticks) > 3:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        raise Alarm

signal.signal(signal.SIGALRM, tick)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(20_000, 8)).astype(np.float32), rng.integers(0, 3, 20_000)

def fit(epochs, alarm):
    model = Sequential([Dense(32, "tanh"), Dense(3, "softmax")], seed=0)
    signal.setitimer(signal.ITIMER_REAL, *alarm)
    try:
        model.fit(x, y, epochs=epochs, batch_size=64, verbose=0)
    except Alarm:
        print("stopped by the handler")
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    return model

fit(1, (0.0, 0.0))
model = fit(100_000 if raised else 20, (0.002, 0.002))
assert len(ticks) > 3, ticks
assert np.isfinite(model.arena.values).all()
if not raised:
    assert np.array_equal(model.arena.values, fit(20, (0.0, 0.0)).arena.values)
model.fit(x, y, epochs=1, verbose=0)
print("usable")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("handler", ["returns", "raises"])
def test_other_signals_during_a_chunk(threads: int, handler: str) -> None:
    """A handler that returns changes no number; what it raises ends the run, and the model is usable."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "kernels")])}
    command = [sys.executable, "-c", ALARM, str(threads), handler]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "usable"
    assert ("stopped by the handler" in done.stdout) == (handler == "raises")
