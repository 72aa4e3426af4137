from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelnn_kernels import compiler, inventory
from command_line import error_of, run, run_json


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be two kernels: what the real list leads to is tested where ``accelnn.warmup`` is."""

    def kernel_names(dtypes: list[str]) -> Iterator[tuple[str, str, str]]:
        return ((kind, "", dtype) for dtype in dtypes for kind in ("copy", "scale"))

    monkeypatch.setattr(inventory, "kernel_names", kernel_names)


def test_people_get_two_lines() -> None:
    run("warmup")
    first, second = run("warmup").stdout.splitlines()
    assert first.startswith("warmup 0 of 4 kernels compiled in 0.")
    assert second == f"cache  {compiler.cache_directory()}"


def test_json() -> None:
    results = run_json("warmup", "--dtype", "all")
    assert list(results) == ["kernels", "compiled", "seconds", "cache_directory"]
    assert results["kernels"] == 6
    assert 0 <= results["compiled"] <= 6
    assert results["seconds"] > 0.0
    assert Path(results["cache_directory"]).is_dir()


def test_a_terminal_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from accelnn.cli.warm_up import run_warmup

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run_warmup("float32", as_json=False)
    counted = capsys.readouterr().err.split("\r\x1b[K")
    assert counted == ["", *(f"compiling {done} of 4" for done in range(1, 5)), ""]


def test_elsewhere_nothing_is_counted() -> None:
    assert run("warmup").stderr == ""


def test_another_dtype_is_bad_input() -> None:
    assert "--dtype is 'float16'" in error_of("warmup", "--dtype", "float16")


def test_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "cache_directory", lambda: None)
    assert "set ACCELNN_CACHE_DIR" in error_of("warmup", exit_code=1)
