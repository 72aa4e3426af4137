"""The distribution: what a user installs is what is in this folder, and nothing else."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files in a wheel, built in this process: nothing is downloaded."""
    reason = 'hatchling is not installed: pip install "accelnn[test]"'
    wheel = pytest.importorskip("hatchling.builders.wheel", reason=reason)
    source = tmp_path_factory.mktemp("source")
    for name in ("accelnn", "kernels", "pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    (built,) = wheel.WheelBuilder(str(source)).build(directory=str(source / "dist"), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_there_are_two_import_packages(names: list[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"accelnn", "accelnn_kernels", "accelnn-0.1.0.dist-info"}


@pytest.mark.parametrize(
    ("package", "folder"), [("accelnn", "accelnn"), ("accelnn_kernels", "kernels/accelnn_kernels")]
)
def test_both_are_complete_and_typed(names: list[str], package: str, folder: str) -> None:
    modules = {path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob("*.py")}
    assert {name.removeprefix(f"{package}/") for name in names if name.startswith(f"{package}/")} == {
        *modules,
        "py.typed",
    }


def test_it_carries_its_licence_and_the_command(names: list[str]) -> None:
    info = {name.partition("/")[2] for name in names if ".dist-info/" in name}
    assert info == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
