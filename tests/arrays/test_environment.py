"""What is told about a machine, and that telling nothing costs nothing."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accelnn.arrays import cuda_driver, describe_environment, environment, usable_threads

HEAVY = ("numba", "scipy", "sklearn", "cupy", "matplotlib", "typer", "rich", "pooch", "threadpoolctl")


def run_python(code: str) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_brings_in_nothing_heavy():
    code = (
        "import sys, accelnn, accelnn.arrays, accelnn.arrays.reference\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert run_python(code).strip() == "[]"


def test_the_cpu_backend_brings_in_nothing_heavy():
    code = (
        "import sys\nfrom accelnn.arrays import get_backend\nb = get_backend('cpu')\n"
        "b.ops.bias_activation(b.asarray([[1.0]]), None, 'gelu')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert run_python(code).strip() == "[]"


def test_description():
    found = json.loads(json.dumps(describe_environment()))
    assert found["packages"]["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu"]["model"]
    assert 1 <= found["cpu"]["usable_threads"] <= found["cpu"]["cores"]
    assert all(set(lib) == {"name", "version", "threads", "architecture", "file"} for lib in found["blas"])
    assert set(found["numba"]["threading_layers"]) == {"omp", "tbb", "workqueue"}
    assert found["numba"]["threading_layers"]["workqueue"] is True
    assert found["backends"]["cpu"]["usable"] is True
    assert set(found["backends"]["cuda"]) == set(found["backends"]["cpu"])


def test_a_layer_without_its_library_is_not_usable(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba.np.ufunc.omppool", None)
    assert describe_environment()["numba"]["threading_layers"]["omp"] is False


def test_a_package_that_is_not_installed_has_no_version():
    assert environment._version("accelnn-no-such-package") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("150000 100000\n", 2),
        ("50000 100000", 1),
        ("400000 100000", 4),
        ("max 100000", 1 << 30),
        ("", 1 << 30),
    ],
)
def test_the_quota_of_a_container(tmp_path, text, expected):
    path = tmp_path / "cpu.max"
    path.write_text(text)
    assert environment._container_quota(path) == expected
    assert environment._container_quota(tmp_path / "nothing") == 1 << 30


def test_usable_threads_heed_quota_and_affinity(monkeypatch):
    monkeypatch.setattr(environment, "_container_quota", lambda: 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert usable_threads() == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5}, raising=False)
    assert usable_threads() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_threads() == 1


def test_the_limit_of_the_user(monkeypatch):
    monkeypatch.delenv("ACCELNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert environment.thread_limit() is None
    monkeypatch.setenv("ACCELNN_NUM_THREADS", "3")
    assert environment.thread_limit() == 3
    assert describe_environment()["cpu"]["thread_limit"] == 3


@pytest.mark.parametrize(("general", "limit"), [("2", 2), ("", None), ("0", None), ("4,2", None), ("many", None)])
def test_the_limit_of_all_numerical_libraries(monkeypatch, general, limit):
    monkeypatch.delenv("ACCELNN_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", general)
    assert environment.thread_limit() == limit
    monkeypatch.setenv("ACCELNN_NUM_THREADS", "3")
    assert environment.thread_limit() == 3


def test_the_processor_has_a_name(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n\nmodel name\t: Other\n")
    assert environment.cpu_model(path) == "Some CPU @ 2 GHz"
    path.write_text("processor: 0\n")
    assert environment.cpu_model(path) == environment.cpu_model(Path(tmp_path / "nothing")) != ""


class FakeDriver:
    def cuDriverGetVersion(self, pointer):
        pointer._obj.value = 12080
        return 0


def test_the_driver_is_asked_for_its_version(monkeypatch):
    ask = cuda_driver.driver_version.__wrapped__
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver())
    assert ask() == 12080

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert ask() == 0
