"""Lists of widths: the whole script, and checks that can fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Run = Callable[..., str]
NAME = "any_number_of_layers"


def test_the_whole_script(run_example: Run, tmp_path: Path) -> None:
    picture = tmp_path / "layers.png"
    seen = run_example(NAME, "--plot", str(picture))
    assert "[3, 4, 4, 4, 4, 3, 1]: 95 parameters" in seen
    assert "[3, 5, 5, 4]: 74 parameters" in seen
    assert seen.endswith("all 15 figures are as expected\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_one_hot(example: Callable[[str], ModuleType]) -> None:
    assert example(NAME).one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("layer_dims", [[2, 1], [3, 4, 2], [2, 3, 3, 3, 3, 3, 3, 1]])
def test_other_lists(example: Callable[[str], ModuleType], layer_dims: list[int]) -> None:
    module, rng = example(NAME), np.random.default_rng(0)
    example("common").arguments(None, [])
    x, y = rng.normal(size=(20, layer_dims[0])), rng.integers(0, 2, (20, layer_dims[-1]))
    module.train("a list", module.sigmoid_network(layer_dims, "cpu"), (x, y), 0.1, 30)
    example("common").finish()


def test_another_learning_rate_is_found_out(
    example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, rng = example(NAME), np.random.default_rng(0)
    example("common").arguments(None, [])
    costs = module.tutorial_costs
    monkeypatch.setattr(module, "tutorial_costs", lambda model, rows, rate, n: costs(model, rows, 1.001 * rate, n))
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    module.train("a list", module.sigmoid_network([3, 2, 1], "cpu"), (x, y), 0.5, 30)
    with pytest.raises(SystemExit, match="1 of 3 figures missed: a list: first 30 costs as in plain NumPy"):
        example("common").finish()
