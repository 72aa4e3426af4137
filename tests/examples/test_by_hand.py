"""The examples that are computed by hand: whole runs, and a figure that is missed ends them with an error."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Run = Callable[..., str]
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("name", "figures"), [("forward_pass_by_hand", 10), ("gradient_descent_by_hand", 10)])
def test_whole_scripts(run_example: Run, tmp_path: Path, name: str, figures: int) -> None:
    picture = tmp_path / "picture.png"
    seen = run_example(name, "--plot", str(picture))
    assert seen.endswith(f"all {figures} figures are as expected\n")
    assert "MISSED" not in seen
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_missed_figure_is_an_error(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    common = example("common")
    common.arguments("An example.", [])
    common.check("one", 1.0, 1.0)
    common.check("two", 2.1, 2.0)
    common.check("shape", [1.0], 1.0)
    common.check_that("three", False, 3)
    with pytest.raises(SystemExit, match="3 of 4 figures missed: two, shape, three"):
        common.finish()
    assert "MISSED two: 2.1 (expected 2)" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("--backend", "cdua"), ("--plot", "picture.jpg"), ("--nonsense",)])
def test_wrong_flags(example: Callable[[str], ModuleType], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        example("common").arguments("An example.", words)
    assert caught.value.code == 2


@pytest.mark.usefixtures("example")
def test_a_file_is_a_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["forward_pass_by_hand.py", "--backend", "cpu"])
    runpy.run_path(str(EXAMPLES / "forward_pass_by_hand.py"), run_name="__main__")
    assert capsys.readouterr().out.endswith("all 10 figures are as expected\n")
