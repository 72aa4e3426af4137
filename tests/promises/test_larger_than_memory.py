"""Files larger than memory: nothing copies them, neither the checks nor training, predictions or measurements."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accelnn import Dense, Sequential
from accelnn.data import csv_to_npy, map_idx
from accelnn.training.inputs import checked_x

ROOT = Path(__file__).parents[2]
FILE_BYTES = 192 << 20

PROGRAM = """
import resource, sys
import numpy as np
from benchmarks.larger_than_memory import fit
from benchmarks.status import status_bytes

def use(x, y):
    for order in (True, "blocks"):
        model, _ = fit(x, y, order)
    model.fit(x, y, epochs=1, validation_split=0.05, metrics="accuracy", batch_size=256, verbose=0)
    assert np.isfinite(model.evaluate(x, y, metrics="accuracy")["loss"])
    assert model.predict(x).shape == y.shape

x = np.load(sys.argv[1], mmap_mode="r")
y = np.arange(len(x)) % 10
use(np.array(x[:512]), y[:512])  # loads or compiles all the code: a compiler needs more memory than training
used = status_bytes("VmData")
resource.setrlimit(resource.RLIMIT_DATA, (used + x.nbytes // 2,) * 2)
use(x, y)
try:
    np.array(x)
except MemoryError:
    print("the limit holds")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits private memory without mapped files")
def test_a_file_of_twice_the_memory(tmp_path: Path) -> None:
    from benchmarks.larger_than_memory import make_file

    make_file(tmp_path / "x.npy", FILE_BYTES)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "x.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "the limit holds"  # a copy of the file would not have fitted


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_mapped_rows_are_read_where_they_are(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "x.npy", np.arange(60).reshape(12, 5).astype(dtype))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = Sequential([Dense(2)], seed=0)
    assert np.shares_memory(checked_x(mapped, model), mapped)
    assert np.shares_memory(checked_x(mapped[3:9], model), mapped)


def test_mapped_idx_and_converted_csv_train_as_arrays_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 4), dtype=np.uint8), rng.integers(0, 3, 40)
    header = bytes([0, 0, 8, 2]) + np.array(x.shape, ">u4").tobytes()
    (tmp_path / "x.idx").write_bytes(header + x.tobytes())
    np.savetxt(tmp_path / "table.csv", np.column_stack([y, x]), fmt="%d", delimiter=",")
    csv_to_npy(tmp_path / "table.csv", tmp_path / "x.npy", tmp_path / "y.npy", dtype="uint8")
    converted, labels = np.load(tmp_path / "x.npy", mmap_mode="r"), np.load(tmp_path / "y.npy", mmap_mode="r")
    expected = weights(x, y)
    assert np.array_equal(weights(map_idx(tmp_path / "x.idx"), y), expected)
    assert np.array_equal(weights(converted, labels), expected)


def weights(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    model = Sequential([Dense(6, "tanh"), Dense(3, "softmax")], seed=0)
    model.fit(x, y, epochs=2, batch_size=16, verbose=0)
    return model.arena.values.copy()
