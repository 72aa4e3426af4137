"""One neuron: the rules against textbooks' numbers, and checks that can fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = str(Path(__file__).parents[2] / "examples")
Run = Callable[..., str]


@pytest.fixture
def one_neuron(example: Callable[[str], ModuleType]) -> ModuleType:
    module = example("one_neuron")
    example("common").arguments(None, [])  # forgets the figures of other examples
    return module


def test_the_perceptron_rule_on_paper(one_neuron: ModuleType) -> None:
    # Step by step: (0, 0) is taken for 1, so b = -1; (2, 1) for 0, so w = (2, 1), b = 0; the second epoch: 0 and 1.
    x, y = np.array([[0.0, 0.0], [2.0, 1.0]]), np.array([0, 1])
    w, b, mistakes = one_neuron.perceptron_rule(x, y, eta=1.0, epochs=3)
    assert (w.tolist(), b, mistakes) == ([2.0, 1.0], -1.0, [2, 1, 0])


def test_few_rows(run_example: Run, tmp_path: Path) -> None:
    picture = tmp_path / "neuron.png"
    seen = run_example("one_neuron", "--rows", "1200", "--plot", str(picture))
    assert "accelnn  [2, 2, 3, 2, 1, 0, 0, 0, 0, 0]" in seen
    assert seen.endswith("all 13 figures are as expected\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_too_few_rows(run_example: Run) -> None:
    with pytest.raises(SystemExit, match="--rows is 999: use 1000 or more"):
        run_example("one_neuron", "--rows", "999")


def test_pictures_differ_by_their_label(one_neuron: ModuleType, tmp_path: Path) -> None:
    labels = one_neuron.write_pictures(tmp_path / "pictures.npy", 700)  # more than are written at a time
    pictures = np.load(tmp_path / "pictures.npy")
    assert (pictures.shape, pictures.dtype, labels.shape) == ((700, 64 * 64 * 3), np.uint8, (700,))
    means = [pictures[labels == label].mean(axis=0) for label in (0, 1)]
    assert np.ptp(means[1] - means[0]) > 12  # the pattern, once as it is and once as its negative


def test_another_rule_is_found_out(
    one_neuron: ModuleType, example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = one_neuron.adaline_rule
    monkeypatch.setattr(one_neuron, "adaline_rule", lambda x, y, eta, epochs: rule(x, y, 1.01 * eta, epochs))
    x = np.random.default_rng(0).normal(size=(30, 2))
    one_neuron.adaline(x, np.sign(x[:, 0]), "cpu")
    with pytest.raises(SystemExit, match=r"figures missed: .*Adaline, first four costs"):
        example("common").finish()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_the_pictures_stay_in_their_file() -> None:
    """3,000 pictures in float64 would take 295 MB; reading them row by row takes next to nothing."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import one_neuron\n"
        "def peak():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return [int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM')][0]\n"
        "one_neuron.logistic_regression(600, 'cpu')\n"  # loads and compiles what is needed
        "before = peak()\n"
        "one_neuron.logistic_regression(3000, 'cpu')\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, EXAMPLES], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < 100e6
