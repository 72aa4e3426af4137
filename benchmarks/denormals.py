"""Are steps slower where inputs or weights are denormal numbers than where they are ordinary ones?

With --decay, also a training whose penalty lets the weights of pixels that are always 0 decay below what is normal.
"""

from __future__ import annotations

import argparse

import numpy as np

from accelnn import SGD, Dense, Sequential
from benchmarks.endurance import endurance_lines, endurance_summary, epoch_times
from benchmarks.programs import aligned
from benchmarks.work import load_rows

CASES = {"ordinary": (1.0, 1.0), "inputs of 1e-40": (1e-40, 1.0), "weights of 1e-40": (1.0, 1e-39)}
"""Factors of inputs and of weights."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denormals", description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="default 20; the fastest counts")
    parser.add_argument("--decay", type=int, default=0, metavar="EPOCHS", help="of MNIST with l2=0.02; 300 show it")
    options = parser.parse_args()
    seconds = {name: epoch_s(*factors, options.epochs) for name, factors in CASES.items()}
    rows = [(name, f"{s * 1e3:.2f}", f"{s / seconds['ordinary']:.2f}") for name, s in seconds.items()]
    print("\n".join(aligned(("256-128-10, float32", "ms an epoch", "times ordinary"), rows)))
    if options.decay:
        times = epoch_times(*load_rows(), options.decay, SGD(0.1), l2=0.02)
        print("", *endurance_lines(endurance_summary(times), "SGD, l2=0.02"), sep="\n")


def epoch_s(inputs: float, weights: float, epochs: int) -> float:
    """Return the seconds of the fastest epoch; the learning rate is so small that denormal weights stay what they are.

    ``inputs`` and ``weights``: what usual ones are multiplied by.
    """
    rng = np.random.default_rng(0)
    x, y = (inputs * rng.normal(size=(4096, 256))).astype(np.float32), rng.integers(0, 10, 4096)
    model = Sequential([Dense(128, "relu"), Dense(10, "softmax")], n_in=256, seed=0, dtype="float32", backend="cpu")
    model.set_weights([w * np.float32(weights) for w in model.get_weights()])
    history = model.fit(x, y, epochs=epochs, batch_size=64, optimizer=SGD(1e-40), verbose=0, threads=1)
    return min(history["seconds"])


if __name__ == "__main__":
    main()
