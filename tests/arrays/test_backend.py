"""Backends: which one is given, how it moves arrays, and how it says no."""

from __future__ import annotations

import copy
import ctypes
import importlib.metadata
import json
import logging
import pickle
import sys
import types

import array_api_strict
import numpy as np
import pytest
from fake_cuda import FakeArray, FakeDevice, fake_cupy, fake_numba_cuda

from accelnn.arrays import (
    Backend,
    PlainOps,
    backend,
    cuda_details,
    cuda_driver,
    cuda_packages,
    cuda_probe,
    describe_environment,
    get_backend,
)
from accelnn.arrays.cuda import cublas
from accelnn.errors import ArgumentError, ArgumentTypeError, BackendError


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets up what this machine seems to have; nothing works unless given."""
    monkeypatch.setattr(cuda_probe, "_working", set())
    monkeypatch.setattr(backend._fallback_told, "is_set", lambda: False)
    monkeypatch.setattr(FakeDevice, "log", [])

    def set_up(driver=13000, cupy=None, numba_cuda=None, library=None, kernel=None, versions=("2.4.6", "0.30.4")):
        """``library`` and ``kernel`` are what is raised where cuBLAS is loaded and a kernel compiled."""
        monkeypatch.setattr(cuda_driver, "driver_version", lambda: driver)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setitem(sys.modules, "numba.cuda", numba_cuda)
        monkeypatch.setattr(cublas, "load_library", raising(library))
        catalog = types.SimpleNamespace(cuda_kernel=lambda *a: types.SimpleNamespace(image=raising(kernel)))
        monkeypatch.setitem(sys.modules, "accelnn_kernels.cuda.catalog", catalog)
        monkeypatch.setattr(cuda_packages.np, "__version__", versions[0])
        monkeypatch.setattr(cuda_packages.importlib.metadata, "version", lambda name: versions[1])

    set_up(driver=0)
    return set_up


@pytest.fixture
def gpu(machine):
    machine(cupy=fake_cupy(), numba_cuda=fake_numba_cuda())


def raising(error):
    """Return a function that raises ``error``, or does nothing if it is None."""

    def fail(*args, **kwargs):
        if error is not None:
            raise error

    return fail


def broken(error):
    """Return a module in whose place the import raises ``error``."""

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise error

    return Finder()


def test_cpu_is_numpy():
    cpu = get_backend("cpu")
    assert (cpu.name, cpu.device, cpu.xp) == ("cpu", "cpu", np)
    assert isinstance(cpu.ops, PlainOps)
    assert get_backend(cpu) is cpu
    assert get_backend("cpu") == cpu
    with cpu.active():
        cpu.synchronize()


def test_cpu_arrays():
    cpu = get_backend("cpu")
    x = np.ones((2, 3), np.float32)
    assert cpu.asarray(x) is x
    assert cpu.asarray(x, "float32") is x
    assert cpu.to_host(x) is x
    assert cpu.asarray([[1, 2]], "float64").dtype == np.float64
    assert cpu.asarray(array_api_strict.ones(3)).tolist() == [1, 1, 1]
    fetched = cpu.asarray(FakeArray([1.0, 2.0]), "float32")
    assert (type(fetched), fetched.dtype) == (np.ndarray, np.float32)


def test_a_backend_cannot_be_changed_and_survives_copies_and_pickles():
    cpu = get_backend("cpu")
    with pytest.raises(AttributeError):
        cpu.name = "cuda"
    assert copy.deepcopy(cpu) == pickle.loads(pickle.dumps(cpu)) == cpu
    assert len({cpu, get_backend("cpu")}) == 1


def test_a_working_gpu(gpu):
    cuda = get_backend("cuda:1")
    assert (cuda.name, cuda.device, cuda.xp) == ("cuda", "cuda:1", sys.modules["cupy"])
    assert FakeDevice.log == [("enter", 1), ("exit", 1)]
    assert get_backend("cuda:1") == cuda
    assert len(FakeDevice.log) == 2, "a device that worked is not tried again"
    assert get_backend("cuda").device == get_backend("auto").device == "cuda:0"
    assert pickle.loads(pickle.dumps(cuda)) == cuda


def test_arrays_of_a_gpu_are_made_on_its_device(gpu):
    cuda = get_backend("cuda:1")
    FakeDevice.log.clear()
    x = cuda.asarray([1, 2], "float32")
    assert type(x) is FakeArray
    assert FakeDevice.log == [("enter", 1), ("exit", 1)]
    host = cuda.to_host(x)
    assert (type(host), host.dtype, host.tolist()) == (np.ndarray, np.float32, [1, 2])
    assert cuda.to_host(host) is host
    cuda.synchronize()
    assert FakeDevice.log[-1] == ("synchronize", 1)


def with_cause(error, cause):
    error.__cause__ = cause
    return error


NVIDIA = {"numba_cuda": fake_numba_cuda()}
FAILURES = {
    "no driver": ({"driver": 0}, ["no NVIDIA driver", "install a current NVIDIA driver", "accelnn[cuda13]"]),
    "old driver": ({"driver": 11080}, ["driver supports CUDA 11.8 and 12.0 is needed"]),
    "no CuPy, new driver": ({}, ["CuPy is not installed", 'pip install "accelnn[cuda13]"']),
    "no CuPy, driver of CUDA 12": ({"driver": 12040}, ["CuPy is not", 'pip install "accelnn[cuda12]"']),
    "CuPy too new": (
        {"driver": 12040, "cupy": fake_cupy()},
        ["driver supports CUDA 12.4 and the installed CuPy needs CUDA 13", 'pip install "accelnn[cuda12]"'],
    ),
    "no device": ({"cupy": fake_cupy(0)}, ["no CUDA device was found", "nvidia-smi"]),
    "device fails": (
        {"cupy": fake_cupy(RuntimeError("cudaErrorInsufficientDriver: too old\nmore"))},
        ["no CUDA device answers (RuntimeError: cudaErrorInsufficientDriver: too old)"],
    ),
    "index": ({"cupy": fake_cupy(1)}, ["there is no device 1", "use one of 'cuda:0'"]),
    "no numba": ({"cupy": fake_cupy()}, ["numba.cuda cannot be imported (ModuleNotFoundError"]),
    "numba's own": (
        {"cupy": fake_cupy(), "numba_cuda": fake_numba_cuda("Built-in")},
        ["NVIDIA's package numba-cuda is not installed", 'pip install "accelnn[cuda13]"'],
    ),
    "NumPy too new": (
        {"cupy": fake_cupy(), "versions": ("2.5.0", "0.30.4"), **NVIDIA},
        ["numba-cuda 0.30.4 does not work with NumPy 2.5.0", 'pip install "numpy<2.5"'],
    ),
    "GPU too old": ({"cupy": fake_cupy(capability=(6, 1)), **NVIDIA}, ["compute capability 6.1 and 7.0 is needed"]),
    "GPU too old for CUDA 13": (
        {"cupy": fake_cupy(capability=(7, 0)), **NVIDIA},
        ["device 1 has compute capability 7.0, which CUDA 13 no longer knows", 'pip install "accelnn[cuda12]"'],
    ),
    "GPU too new for CUDA 12": (
        {"driver": 12080, "cupy": fake_cupy(runtime=12080, capability=(10, 0)), **NVIDIA},
        ["device 1 has compute capability 10.0, and our kernels need CUDA 13 on it", "accelnn[cuda13]"],
    ),
    "cuBLAS missing": (
        {"cupy": fake_cupy(), "library": with_cause(BackendError("long"), RuntimeError("no libcublas.so")), **NVIDIA},
        ["cuBLAS cannot be loaded (RuntimeError: no libcublas.so)", 'pip install "accelnn[cuda13]"'],
    ),
    "cuda-core missing": (
        {"cupy": fake_cupy(), "kernel": ModuleNotFoundError("No module named 'cuda.core'"), **NVIDIA},
        ["kernels cannot be compiled (ModuleNotFoundError: No module named 'cuda.core')", "pip install"],
    ),
    "nvJitLink missing": (
        {"cupy": fake_cupy(), "kernel": RuntimeError("nvJitLink library is not available\nmore"), **NVIDIA},
        ["kernels cannot be compiled (RuntimeError: nvJitLink library is not available)", "pip install"],
    ),
    "no cuBLAS": (
        {"cupy": fake_cupy(ones=raising(ImportError("libcublas.so.13: cannot open"))), **NVIDIA},
        ["cuBLAS cannot be loaded on device 1 (ImportError: libcublas.so.13: cannot open)"],
    ),
    "no compiler": (
        {"cupy": fake_cupy(ones=raising(OSError("libnvrtc.so.13"))), **NVIDIA},
        ["a test computation failed on device 1 (OSError: libnvrtc.so.13)"],
    ),
    "wrong result": (
        {"cupy": fake_cupy(ones=lambda *a, **k: np.zeros((2, 2))), **NVIDIA},
        ["device 1 computes wrong results"],
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_gpu_that_cannot_be_used_is_an_error_with_cause_and_fix(machine, case, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    parts, expected = FAILURES[case]
    machine(**parts)
    with pytest.raises(BackendError) as caught:
        get_backend("cuda:1")
    message = str(caught.value)
    assert message.startswith("backend 'cuda:1' cannot be used: ")
    assert "\n" not in message
    assert message.endswith("or use backend 'cpu'")
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"), "package 'fastrlock', which"),
        (ImportError("undefined symbol"), "CuPy cannot be imported (ImportError: undefined symbol)"),
    ],
)
def test_a_broken_cupy(machine, monkeypatch, error, expected):
    machine()
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.setattr(sys, "meta_path", [broken(error), *sys.meta_path])
    with pytest.raises(BackendError) as caught:
        get_backend("cuda")
    assert expected in str(caught.value)


def test_hidden_devices_are_hinted_at(machine, monkeypatch):
    machine(cupy=fake_cupy(0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BackendError, match="CUDA_VISIBLE_DEVICES, which is ''"):
        get_backend("cuda")


def test_a_problem_is_looked_for_again(machine):
    with pytest.raises(BackendError):
        get_backend("cuda")
    machine(cupy=fake_cupy(), numba_cuda=fake_numba_cuda())
    assert get_backend("cuda").device == "cuda:0"


def test_auto_falls_back_to_the_cpu_and_says_so_once(machine, monkeypatch, caplog):
    told = type(backend._fallback_told)()
    monkeypatch.setattr(backend, "_fallback_told", told)
    with caplog.at_level(logging.INFO, "accelnn"):
        assert get_backend() == get_backend("auto") == get_backend("cpu")
    assert len(caplog.records) == 1
    assert "backend 'auto' is the CPU: no NVIDIA driver was found" in caplog.text


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gpu", "known names are auto, cpu, cuda, cuda:N"),
        ("CPU", "did you mean 'cpu'"),
        ("cdua", "did you mean 'cuda'"),
        ("cuda:", "number the device"),
        ("cuda:-1", "number the device"),
        ("cuda:first", "number the device"),
        ("cuda:²", "number the device"),
        ("", "known names"),
    ],
)
def test_an_unknown_backend_is_an_error(spec, message):
    with pytest.raises(ArgumentError, match=message):
        get_backend(spec)


@pytest.mark.parametrize("spec", [None, 0, np, ["cpu"]])
def test_a_backend_of_the_wrong_type_is_an_error(spec):
    with pytest.raises(ArgumentTypeError, match="backend is"):
        get_backend(spec)


def test_versions_that_fit(machine):
    for versions in (("2.4.6", "0.30.4"), ("2.5.1", "0.31.0"), ("2.3.0rc1", "0.30.0")):
        machine(cupy=fake_cupy(), numba_cuda=fake_numba_cuda(), versions=versions)
        assert cuda_packages.numba_problem(13000) is None


def test_a_numba_cuda_without_metadata_is_tried(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "numba.cuda", fake_numba_cuda())
    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert cuda_packages.numba_problem(13000) is None


def test_the_memory_of_a_device_can_be_limited(gpu):
    pool = sys.modules["cupy"].get_default_memory_pool()
    cuda = get_backend("cuda:1", memory_limit_bytes=1 << 30)
    assert FakeDevice.log[-3:] == [("enter", 1), ("limit", 1 << 30), ("exit", 1)]
    assert get_backend(cuda) is cuda
    assert pool.limit == 1 << 30
    assert get_backend(cuda, memory_limit_bytes=np.int64(5)) is cuda
    assert pool.limit == 5
    get_backend("auto", memory_limit_bytes=0)
    assert pool.limit == 0


@pytest.mark.parametrize("backend", ["cpu", Backend("cpu", "cpu", np)])
def test_the_memory_of_a_cpu_cannot_be_limited(backend):
    with pytest.raises(ArgumentError, match="memory_limit_bytes is 5: leave it out"):
        get_backend(backend, memory_limit_bytes=5)


def test_auto_that_is_the_cpu_has_nothing_to_limit(machine):
    assert get_backend("auto", memory_limit_bytes=5).name == "cpu"


def test_a_limit_that_is_none_is_an_error():
    with pytest.raises(ArgumentError, match="memory_limit_bytes is -1"):
        get_backend("auto", memory_limit_bytes=-1)
    for limit in (1.5, "8 GB", True):
        with pytest.raises(ArgumentTypeError, match="memory_limit_bytes is"):
            get_backend("auto", memory_limit_bytes=limit)


def test_the_environment_describes_a_gpu(gpu, monkeypatch):
    monkeypatch.setattr(cuda_details, "nvidia_driver", lambda: "580.65.06")
    cuda = describe_environment()["backends"]["cuda"]
    assert (cuda["usable"], cuda["cause"], cuda["remedy"]) == (True, None, None)
    assert cuda["details"] == {
        "name": "Fake GPU",
        "compute_capability": "9.0",
        "memory_bytes": 8 << 30,
        "memory_free_bytes": 6 << 30,
        "memory_limit_bytes": None,
        "devices": 2,
        "driver": "580.65.06",
        "driver_cuda": "13.0",
        "runtime_cuda": "13.0",
        "cupy": "14.2.0",
        "numba_cuda": "0.30.4",
    }


class ManagementLibrary:
    """NVML, which knows the version of the driver unless it fails."""

    def __init__(self, init=0, version=0):
        self._init, self._version, self.shut_down = init, version, False

    def nvmlInit_v2(self):
        return self._init

    def nvmlSystemGetDriverVersion(self, text, size):
        text.value = b"580.65.06"
        return self._version

    def nvmlShutdown(self):
        self.shut_down = True


def test_the_version_of_the_driver(monkeypatch):
    working = ManagementLibrary()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: working)
    assert cuda_details.nvidia_driver() == "580.65.06"
    assert working.shut_down
    for broken_library in (ManagementLibrary(init=9), ManagementLibrary(version=3)):
        monkeypatch.setattr(ctypes, "CDLL", lambda name, library=broken_library: library)
        assert cuda_details.nvidia_driver() is None
    monkeypatch.setattr(ctypes, "CDLL", raising(OSError("libnvidia-ml.so.1")))
    assert cuda_details.nvidia_driver() is None


def test_a_package_without_a_version():
    assert cuda_details._version("accelnn-no-such-package") is None


def test_the_environment_says_why_there_is_no_gpu(machine):
    cuda = json.loads(json.dumps(describe_environment()))["backends"]["cuda"]
    assert (cuda["usable"], cuda["cause"], cuda["details"]) == (False, "no NVIDIA driver was found", None)
    assert "pip install" in cuda["remedy"]


def test_backend_is_a_value():
    assert Backend("cpu", "cpu", np) == get_backend("cpu")
