"""Every command that the pages and the Makefile name works: what measures or draws is run in its shortest form.

Commands are found in the texts themselves, so a new one cannot be forgotten. Lines of ``accelnn`` in blocks of shell
are run by ``test_documentation``; here their flags, and those of commands inside sentences, are held to exist.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import typer

from accelnn.cli import app

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks").rglob("README.md"))]
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
RECIPE = re.compile(r"^\t.*(python -m (?:\\\n|.)*)", re.MULTILINE)
VARIABLE = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)|\$\*|\\\n")
OPTION = re.compile(r"--[a-z][a-z-]*")

SHORT = {
    "--batch": "0",
    "--batches": "128",
    "--contenders": "accelnn_fit",
    "--depth": "0",
    "--device": "cpu",
    "--epochs": "4",
    "--executions": "20",
    "--gib": "0.01",
    "--kills": "1",
    "--models": "20",
    "--ram-gib": "0.01",
    "--rounds": "1",
    "--runs": "1",
    "--seeds": "1",
    "--tries": "1",
    "--width": "64",
}
"""What makes a program short, where it has such an option."""

PARTS = {"benchmarks.estimators": "iris", "benchmarks.gpu_check": "environment"}
"""What ``--only`` takes."""

NOT_RUN = {
    "emulated_gpu": "it needs minutes, a C++ compiler and packages that the tests do without",
    "pip": "the extras that it installs are looked up",
    "pytest": "the files that it runs are looked up",
}


def commands() -> list[str]:
    """Return the commands of all pages and of the Makefile's recipes, each once."""
    lines = [VARIABLE.sub("", recipe) for recipe in RECIPE.findall(MAKEFILE)]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines += [line for block in SHELL.findall(text) for line in block.splitlines()]
        lines += SPAN.findall(SHELL.sub("", text))
    return sorted({shlex.join(words) for line in lines if len(words := words_of(line)) > 1})


def words_of(line: str) -> list[str]:
    """Return the words of a command, without variables before it and the folder of Python; none if it is no command."""
    if not re.match(r"(\w+=\S* )*(\S*/)?(accelnn|make|pip|python) ", line):
        return []
    words = shlex.split(line, comments=True)
    while "=" in words[0]:
        words.pop(0)
    return [Path(words[0]).name, *words[1:]]


def programs() -> dict[str, list[str]]:
    """Return the options that are named with each ``python -m MODULE``, in one list for all that are run alike."""
    named: dict[str, list[str]] = {}
    for command in commands():
        words = shlex.split(command)
        if words[:2] == ["python", "-m"] and words[2].split(".")[0] not in NOT_RUN:
            own = [word for word, before in zip(words[3:], words[2:], strict=False) if not is_short(word, before)]
            named.setdefault(shlex.join([words[2], *own]), []).extend(OPTION.findall(command))
    return named


def is_short(word: str, before: str) -> bool:
    """Return whether a word is an option that is given another value here, or its value."""
    return not {word, before}.isdisjoint({*SHORT, "--output", "--out"})


def with_beginning(*beginning: str) -> list[list[str]]:
    """Return the words of the commands that begin so."""
    return [words for command in commands() if tuple((words := shlex.split(command))[: len(beginning)]) == beginning]


@pytest.mark.parametrize(("command", "options"), programs().items(), ids=programs())
def test_programs_run(
    command: str,
    options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, *words = shlex.split(command)
    known = set(OPTION.findall(help_of(module, capsys, monkeypatch)))
    assert set(options) <= known
    short = SHORT | {"--only": PARTS.get(module, ""), "--output": str(tmp_path), "--out": str(tmp_path / "result.json")}
    chosen = [word for option, value in short.items() if option in known for word in (option, value)]
    assert run([module, *words, *chosen, *(["--quick"] if "--quick" in known else [])])


def help_of(module: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # other tests have imported the module, under its own name
        with pytest.raises(SystemExit):
            runpy.run_module(module, run_name="__main__")
    return capsys.readouterr().out


def run(words: list[str]) -> str:
    """Run a module on small data and return what it prints."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    environment = {**os.environ, "ACCELNN_BENCH_QUICK": "1", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("words", with_beginning("accelnn"), ids=shlex.join)
def test_options_of_accelnn_exist(words: list[str]) -> None:
    command = typer.main.get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("-")} - known <= {"--help"}


@pytest.mark.parametrize("words", with_beginning("make"), ids=shlex.join)
def test_targets_of_make_take_their_variables(words: list[str]) -> None:
    recipe = re.search(rf"^[\w -]*\b{words[1]}\b[\w -]*:.*(?:\n\t.*)*", MAKEFILE, re.MULTILINE)
    assert recipe is not None
    for variable, value in (word.split("=", 1) for word in words[2:]):
        assert f"$({variable})" in recipe[0]
        assert_paths_exist(shlex.split(value))


@pytest.mark.parametrize("words", with_beginning("python", "-m", "pytest"), ids=shlex.join)
def test_files_of_pytest_exist_and_are_run_with_all_others(words: list[str]) -> None:
    assert_paths_exist(words)
    paths = [word for word in words[3:] if not word.startswith("-") and (ROOT / word).exists()]
    assert {path.split("/")[0] for path in paths} <= set(PROJECT["tool"]["pytest"]["ini_options"]["testpaths"])


def assert_paths_exist(words: list[str]) -> None:
    assert [word for word in words if "/" in word and not word.startswith("-") and not (ROOT / word).exists()] == []


@pytest.mark.parametrize("words", with_beginning("pip"), ids=shlex.join)
def test_extras_exist(words: list[str]) -> None:
    extras = re.findall(r"[\w-]+", "".join(re.findall(r"\[(.+?)\]", words[-1])))
    assert set(extras) <= set(PROJECT["project"]["optional-dependencies"])


def test_what_is_not_run_is_still_named() -> None:
    modules = {words[2].split(".")[0] for words in with_beginning("python", "-m")}
    assert set(NOT_RUN) <= modules
