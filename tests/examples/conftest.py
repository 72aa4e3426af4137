"""Examples are run in this process, as the scripts that they are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
Run = Callable[..., str]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that imports an example by its name, with its folder on the path as for a script."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


@pytest.fixture
def run_example(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function ``(name, *words) -> output`` that runs an example on the CPU with words of a command line."""

    def run(name: str, *words: str) -> str:
        example(name).main(["--backend", "cpu", *words])
        return capsys.readouterr().out

    return run
