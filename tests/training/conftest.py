"""Teams of a given size, and one folder for compiled code that outlives the test session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from accelnn.training import compiled


@pytest.fixture(scope="session", autouse=True)
def kept_code(pytestconfig: pytest.Config) -> Iterator[None]:
    """Keep compiled code in pytest's cache folder, unless the caller of pytest says where."""
    with pytest.MonkeyPatch.context() as patch:
        if pytestconfig.cache is not None and "ACCELNN_CACHE_DIR" not in os.environ:
            patch.setenv("ACCELNN_CACHE_DIR", str(pytestconfig.cache.mkdir("accelnn-code")))
        yield


@pytest.fixture
def use_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes every later team have so many threads, whatever the work and the machine."""

    def use(n: int) -> None:
        monkeypatch.setattr(compiled, "team_size", lambda multiplications, batch_size: n)

    return use
