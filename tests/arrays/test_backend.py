"""Backends: which one is given, how it moves arrays, and how it says no."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import sys

import array_api_strict
import numpy as np
import pytest
from fake_cuda import FakeArray, FakeDevice, fake_cupy, fake_numba_cuda

from accelnn.arrays import Backend, PlainOps, backend, cuda_probe, describe_environment, get_backend
from accelnn.errors import ArgumentError, ArgumentTypeError, BackendError


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets up what this machine seems to have; nothing works unless given."""
    monkeypatch.setattr(cuda_probe, "_working", set())
    monkeypatch.setattr(backend._fallback_told, "is_set", lambda: False)
    monkeypatch.setattr(FakeDevice, "log", [])

    def set_up(driver=13000, cupy=None, numba_cuda=None):
        monkeypatch.setattr(cuda_probe, "driver_version", lambda: driver)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setitem(sys.modules, "numba.cuda", numba_cuda)

    set_up(driver=0)
    return set_up


@pytest.fixture
def gpu(machine):
    machine(cupy=fake_cupy(), numba_cuda=fake_numba_cuda())


def raising(error):
    def ones(*args, **kwargs):
        raise error

    return ones


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


def test_the_environment_describes_a_gpu(gpu):
    cuda = describe_environment()["backends"]["cuda"]
    assert (cuda["usable"], cuda["cause"], cuda["remedy"]) == (True, None, None)
    assert cuda["details"] == {
        "name": "Fake GPU",
        "memory_bytes": 8 << 30,
        "compute_capability": "9.0",
        "driver_cuda": "13.0",
        "runtime_cuda": "13.0",
        "cupy": "14.2.0",
    }


def test_the_environment_says_why_there_is_no_gpu(machine):
    cuda = json.loads(json.dumps(describe_environment()))["backends"]["cuda"]
    assert (cuda["usable"], cuda["cause"], cuda["details"]) == (False, "no NVIDIA driver was found", None)
    assert "pip install" in cuda["remedy"]


def test_backend_is_a_value():
    assert Backend("cpu", "cpu", np) == get_backend("cpu")
