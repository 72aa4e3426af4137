"""What options cost: variants of one training step against plain ReLU and gradient descent, in turn, in one process."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from accelnn import SGD, BatchNorm, Dense, Dropout, LayerNorm, Rescaling, Sequential
from accelnn.network.layers.base import Layer
from benchmarks.programs import cost_lines, finish, new_parser, usual_rows
from benchmarks.work import UNITS

BATCH_SIZE = 128
PLAIN = "plain"
RATE = 0.01


def network(
    activation: str = "relu", l2: float = 0.0, dtype: str = "float32", behind: Callable[[], Layer] | None = None
) -> Sequential:
    """Return 784-128-64-10; ``behind`` makes a layer that follows every hidden one."""
    layers: list[Layer] = [Rescaling(1 / 255)]
    for n in UNITS[1:-1]:
        layers += [Dense(n, activation, l2=l2), *([behind()] if behind else [])]
    return Sequential([*layers, Dense(UNITS[-1], "softmax", l2=l2)], n_in=UNITS[0], dtype=dtype, seed=0)


VARIANTS: dict[str, tuple[Callable[[], Sequential], SGD | str]] = {
    PLAIN: (network, SGD(RATE)),
    "sigmoid": (lambda: network("sigmoid"), SGD(RATE)),
    "tanh": (lambda: network("tanh"), SGD(RATE)),
    "gelu": (lambda: network("gelu"), SGD(RATE)),
    "silu": (lambda: network("silu"), SGD(RATE)),
    "float64": (lambda: network(dtype="float64"), SGD(RATE)),
    "dropout 0.2": (lambda: network(behind=lambda: Dropout(0.2)), SGD(RATE)),
    "batch norm": (lambda: network(behind=BatchNorm), SGD(RATE)),
    "layer norm": (lambda: network(behind=LayerNorm), SGD(RATE)),
    "weight decay (l2)": (lambda: network(l2=1e-4), SGD(RATE)),
    "momentum 0.9": (network, SGD(RATE, momentum=0.9)),
    "clip_norm 1": (network, SGD(RATE, clip_norm=1.0)),
    "adam": (network, "adam"),
}
"""Variant by name: how the network is made, and the optimizer."""


def main() -> None:
    options = new_parser("options", __doc__, rounds=7).parse_args()
    results = options_summary(measured_rates(*usual_rows(options), options.rounds))
    finish("options", options, options_lines(results), results)


def measured_rates(x: np.ndarray, y: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Return the samples per second of an epoch of each variant, round by round; the first round does not count."""
    models = {name: make() for name, (make, _) in VARIANTS.items()}
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for round_number in range(rounds + 1):
        for name, (_, optimizer) in VARIANTS.items():
            history = models[name].fit(x, y, optimizer=optimizer, epochs=1, batch_size=BATCH_SIZE, verbose=0)
            if round_number > 0:
                rates[name].append(history["samples_per_s"][0])
    return rates


def options_summary(rates: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Return by variant the rates, and the times relative to the plain step of the same round."""
    summaries = {}
    for name, own in rates.items():
        times = [plain / rate for plain, rate in zip(rates[PLAIN], own, strict=True)]
        summaries[name] = {"samples_per_s": own, "times": times, "times_median": median(times)}
    return summaries


def options_lines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return what to print: time of an epoch relative to the plain one, and its cost in per cent."""
    rows = [(name, f"{median(one['samples_per_s']):,.0f}", one["times"]) for name, one in results.items()]
    return cost_lines(("784-128-64-10, batch 128", "samples/s", "time to plain"), rows)


if __name__ == "__main__":
    main()
