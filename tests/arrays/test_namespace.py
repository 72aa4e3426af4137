"""Which library an array belongs to, tried with a stand-in for CuPy's departures from the standard."""

from __future__ import annotations

import contextlib
import sys
import types

import array_api_strict
import numpy as np
import pytest

from accelnn.arrays import reference
from accelnn.arrays.namespace import arange, dtype_name, is_cupy, namespace
from accelnn.errors import ArgumentTypeError

entered: list[str] = []


class FakeDevice(contextlib.AbstractContextManager):
    """A CUDA device is a context, not an argument."""

    def __enter__(self):
        entered.append("device")

    def __exit__(self, *error):
        return None


class FakeCupyArray(np.ndarray):
    """Like CuPy's arrays: it does not tell its namespace, and its device is a context."""

    __module__ = "cupy"

    @property
    def device(self):
        return FakeDevice()

    @property
    def __array_namespace__(self):
        raise AttributeError("__array_namespace__")


def fake_cupy() -> types.ModuleType:
    module = types.ModuleType("cupy")
    module.__getattr__ = lambda name: getattr(np, name)
    module.arange = lambda n, dtype: np.arange(n, dtype=dtype).view(FakeCupyArray)
    module.asarray = lambda x: np.asarray(x).view(FakeCupyArray)
    module.where = lambda *args: np.where(*args).view(FakeCupyArray)
    return module


@pytest.fixture
def cupy(monkeypatch):
    module = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", module)
    entered.clear()
    return module


def test_every_kind_of_array_names_its_library(tmp_path):
    assert namespace(np.zeros(2)) is np
    assert namespace(np.float32(1)) is np
    assert namespace(np.memmap(tmp_path / "rows", np.float32, "w+", shape=(2,))) is np
    assert namespace(array_api_strict.zeros(2), array_api_strict.ones(3)) is array_api_strict


def test_cupy_arrays_are_known_by_their_type(cupy):
    x = np.zeros(2).view(FakeCupyArray)
    assert is_cupy(x)
    assert not is_cupy(np.zeros(2))
    assert namespace(x, x) is cupy


@pytest.mark.parametrize("value", [[1.0, 2.0], 3.0, None, "text"])
def test_something_that_is_no_array_is_an_error(value):
    with pytest.raises(ArgumentTypeError, match=r"use an array, e\.g\. backend\.asarray"):
        namespace(value)


def test_mixed_libraries_are_an_error_that_names_them():
    with pytest.raises(ArgumentTypeError, match="arrays of numpy and array_api_strict were mixed"):
        namespace(np.zeros(2), array_api_strict.zeros(2))
    with pytest.raises(ArgumentTypeError, match="were mixed"):
        reference.loss_and_gradient("mse", array_api_strict.zeros((1, 1)), np.zeros((1, 1)))


def test_dtype_name_and_arange(space):
    assert dtype_name(space.array([1.0])) == space.name
    assert space.host(arange(space.xp, 3, space.dtype, space.device)).tolist() == [0, 1, 2]


def test_formulas_that_count_run_on_the_device_of_a_cupy_array(cupy):
    z = np.random.default_rng(14).normal(size=(3, 4))
    labels = np.array([0, 3, 1])
    expected = reference.loss_and_gradient("cross_entropy", z, labels)
    found = reference.loss_and_gradient("cross_entropy", z.view(FakeCupyArray), labels.view(FakeCupyArray))
    for mine, theirs in zip(found, expected, strict=True):
        assert np.array_equal(mine, theirs)
    dropped = reference.dropout(z.view(FakeCupyArray), 0.5, (1, 2))
    assert type(dropped) is FakeCupyArray
    assert np.array_equal(dropped, reference.dropout(z, 0.5, (1, 2)))
    assert len(entered) == 3
