"""Teams of a given size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accelnn.training.runners import compiled


@pytest.fixture
def use_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes every later team have so many threads, whatever the work and the machine."""

    def use(n: int) -> None:
        monkeypatch.setattr(compiled, "team_size", lambda *_: n)

    return use
