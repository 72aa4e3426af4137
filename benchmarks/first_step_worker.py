"""Train one step in this fresh process and tell, as a line of JSON, how long its parts took and how much memory."""

from __future__ import annotations

import sys
import time

start_s = time.perf_counter()

import accelnn  # noqa: E402 - the clock comes first

imported_s = time.perf_counter()

import accelnn.training.runners.compiled  # noqa: E402 - Numba, which is imported when the first model trains

compiler_imported_s = time.perf_counter()

from benchmarks.process import serve_answers  # noqa: E402
from benchmarks.work import UNITS, synthetic_rows  # noqa: E402

ROWS = 128


def peak_mib() -> float:
    """Return the largest resident size of this process so far in MiB, NaN where the system does not tell."""
    try:
        import resource
    except ImportError:
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def fit_s() -> float:
    """Build the usual model and train one step; return the seconds for both."""
    x, y = synthetic_rows(ROWS)
    before_s = time.perf_counter()
    hidden = [accelnn.Dense(n, "relu") for n in UNITS[1:-1]]
    layers = [accelnn.Rescaling(1 / 255), *hidden, accelnn.Dense(UNITS[-1], "softmax")]
    accelnn.Sequential(layers, backend="cpu", seed=0).fit(x, y, epochs=1, batch_size=ROWS, verbose=0)
    return time.perf_counter() - before_s


def main() -> None:
    answer = serve_answers()
    times = {"import_s": imported_s - start_s, "compiler_import_s": compiler_imported_s - imported_s}
    memory = {"import_peak_mib": peak_mib()}
    times |= {"first_step_s": fit_s(), "second_fit_s": fit_s()}
    answer(times | memory | {"peak_mib": peak_mib()})


if __name__ == "__main__":
    main()
