"""The framework twins: the whole script, Adam by hand, and PyTorch where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Run = Callable[..., str]
NAME = "framework_twins"
HAS = {name: importlib.util.find_spec(name) is not None for name in ("torch", "keras", "jax", "tensorflow")}
HAS_TORCH = HAS["torch"]
HAS_KERAS = HAS["keras"] and (HAS_TORCH or HAS["jax"] or HAS["tensorflow"])


@pytest.fixture
def twins(example: Callable[[str], ModuleType]) -> ModuleType:
    module = example(NAME)
    example("common").arguments(None, [])  # forgets the figures of other examples
    return module


def test_the_whole_script(run_example: Run, tmp_path: Path) -> None:
    picture = tmp_path / "twins.png"
    seen = run_example(NAME, "--epochs", "15", "--plot", str(picture))
    assert seen.endswith(f"all {8 + 2 * HAS_TORCH + 2 * HAS_KERAS} figures are as expected\n")
    assert seen.count("PyTorch is not installed") == (0 if HAS_TORCH else 2)
    assert seen.count("Keras is not installed") == (0 if HAS_KERAS else 2)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_frameworks_it_says_so(
    twins: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    twins.check_with_frameworks("a network", [1.0], [], "relu", (np.ones((1, 1)), np.ones(1)), 0.1, 1)
    seen = capsys.readouterr().out
    assert "left out a network: Keras is not installed, or none of tensorflow, jax, torch for it" in seen
    assert "left out a network: PyTorch is not installed" in seen


@pytest.mark.skipif(not (HAS_KERAS and HAS_TORCH), reason="Keras and PyTorch are not both installed")
@pytest.mark.parametrize("hidden", ["relu", "sigmoid"])
def test_frameworks_agree(twins: ModuleType, hidden: str) -> None:
    rng = np.random.default_rng(0)
    n_out = 3 if hidden == "relu" else 1
    weights = [rng.normal(size=shape) for shape in ((5, 4), (4,), (4, n_out), (n_out,))]
    y = rng.integers(0, n_out, 25) if hidden == "relu" else rng.integers(0, 2, 25).astype(float)
    repeat = (weights, hidden, (rng.normal(size=(25, 5)), y), 0.01, 10, 3)
    assert twins.keras_losses(*repeat) == pytest.approx(twins.torch_losses(*repeat), rel=1e-5)


def test_a_short_run_leaves_figures_out(run_example: Run) -> None:
    seen = run_example(NAME, "--epochs", "1")
    assert seen.startswith("figures of the signs that belong to 10 epochs or more are left out\n")
    assert "signs: accuracy" not in seen


def test_gradients_are_those_of_differences(twins: ModuleType) -> None:
    rng = np.random.default_rng(0)
    parameters = [rng.normal(size=shape) for shape in ((3, 4), (4,), (4, 1), (1,))]
    x, y = rng.normal(size=(6, 3)), rng.integers(0, 2, 6).astype(float)
    _, gradients = twins.mse_gradients(parameters, x, y)
    for i, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)
        losses = []
        for side in (1e-5, -1e-5):
            moved = [p + side * direction if j == i else p for j, p in enumerate(parameters)]
            losses.append(twins.mse_gradients(moved, x, y)[0])
        assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(float(np.sum(gradient * direction)), rel=1e-6)


def test_signs_are_bright_at_their_places(twins: ModuleType) -> None:
    pictures, labels = twins.signs(60, seed=2)
    assert (pictures.shape, pictures.dtype, set(labels)) == ((60, 64 * 64 * 3), np.uint8, set(range(6)))
    centre = pictures.reshape(60, 64, 64, 3)[labels == 5][:, 46:51, 46:51].mean()
    assert centre > pictures.mean() + 30


def test_another_adam_is_found_out(
    twins: ModuleType, example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = twins.adam_by_hand
    monkeypatch.setattr(twins, "adam_by_hand", lambda w, rows, rate, *more: by_hand(w, rows, 1.001 * rate, *more))
    twins.train_keras_network("cpu")
    with pytest.raises(SystemExit, match="keras network: loss of each epoch, as in plain NumPy"):
        example("common").finish()
