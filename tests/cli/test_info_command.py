from __future__ import annotations

import pytest
from command_line import error_of, run, run_json

import accelnn
from accelnn.arrays import cuda_probe


def test_json_is_the_environment() -> None:
    environment = run_json("info")
    assert set(environment) == {"accelnn", "python", "platform", "packages", "cpu", "blas", "numba", "backends"}
    assert environment["accelnn"] == accelnn.__version__
    assert environment["backends"]["cpu"]["usable"] is True


def test_what_is_not_usable_says_why_and_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = cuda_probe.Problem("no driver", "install one")
    monkeypatch.setattr(cuda_probe, "find_problem", lambda index=0: problem)
    lines = run("info").stdout.splitlines()
    assert "backend  cpu: usable" in lines
    assert "backend  cuda: not usable, no driver; to use it, install one" in lines


def test_people_see_what_decides_the_speed() -> None:
    text = run("info").stdout
    titles = {line.split()[0] for line in text.splitlines()}
    assert titles == {"accelnn", "packages", "cpu", "blas", "numba", "backend"}
    assert "usable threads" in text
    assert "threading layer" in text


def test_a_limit_of_the_threads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELNN_NUM_THREADS", "1")
    assert "1 usable threads (ACCELNN_NUM_THREADS is 1)" in run("info").stdout


def test_a_wrong_setting_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELNN_NUM_THREADS", "many")
    assert "ACCELNN_NUM_THREADS is 'many'" in error_of("info")
