"""Train and predict on a ``.npy`` file larger than the memory that the process may have, and see what it takes."""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from statistics import median
from typing import Any

import numpy as np

from benchmarks.status import status_bytes

N_COLUMNS = 4096
N_CLASSES = 10
BATCH_SIZE = 256
ORDERS: dict[str, bool | str] = {"all": True, "blocks": "blocks", "none": False}
PIECE_ROWS = 1 << 14
"""Rows that predictions are made for at a time: their results are all that has to be in memory."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.larger_than_memory", description=__doc__)
    parser.add_argument("--gib", type=float, default=8.0, help="size of the file, default 8")
    parser.add_argument("--limit-gib", type=float, default=1.0, help="memory that the process may have, default 1")
    parser.add_argument("--folder", type=pathlib.Path, help="where to put the file; default: the system's temporary")
    parser.add_argument("--shuffle", choices=sorted(ORDERS), default="all")
    parser.add_argument("--ram-gib", type=float, default=2.0, help="size of the part to compare with memory, default 2")
    parser.add_argument("--worker", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        print(json.dumps(trained(options.worker, options.shuffle)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        gib = min(options.gib, shutil.disk_usage(folder).free / 2**30 - 2)
        path = pathlib.Path(folder) / "x.npy"
        rows = make_file(path, int(gib * 2**30))
        limit = None if options.limit_gib <= 0 else int(options.limit_gib * 2**30)
        print(f"{gib:g} GiB, {rows:,} rows of {N_COLUMNS} bytes; the limit is on private memory (RLIMIT_DATA)")
        for name, value in in_process(path, limit, options.shuffle).items():
            print(f"{name:>28}: {value:,.0f}")
        times = compared(path, options.shuffle, int(options.ram_gib * 2**30))
        spread = f"{median(times):.3f} ({min(times):.3f}..{max(times):.3f})"
        print(f"the first {options.ram_gib:g} GiB, mapped, at {spread} of the rate of the same rows in memory")


def make_file(path: pathlib.Path, n_bytes: int) -> int:
    """Write a ``.npy`` file (rows, N_COLUMNS) of random bytes, uint8, a piece at a time; return the number of rows."""
    rng, rows = np.random.default_rng(0), max(1, n_bytes // N_COLUMNS)
    piece = rng.integers(0, 256, (min(rows, PIECE_ROWS), N_COLUMNS), dtype=np.uint8)
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, N_COLUMNS)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, rows, len(piece)):
            file.write(piece[: rows - start].data)
    return rows


def in_process(path: pathlib.Path, limit: int | None, shuffle: str = "all") -> dict[str, float]:
    """Return what ``trained`` returns, from a process that may have ``limit`` bytes of private memory.

    RLIMIT_DATA counts private, writable pages and no mapped files (since Linux 4.7). RLIMIT_AS, which ``ulimit -v``
    sets, counts the addresses of mapped files, and so forbids the file itself, however little of it is in memory.
    """

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    command = [sys.executable, "-m", "benchmarks.larger_than_memory", "--worker", str(path), "--shuffle", shuffle]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=limited)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def trained(path: pathlib.Path, shuffle: str) -> dict[str, float]:
    """Train for an epoch on a mapped file and predict it; return rates in rows a second, and peaks in bytes."""
    x = np.load(path, mmap_mode="r")
    y = np.arange(len(x)) % N_CLASSES
    order = ORDERS[shuffle]
    fit(np.array(x[:PIECE_ROWS]), y[:PIECE_ROWS], order)  # loads or compiles the code
    peak = _Peak()
    before = private_bytes()
    model, rate = fit(x, y, order)
    after = private_bytes()
    start_s = time.perf_counter()
    counts = sum(np.bincount(model.predict(x[i : i + PIECE_ROWS]), minlength=10) for i in range(0, len(x), PIECE_ROWS))
    seconds = time.perf_counter() - start_s
    assert int(np.sum(counts)) == len(x)
    return {
        "training_rows_per_s": rate,
        "prediction_rows_per_s": len(x) / seconds,
        "private_bytes_before": before,
        "private_bytes_after_fit": after,
        "private_bytes_at_the_end": private_bytes(),
        "peak_private_bytes": peak.stop(),
        "file_bytes": x.nbytes,
    }


def compared(path: pathlib.Path, shuffle: str, n_bytes: int, rounds: int = 5) -> list[float]:
    """Return the rates of training on the first bytes of a file relative to the same rows in memory, round by round.

    The file is in the page cache, for the rows in memory were copied from it.
    """
    mapped = np.load(path, mmap_mode="r")[: max(1, n_bytes // N_COLUMNS)]
    y, order = np.arange(len(mapped)) % N_CLASSES, ORDERS[shuffle]
    in_memory = np.array(mapped)
    fit(in_memory, y, order)  # loads or compiles the code
    return [fit(mapped, y, order)[1] / fit(in_memory, y, order)[1] for _ in range(rounds)]


class _Peak:
    """A thread that looks at the private memory every 10 ms: Linux keeps a peak of all resident memory only."""

    def __init__(self) -> None:
        self.n_bytes, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return self.n_bytes

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.n_bytes = max(self.n_bytes, private_bytes())


def fit(x: np.ndarray, y: np.ndarray, shuffle: Any) -> tuple[Any, float]:
    """Return a model after an epoch, and its rate in rows a second."""
    from accelnn import Dense, Rescaling, Sequential

    model = Sequential([Rescaling(1 / 255), Dense(32, "relu"), Dense(N_CLASSES, "softmax")], seed=0, backend="cpu")
    history = model.fit(x, y, epochs=1, batch_size=BATCH_SIZE, shuffle=shuffle, verbose=0)
    return model, history["samples_per_s"][-1]


def private_bytes() -> int:
    """Return the bytes of resident memory that belong to no file."""
    return status_bytes("RssAnon")


if __name__ == "__main__":
    main()
