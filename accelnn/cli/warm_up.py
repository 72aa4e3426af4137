"""``accelnn warmup``."""

from __future__ import annotations

import sys

from accelnn.cli.files import print_json
from accelnn.errors import unknown_name
from accelnn.messages import Display, display
from accelnn.training.warm_up import CHOICES, warmup


def run_warmup(dtype: str, as_json: bool) -> None:
    """Compile what is missing in the cache and say how long that took, and where the cache is."""
    if dtype not in CHOICES:
        raise unknown_name("--dtype", dtype, CHOICES)
    show = Display(sys.stderr).isatty() and not as_json
    try:
        done = warmup(dtype, progress=_count if show else None)
    finally:
        if show:
            _show("")
    if as_json:
        results = {"kernels": done.n_kernels, "compiled": done.n_compiled, "seconds": done.seconds}
        print_json(results | {"cache_directory": str(done.cache_directory)})
        return
    print(f"warmup {done.n_compiled} of {done.n_kernels} kernels compiled in {done.seconds:.1f} s, the rest was there")
    print(f"cache  {done.cache_directory}")


def _count(done: int, total: int) -> None:
    _show(f"compiling {done} of {total}")


def _show(line: str) -> None:
    """Replace the line on the terminal."""
    print(f"\r\x1b[K{line}", end="", file=display(sys.stderr), flush=True)
