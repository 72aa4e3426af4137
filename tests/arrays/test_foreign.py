"""Arrays of other libraries: where they lie, and that their memory is shared and never copied in silence."""

from __future__ import annotations

import sys
from typing import Any

import array_api_strict
import numpy as np
import pytest

from accelnn.arrays import Backend, get_backend
from accelnn.arrays.foreign import as_array, device_of, has_readable_rows, packed, taken
from accelnn.errors import ArgumentTypeError
from tests.arrays.opaque_cupy import Device, InterfaceOnly, OpaqueArray, OpaqueCupy, Tensor

CPU = get_backend("cpu")
VALUES = np.arange(12.0).reshape(4, 3)


class HostTensor:
    """An array of another library on the host: DLPack and nothing else."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class NeedsGradient(Tensor):
    def __dlpack__(self, stream: int | None = None) -> np.ndarray:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")


class Nowhere(Tensor):
    def __dlpack_device__(self) -> tuple[int, int]:
        raise ValueError("Unknown device type meta for Dlpack")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The backend of device 1."""
    module = OpaqueCupy()
    monkeypatch.setitem(sys.modules, "cupy", module)
    return Backend("cuda", "cuda:1", module)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (VALUES, "cpu"),
        ([[1.0]], "cpu"),
        (None, "cpu"),
        (array_api_strict.zeros(2), "cpu"),
        (Tensor(VALUES, (1, 0)), "cpu"),
        (Tensor(VALUES, (3, 0)), "cpu"),
        (Tensor(VALUES, (2, 0)), "cuda:0"),
        (Tensor(VALUES, (2, 3)), "cuda:3"),
        (Tensor(VALUES, (13, 1)), "cuda:1"),
        (Tensor(VALUES, (8, 0)), "metal:0"),
        (Tensor(VALUES, (99, 2)), "device type 99 of DLPack:2"),
    ],
)
def test_device_of(values: Any, expected: str) -> None:
    assert device_of(values) == expected


def test_device_of_a_pointer(cuda: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_of(InterfaceOnly(VALUES)) == "cuda:1"
    monkeypatch.delitem(sys.modules, "cupy")
    assert device_of(InterfaceOnly(VALUES)) == "cuda"


def test_device_of_cupy_arrays() -> None:
    with Device(2):
        assert device_of(OpaqueArray(VALUES)) == "cuda:2"


@pytest.mark.parametrize("make", [np.asarray, HostTensor, array_api_strict.asarray])
def test_host_arrays_share_their_memory(make: Any, cuda: Backend) -> None:
    values = VALUES.copy()
    for backend in (CPU, cuda):
        array = as_array("x", make(values), backend)
        assert type(array) is np.ndarray
        assert np.shares_memory(array, values) or make is array_api_strict.asarray


@pytest.mark.parametrize("make", [Tensor, InterfaceOnly, OpaqueArray])
def test_arrays_of_the_device_share_their_memory(make: Any, cuda: Backend) -> None:
    with Device(1):
        values = make(VALUES)
    array = as_array("x", values, cuda)
    assert type(array) is OpaqueArray
    assert array.device.id == 1
    assert array.data.ptr == VALUES.ctypes.data


@pytest.mark.parametrize(
    ("values", "device", "fix"),
    [
        (Tensor(VALUES, (2, 0)), "cuda:0", r"numpy\.asarray\(x\), or make the model with backend='cuda:0'"),
        (OpaqueArray(VALUES), "cuda:0", r"x\.get\(\), or make the model with backend='cuda:0'"),
        (Tensor(VALUES, (10, 1)), "rocm:1", r"numpy\.asarray\(x\)$"),
    ],
)
def test_another_device_is_an_error_that_names_both(values: Any, device: str, fix: str, cuda: Backend) -> None:
    for backend in (CPU, cuda):
        with pytest.raises(ArgumentTypeError, match=f"^x, of type .*, lies on {device} and the model on .*: .*{fix}"):
            as_array("x", values, backend)


def test_the_fix_is_that_of_the_users_library() -> None:
    tensor = type("Tensor", (Tensor,), {"__module__": "torch"})(VALUES)
    with pytest.raises(ArgumentTypeError, match=r"for example with y\.cpu\(\), or"):
        as_array("y", tensor, CPU)


def test_what_cannot_be_shared_says_why(cuda: Backend) -> None:
    with pytest.raises(ArgumentTypeError, match=r"x is .*CuPy cannot share this array \(.*use tensor\.detach\(\)\)"):
        as_array("x", NeedsGradient(VALUES), cuda)
    with pytest.raises(ArgumentTypeError, match=r"x is .*use tensor\.detach\(\)"):
        as_array("x", NeedsGradient(VALUES, (1, 0)), CPU)
    with pytest.raises(ArgumentTypeError, match=r"x is .*does not say on which device it lies \(Unknown device type"):
        as_array("x", Nowhere(VALUES), CPU)


@pytest.mark.usefixtures("cuda")
def test_packed_copies_only_what_kernels_cannot_read() -> None:
    room = np.zeros(64)
    aligned = room[-room.ctypes.data % 16 // 8 :][:12].reshape(4, 3)
    shifted = room[-room.ctypes.data % 16 // 8 + 1 :][:12].reshape(4, 3)
    assert packed(OpaqueArray(aligned), np.float64).data.ptr == aligned.ctypes.data
    assert packed(OpaqueArray(shifted), np.float64).data.ptr != shifted.ctypes.data
    assert packed(OpaqueArray(aligned.T), np.float64).strides == (32, 8)
    assert packed(OpaqueArray(aligned), np.float32).dtype == np.float32
    assert packed(aligned, np.float64) is aligned


def test_readable_rows() -> None:
    for wall in (np.asarray, OpaqueArray):
        assert has_readable_rows(wall(VALUES))
        assert has_readable_rows(wall(VALUES[::-2, 1:]))
        assert not has_readable_rows(wall(VALUES.T))
        assert not has_readable_rows(wall(VALUES[:, ::2]))


def test_taken(cuda: Backend) -> None:
    rows = np.array([3, 0])
    np.testing.assert_array_equal(taken(VALUES, rows), VALUES[rows])
    with Device(1):
        array = OpaqueArray(VALUES)
    result = taken(array, rows)
    assert result.device.id == 1
    np.testing.assert_array_equal(result.get(), VALUES[rows])
