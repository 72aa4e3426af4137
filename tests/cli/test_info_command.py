from __future__ import annotations

import pytest
from command_line import error_of, run, run_json

import accelnn
from accelnn.arrays import cuda_details, cuda_probe


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


DETAILS = {
    "name": "NVIDIA H100 80GB HBM3",
    "compute_capability": "9.0",
    "memory_bytes": 85 << 30,
    "memory_free_bytes": 79 << 30,
    "memory_limit_bytes": None,
    "devices": 1,
    "driver": "580.65.06",
    "driver_cuda": "13.0",
    "runtime_cuda": "13.0",
    "cupy": "14.2.0",
    "numba_cuda": "0.30.4",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            [
                "backend  cuda: usable",
                "device   NVIDIA H100 80GB HBM3, compute capability 9.0",
                "memory   85.0 GiB, 79.0 GiB free",
                "cuda     driver 580.65.06 for CUDA 13.0, CUDA 13.0, CuPy 14.2.0, numba-cuda 0.30.4",
            ],
        ),
        ({"devices": 8}, ["device   NVIDIA H100 80GB HBM3, compute capability 9.0, the first of 8 devices"]),
        ({"memory_limit_bytes": 3 << 29}, ["memory   85.0 GiB, 79.0 GiB free, of which accelnn may take 1.5 GiB"]),
        (
            {"driver": None, "numba_cuda": None},
            ["cuda     driver of unknown version for CUDA 13.0, CUDA 13.0, CuPy 14.2.0, numba-cuda of unknown version"],
        ),
    ],
    ids=["plain", "devices", "limit", "unknown"],
)
def test_a_device_that_works(monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], expected: list[str]) -> None:
    monkeypatch.setattr(cuda_probe, "find_problem", lambda index=0: None)
    monkeypatch.setattr(cuda_details, "describe_device", lambda index: DETAILS | changes)
    lines = run("info").stdout.splitlines()
    for line in expected:
        assert line in lines


def test_people_see_what_decides_the_speed() -> None:
    text = run("info").stdout
    titles = {line.split()[0] for line in text.splitlines()}
    assert titles == {"accelnn", "packages", "cpu", "blas", "numba", "backend"}
    assert "usable threads" in text
    assert "threading layer" in text


def test_a_limit_of_the_threads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELNN_NUM_THREADS", "1")
    assert "1 usable threads (ACCELNN_NUM_THREADS is 1)" in run("info").stdout
    monkeypatch.delenv("ACCELNN_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "1 usable threads (OMP_NUM_THREADS is 1)" in run("info").stdout


def test_a_wrong_setting_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELNN_NUM_THREADS", "many")
    assert "ACCELNN_NUM_THREADS is 'many'" in error_of("info")
