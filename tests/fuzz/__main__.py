"""Fuzz the readers: ``python -m tests.fuzz --executions 10000 [--readers idx csv npz model checkpoint] [--plain]``.

Where atheris is installed, libFuzzer chooses the inputs by the branches that they reach, in a process for each reader;
else, or with ``--plain``, the fuzzer of this folder does. An input that breaks a reader is kept in a temporary folder,
whose name is in what is printed. Behind the readers come models and data in odd memory, ten for each execution.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

MAX_GROWTH_MIB = 256
"""Inputs have a few kilobytes: a reader that takes so much memory for one believed what it says."""


def main() -> int:
    options = _options()
    if "arrays" in options.readers:
        options.readers.remove("arrays")
        return max(_readers(options) if options.readers else 0, _arrays(10 * options.executions, options.seed))
    return _readers(options)


def _readers(options: argparse.Namespace) -> int:
    has_atheris = importlib.util.find_spec("atheris") is not None
    if has_atheris and not options.plain and options.child is None:
        return max(_in_a_process(reader, options) for reader in options.readers)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    if options.child is not None:
        from tests.fuzz.with_atheris import fuzz_with_atheris

        fuzz_with_atheris(options.child, options.executions, options.seed)
    return max(_fuzz(reader, options.executions, options.seed) for reader in options.readers)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--executions", type=int, default=10_000, help="for each reader")
    parser.add_argument("--readers", nargs="+", default=["idx", "csv", "npz", "model", "checkpoint", "arrays"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _fuzz(reader: str, executions: int, seed: int) -> int:
    from tests.fuzz.mutation import fuzz
    from tests.fuzz.targets import TARGETS

    folder = Path(tempfile.mkdtemp(prefix=f"accelnn-fuzz-{reader}-"))
    target = TARGETS[reader]()
    for data in target.seeds:  # what is loaded once is no growth
        assert target.run(data, folder / "input") == "read"
    before_mib, start_s = _peak_mib(), time.perf_counter()
    counts = fuzz(target, folder / "input", executions, seed)
    growth_mib, seconds = _peak_mib() - before_mib, time.perf_counter() - start_s
    outcome = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(f"{reader}: {executions:,} executions in {seconds:.1f} s: {outcome}; +{growth_mib:.0f} MiB", flush=True)
    return int(growth_mib > MAX_GROWTH_MIB)


def _arrays(examples: int, seed: int) -> int:
    """Try models and data in memory that is not ours."""
    from tests.fuzz.odd_arrays import explore

    start_s = time.perf_counter()
    failures = explore(examples, seed, processes=os.cpu_count() or 1)
    print(f"arrays: {examples:,} examples in {time.perf_counter() - start_s:.1f} s: {len(failures)} processes failed")
    print(*failures, sep="\n", end="")
    return int(bool(failures))


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _in_a_process(reader: str, options: argparse.Namespace) -> int:
    arguments = ["--child", reader, "--executions", str(options.executions), "--seed", str(options.seed)]
    return subprocess.run([sys.executable, "-m", "tests.fuzz", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
