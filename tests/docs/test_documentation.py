"""What README and docs show is run: Python blocks, and shell lines that begin with ``accelnn``, in their order.

They run in a folder of their own with the files that the texts take for granted. To be quick, commands train on the
digits, for two epochs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from accelnn.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?:accelnn|kernels|tests|docs|examples|benchmarks)/[\w./-]*|Makefile|pyproject\.toml")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
NAMED_FILES = re.compile(r"`(\w+\.py)`")


def name_of(document: Path) -> str:
    return document.name


def blocks(document: Path, language: str | None = None) -> Iterator[tuple[str, str]]:
    for block in BLOCK.finditer(document.read_text(encoding="utf-8")):
        if language in (None, block[1]):
            yield block[1], block[2]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with a small ``flowers.csv`` and the same rows without labels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACCELNN_DATA_DIR", raising=False)
    rows = np.random.default_rng(0).uniform(size=(60, 3)).round(3)
    header, lines = "petal,sepal,stem", [",".join(map(str, row)) for row in rows]
    names = ("rose", "tulip", "daisy")
    labelled = [f"{names[i % 3]},{line}" for i, line in enumerate(lines)]
    Path("flowers.csv").write_text("\n".join([f"name,{header}", *labelled]))
    Path("new_flowers.csv").write_text("\n".join([header, *lines]))


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_examples_run(document: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "example"}
    for language, text in blocks(document):
        if language == "python":
            exec(compile(text, str(document), "exec"), namespace)
        elif language == "sh":
            for line in text.splitlines():
                run_line(line)


def run_line(line: str) -> None:
    """Run a shell line if it is one of ``accelnn``."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "python":  # tests/examples runs it
        assert arguments[0].startswith("examples/"), f"no test knows {line!r}"
        return
    if program != "accelnn":
        assert program == "make", f"no test knows {line!r}"
        return
    result = CliRunner().invoke(app, quick(arguments), catch_exceptions=False)
    assert result.exit_code == 0, f"{line}\n{result.stderr}"


def quick(arguments: list[str]) -> list[str]:
    """Let a command be short and need no download."""
    arguments = ["digits" if argument in ("mnist", "fashion-mnist") else argument for argument in arguments]
    if arguments[:1] == ["bench"]:
        return [*arguments, "--seconds", "0.1"]
    if arguments[:1] != ["train"]:
        return arguments
    dataset = [] if "--dataset" in arguments else ["--dataset", "digits"]
    return [*arguments, *dataset, "--epochs", "2"]


def test_the_first_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [line for _, text in blocks(ROOT / "README.md", "sh") for line in text.splitlines()]
    assert [line.split()[:2] for line in lines[:2]] == [["make", "train"], ["make", "test"]]
    for line in lines:
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE)


@pytest.mark.usefixtures("files")
def test_ten_lines_are_enough_to_learn_digits() -> None:
    _, text = next(blocks(ROOT / "README.md", "python"))
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    data, model = namespace["data"], namespace["model"]
    assert model.evaluate(data.x_test, data.y_test, metrics="accuracy")["accuracy"] > 0.93


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_that_is_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == []
    modules = {path.name for folder in ("accelnn", "kernels") for path in (ROOT / folder).rglob("*.py")}
    assert [name for name in NAMED_FILES.findall(text) if name not in modules] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_pictures_and_pages_that_are_linked_exist(document: Path) -> None:
    targets = [document.parent / target for target in LINK.findall(document.read_text(encoding="utf-8"))]
    assert [target for target in targets if not target.exists()] == []
    assert [target for target in targets if target.suffix == ".png" and target.stat().st_size > 60_000] == []


def test_every_example_and_every_picture_is_in_the_gallery() -> None:
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    scripts = {f"python {path.relative_to(ROOT)}" for path in (ROOT / "examples").glob("*.py")}
    pictures = {f"({path.relative_to(ROOT / 'docs')})" for path in (ROOT / "docs" / "images").iterdir()}
    assert [part for part in scripts - {"python examples/common.py"} | pictures if part not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_lines_can_be_read_in_an_editor(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []
