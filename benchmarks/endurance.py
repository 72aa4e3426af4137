"""300 epochs of Adam: are the last ten as fast as the first ten, or do tiny numbers slow the processor down?"""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np

from accelnn.training.optimizers import Optimizer
from benchmarks.programs import aligned, finish, new_parser, usual_model, usual_rows

BATCH_SIZE = 128
N_COMPARED = 10
"""Epochs at each end whose median times are compared."""


def main() -> None:
    options = new_parser("endurance", __doc__, epochs=300).parse_args()
    results = endurance_summary(epoch_times(*usual_rows(options), options.epochs))
    finish("endurance", options, endurance_lines(results), results)


def epoch_times(
    x: np.ndarray, y: np.ndarray, epochs: int, optimizer: str | Optimizer = "adam", l2: float = 0.0
) -> list[float]:
    """Return the seconds that each epoch of a training took, after another training has compiled everything."""
    usual_model(l2=l2).fit(x, y, optimizer=optimizer, epochs=1, batch_size=BATCH_SIZE, verbose=0)
    history = usual_model(l2=l2).fit(x, y, optimizer=optimizer, epochs=epochs, batch_size=BATCH_SIZE, verbose=0)
    return list(history["seconds"])


def endurance_summary(seconds: list[float]) -> dict[str, Any]:
    """Return the median times of the first and of the last epochs, their ratio, and all times."""
    first_s, last_s = median(seconds[:N_COMPARED]), median(seconds[-N_COMPARED:])
    return {"first_s": first_s, "last_s": last_s, "last_to_first": last_s / first_s, "epochs_s": seconds}


def endurance_lines(results: dict[str, Any], what: str = "Adam") -> list[str]:
    """Return what to print: the ends, and every tenth of the training between them."""
    seconds = results["epochs_s"]
    tenths = [part for part in np.array_split(np.asarray(seconds), min(10, len(seconds))) if len(part)]
    rows = [(f"tenth {i + 1}", f"{np.median(part):.4f}", f"{part.max():.4f}") for i, part in enumerate(tenths)]
    rows.append((f"first {N_COMPARED} epochs", f"{results['first_s']:.4f}", f"{max(seconds[:N_COMPARED]):.4f}"))
    rows.append((f"last {N_COMPARED} epochs", f"{results['last_s']:.4f}", f"{max(seconds[-N_COMPARED:]):.4f}"))
    verdict = f"the last {N_COMPARED} take {results['last_to_first']:.3f} times as long as the first {N_COMPARED}"
    return [*aligned((f"784-128-64-10, {what}, batch {BATCH_SIZE}", "median s", "slowest s"), rows), verdict]


if __name__ == "__main__":
    main()
