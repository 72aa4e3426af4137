"""Nothing grows while models come and go; and the test that says so sees a leak."""

from __future__ import annotations

import mmap
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmarks import soak

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize(
    "soaked",
    ["epochs(400)", "epochs(400, '4 epochs')", "repeated(soak.new_model, 60)", "repeated(soak.one_model(), 60)"],
)
def test_nothing_is_left(soaked: str) -> None:
    """In a process of its own: one that has freed much memory hides what is lost in it."""
    code = f"from benchmarks import soak; result = soak.{soaked}; print(result.is_flat, result)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True"), done.stdout


def test_a_leak_of_memory_is_seen() -> None:
    kept: list[mmap.mmap] = []

    def leak() -> None:
        kept.append(mmap.mmap(-1, 200 << 10))  # pages of its own, however much free memory the process holds
        kept[-1].write(b"x" * (200 << 10))

    result = soak.repeated(leak, 60)
    assert result.growth_bytes > soak.GROWTH_BYTES
    assert not result.is_flat


def test_a_jump_is_no_leak() -> None:
    assert soak.Soak([100 << 20] * 15 + [130 << 20] + [100 << 20] * 4, 0, 0).is_flat
    assert soak.Soak([50 << 20] * 3 + [100 << 20] * 17, 0, 0).is_flat


def test_open_files_and_threads_are_seen() -> None:
    files, ended = [], threading.Event()

    def leak() -> None:
        files.append(open("/dev/null"))  # noqa: SIM115
        threading.Thread(target=ended.wait, daemon=True).start()

    try:
        result = soak.repeated(leak, 3)
    finally:
        ended.set()
        for file in files:
            file.close()
    assert (result.files, result.threads) == (3, 3)
    assert not result.is_flat
