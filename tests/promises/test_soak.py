"""Nothing grows while models come and go; and the test that says so sees a leak."""

from __future__ import annotations

import sys
import threading

import pytest

from benchmarks import soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_epochs_leave_nothing() -> None:
    assert soak.epochs(400).is_flat


def test_models_that_are_dropped_leave_nothing() -> None:
    assert soak.repeated(soak.new_model, 60).is_flat


def test_fits_and_predictions_of_one_model_leave_nothing() -> None:
    assert soak.repeated(soak.one_model(), 60).is_flat


def test_a_leak_of_memory_is_seen() -> None:
    kept: list[bytes] = []
    result = soak.repeated(lambda: kept.append(b"x" * (200 << 10)), 60)
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
