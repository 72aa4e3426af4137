"""What every test session has: a folder for compiled code that outlives it, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def kept_code(pytestconfig: pytest.Config) -> Iterator[None]:
    """Keep compiled code in pytest's cache folder, unless the caller of pytest says where."""
    cache = getattr(pytestconfig, "cache", None)  # pytest can be told to do without
    with pytest.MonkeyPatch.context() as patch:
        if cache is not None and "ACCELNN_CACHE_DIR" not in os.environ:
            patch.setenv("ACCELNN_CACHE_DIR", str(cache.mkdir("accelnn-code")))
        yield


@pytest.fixture(scope="session", autouse=True)
def heard_interrupts() -> None:
    """Let Ctrl-C through, also to child processes: a shell starts what it runs in the background deaf to it."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
