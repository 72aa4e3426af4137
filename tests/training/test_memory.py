"""Peak memory of a training run: the data stay in their compact type, and there are no copies of them."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from accelnn import Adam, Dense, Rescaling, Sequential

def peak_bytes():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

def new_model():
    return Sequential([Rescaling(1 / 255), Dense(256, "relu"), Dense(10, "softmax")], seed=0, backend="cpu")

rng = np.random.default_rng(0)
small = rng.integers(0, 256, (256, 784), dtype=np.uint8), rng.integers(0, 10, 256)
new_model().fit(*small, epochs=1, batch_size=128, verbose=0)  # imports, and loads or compiles the kernels
x, y = rng.integers(0, 256, (60_000, 784), dtype=np.uint8), rng.integers(0, 10, 60_000)
before = peak_bytes()
model = new_model()
model.fit(x, y, epochs=2, batch_size=128, verbose=0)
print(peak_bytes() - before, 3 * model.arena.values.nbytes)
"""


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="needs /proc")
def test_training_takes_little_more_than_its_data_and_three_times_its_parameters():
    finished = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    growth, parameters = (int(word) for word in finished.stdout.split())
    assert growth < parameters + 20 * 2**20  # the limit is 100 MiB with all imports and kernels, which came before
