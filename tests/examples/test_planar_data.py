"""The flower and its relatives: the figures of the tutorial, and a short run of the whole script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Run = Callable[..., str]


@pytest.fixture
def planar(example: Callable[[str], ModuleType]) -> ModuleType:
    module = example("planar_data")
    example("common").arguments(None, [])  # forgets the figures of other examples
    return module


@pytest.fixture
def finish(example: Callable[[str], ModuleType]) -> Callable[[], None]:
    return example("common").finish


def test_figures_of_the_three_points(
    planar: ModuleType, finish: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    planar.three_points("cpu", planar.ITERATIONS)
    finish()
    seen = capsys.readouterr().out
    assert "cost at 9000: 2.3" in seen
    assert "MISSED" not in seen


def test_figures_of_the_flower(
    planar: ModuleType, finish: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    models, histories = planar.flower("cpu", planar.ITERATIONS)
    finish()
    assert "accuracy in %, the better end of the swing: 90.75 (expected 90.75)" in capsys.readouterr().out
    assert (list(models), list(histories)) == (["logistic regression", "4 hidden units"], ["tanh"])


def test_sizes_that_differ_in_their_accuracy(
    planar: ModuleType, finish: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    planar.hidden_sizes("cpu", planar.ITERATIONS)
    finish()
    seen = capsys.readouterr().out
    assert [f"{n} hidden" in seen for n in (1, 2, 3, 4, 5, 20, 50)] == [True] * 7


def test_the_whole_script_in_short(run_example: Run, tmp_path: Path) -> None:
    picture = tmp_path / "planar.png"
    seen = run_example("planar_data", "--iterations", "60", "--plot", str(picture))
    assert "with 60 iterations, figures that belong to 10000 are left out" in seen
    assert seen.endswith("figures are as expected\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_other_weights_miss_the_figures(
    planar: ModuleType, finish: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = planar.initialize_parameters(4)
    monkeypatch.setattr(planar, "initialize_parameters", lambda n_h: tuple(1.01 * W for W in drawn))
    planar.flower("cpu", 1001)
    with pytest.raises(SystemExit, match=r"2 of 3 figures missed: flower, cost at 0, flower, cost at 1000"):
        finish()
    assert "MISSED flower, cost at 1000" in capsys.readouterr().out


def test_another_learning_rate_is_not_the_tutorial(
    planar: ModuleType, finish: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = planar.flower_points(seed=1)
    model = planar.nn_model(4, "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(planar, "LEARNING_RATE", 1.2 * (1 + 1e-6))
        history = planar.train(model, points, 50)
    planar.check_like_tutorial("flower", history, points, 4)
    with pytest.raises(SystemExit, match="1 of 1 figures missed"):
        finish()


def test_units_that_start_alike(planar: ModuleType, finish: Callable[[], None]) -> None:
    x, y = planar.flower_points(seed=1)
    planar.zero_weights((x[:150], y[:150]), "cpu", 20)  # of one class only: the output bias has something to learn
    finish()


def test_the_first_weights_are_those_after_the_global_seed(planar: ModuleType) -> None:
    before = np.random.get_state(legacy=False)
    np.random.seed(2)
    expected = [np.random.randn(4, 2) * 0.01, np.random.randn(1, 4) * 0.01]
    np.random.set_state(before)
    for W, other in zip(planar.initialize_parameters(4), expected, strict=True):
        np.testing.assert_array_equal(W, other)
