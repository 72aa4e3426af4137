"""MNIST the tutorial way, on a few pictures of our own making."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import accelnn
from accelnn.data import MissingDataError, read_csv

Run = Callable[..., str]
NAME = "mnist_the_tutorial_way"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of gzipped IDX files: bright squares of 6 x 6, each class at its own place, and noise."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "squares"
    folder.mkdir()
    for part, n in (("train", 120), ("t10k", 40)):
        labels = (np.arange(n) % 4).astype(np.uint8)
        images = rng.integers(0, 60, (n, 6, 6)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[3 * (label // 2) :, 3 * (label % 2) :][:3, :3] += 180
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    return folder


def test_the_whole_script_on_small_pictures(run_example: Run, pictures: Path, tmp_path: Path) -> None:
    csv, picture = tmp_path / "train.csv", tmp_path / "picture.png"
    words = ("--dataset", f"idx:{pictures}", "--csv", str(csv), "--epochs", "6", "--plot", str(picture))
    seen = run_example(NAME, *words)
    assert "train.csv: written" in seen
    assert "figures that belong to 30 epochs of mnist are left out" in seen
    assert [line.split(":")[0] for line in seen.splitlines() if line.startswith("epoch")] == ["epoch  0", "epoch  5"]
    assert "ok     costs of the first 10 batches" in seen
    assert seen.endswith("figures are as expected\n")
    assert picture.read_bytes().startswith(b"\x89PNG")

    before = csv.read_bytes()
    assert "written" not in run_example(NAME, *words[:6])  # a file that is there is read as it is
    assert csv.read_bytes() == before


def test_digits_need_no_files(run_example: Run, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    seen = run_example(NAME, "--dataset", "digits", "--epochs", "2", "--plot", str(picture))
    assert "digits_train.csv: 1,438 rows read" in seen
    assert picture.with_stem("picture_misclassified").read_bytes().startswith(b"\x89PNG")


def test_the_file_has_a_label_and_pixels_in_each_line(example: Callable[[str], ModuleType], tmp_path: Path) -> None:
    x, y = np.array([[0, 255, 7], [1, 2, 3]], dtype=np.uint8), np.array([9, 0])
    example(NAME).write_csv(tmp_path / "rows.csv", x, y)
    assert (tmp_path / "rows.csv").read_text() == "9,0,255,7\n0,1,2,3\n"
    table = read_csv(tmp_path / "rows.csv")
    np.testing.assert_array_equal(table.x, x)
    np.testing.assert_array_equal(table.y, y)


def test_without_the_data_it_says_so(
    example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nowhere(name: str) -> None:
        raise MissingDataError(f"{name}: not on this machine: put the files into a folder")

    module = example(NAME)
    monkeypatch.setattr(module, "load_dataset", nowhere)
    with pytest.raises(SystemExit, match=r"had: mnist: not on this machine(.|\n)*--dataset digits") as end:
        module.main(["--backend", "cpu"])
    assert isinstance(end.value.code, str)  # Python prints it and exits with 1


@pytest.mark.parametrize(
    ("dataset", "content", "words"),
    [
        ("digits", "0,1,2\n1,2,3\n", "not of the kind of digits"),
        ("digits", "0,oops,2\n", "data cannot be had.*oops"),
        ("nothing", "0,1,2\n", "data cannot be had.*nothing"),
    ],
)
def test_files_that_do_not_fit(run_example: Run, tmp_path: Path, dataset: str, content: str, words: str) -> None:
    csv = tmp_path / "rows.csv"
    csv.write_text(content)
    with pytest.raises(SystemExit, match=words):
        run_example(NAME, "--dataset", dataset, "--csv", str(csv))


def test_another_first_weight_misses_the_costs(
    run_example: Run, example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example(NAME)
    drawn = module.initialize_parameters
    monkeypatch.setattr(module, "tutorial_network", lambda data, backend: moved(data, backend, drawn))
    with pytest.raises(SystemExit, match="1 of 2 figures missed: costs of the first 10 batches"):
        run_example(NAME, "--dataset", "digits", "--epochs", "1")


def moved(data: accelnn.Dataset, backend: str, drawn: Callable[[list[int]], list[np.ndarray]]) -> accelnn.Sequential:
    weights = drawn([data.n_features, 128, 64, data.n_outputs])
    weights[2][0, 0] += 0.01
    layers = [accelnn.Dense(len(W), "sigmoid", initializer=W.T) for W in weights]
    return accelnn.Sequential(layers, n_in=data.n_features, dtype="float64", backend=backend)


@pytest.mark.parametrize(("epochs", "checked"), [(30, True), (29, False)])
def test_the_figures_belong_to_thirty_epochs_of_mnist(
    example: Callable[[str], ModuleType], epochs: int, checked: bool
) -> None:
    module = example(NAME)
    assert module.is_tutorial(SimpleNamespace(name="mnist"), epochs) is checked
    assert not module.is_tutorial(SimpleNamespace(name="digits"), epochs)


def test_weights_are_those_after_the_global_seed(example: Callable[[str], ModuleType]) -> None:
    before = np.random.get_state(legacy=False)
    np.random.seed(95)
    expected = [np.random.normal(0, 1, (3, 4)), np.random.normal(0, 1, (2, 3))]
    np.random.set_state(before)
    for W, other in zip(example(NAME).initialize_parameters([4, 3, 2]), expected, strict=True):
        np.testing.assert_array_equal(W, other)
