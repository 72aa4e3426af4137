"""One folder for compiled code that outlives the test session, so that only the first one compiles."""

from __future__ import annotations

import os
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
