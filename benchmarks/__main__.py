"""Compare accelnn with its peers: training throughput on MNIST, all contenders interleaved in one run."""

from __future__ import annotations

import argparse
import importlib.util
import pathlib

from benchmarks.interleave import interleave
from benchmarks.report import losses_agree, summary, write

REQUIRED_PACKAGES = {
    "accelnn_fit": "accelnn",
    "jax_scan": "jax",
    "jax_jit": "jax",
    "torch_eager": "torch",
    "sklearn_mlp": "sklearn",
}
"""Contenders and the package without which they are left out."""


def main() -> None:
    options = _options()
    names = [name for name in options.contenders.split(",") if _is_installed(name)]
    results = {}
    for batch_size in (int(part) for part in options.batches.split(",")):
        contenders = interleave(names, batch_size, options.optimizer, options.rounds)
        results[str(batch_size)] = summary(contenders)
        agreement = "agree" if losses_agree(contenders) else "DIFFER"
        print(f"batch {batch_size}: losses {agreement}")
        for name, result in results[str(batch_size)].items():
            rate, ratio = result["samples_per_s"], result["ratio"]
            print(
                f"  {name:14s} {rate[0]:10,.0f} samples/s   accelnn is {ratio[0]:5.2f} ({ratio[1]:.2f}..{ratio[2]:.2f})"
            )
    command = (
        f"python -m benchmarks --optimizer {options.optimizer} --batches {options.batches} --rounds {options.rounds}"
    )
    print("written to", write(options.output, options.optimizer, results, command))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--batches", default="10,32,128,512,2048", help="batch sizes")
    parser.add_argument("--optimizer", default="sgd", choices=["sgd", "adam"])
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after two that do not")
    parser.add_argument("--contenders", default=",".join(REQUIRED_PACKAGES))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("benchmarks/results"))
    return parser.parse_args()


def _is_installed(contender: str) -> bool:
    package = REQUIRED_PACKAGES[contender]
    if importlib.util.find_spec(package) is None:
        print(f"{contender} is left out: {package} is not installed")
        return False
    return True


if __name__ == "__main__":
    main()
