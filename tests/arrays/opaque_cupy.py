"""A stand-in for CuPy whose arrays are NumPy's behind a wall: what CuPy refuses is an error here too.

No array becomes one of NumPy but by ``get``, and none of NumPy becomes one of the device but by ``asarray``. Work on an
array of a device that is not the current one is an error, which CuPy would do slowly or not at all; a view is no work.
"""

from __future__ import annotations

import contextlib
import operator
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

_entered = [0]


class Device(contextlib.AbstractContextManager):
    """A device; inside its block new arrays are made there."""

    def __init__(self, index: int | None = None) -> None:
        self.id = _entered[-1] if index is None else index

    def __enter__(self) -> Device:
        _entered.append(self.id)
        return self

    def __exit__(self, *error: object) -> None:
        _entered.pop()

    def synchronize(self) -> None: ...


class OpaqueArray:
    """An array on a device."""

    __module__ = "cupy"
    __array_ufunc__ = None  # NumPy leaves operators to us

    def __init__(self, values: Any, device: Device | None = None) -> None:
        self._values, self.device = np.asarray(values), device or Device()
        for name in ("dtype", "shape", "ndim", "size", "strides", "nbytes"):
            setattr(self, name, getattr(self._values, name))
        self.data = types.SimpleNamespace(ptr=self._values.ctypes.data)

    def __array__(self, *args: object, **kwargs: object) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` ...")

    def get(self) -> np.ndarray:
        return self._values.copy()

    def __len__(self) -> int:
        return len(self._values)

    def __setitem__(self, key: Any, value: Any) -> None:
        _check_devices([self, value])
        self._values[_opened(key)] = _opened(value)

    def __getattr__(self, name: str) -> Any:
        if name not in ("reshape", "astype", "argmax", "min", "max", "sum", "copy", "ravel", "T"):
            raise AttributeError(name)
        if name == "T":
            return OpaqueArray(self._values.T, self.device)
        return lambda *args, **kwargs: _closing(getattr(np.ndarray, name))(self, *args, **kwargs)


def _opened(value: Any) -> Any:
    if isinstance(value, OpaqueArray):
        return value._values
    if isinstance(value, (tuple, list)):
        return type(value)(map(_opened, value))
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return value


def _closing(function: Any) -> Any:
    """Return the function of NumPy for arrays behind the wall."""

    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*_opened(args), **{name: _opened(value) for name, value in kwargs.items()})
        for array in args:
            if isinstance(array, OpaqueArray) and np.may_share_memory(array._values, result):
                return OpaqueArray(result, array.device)
        _check_devices([*args, *kwargs.values()])
        return OpaqueArray(result) if isinstance(result, (np.ndarray, np.generic)) else result

    return call


def _check_devices(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, OpaqueArray):
            assert value.device.id == Device().id, "the array lies on another device than the current one"


def _number(convert: Any) -> Any:
    return lambda self: convert(self.get())


for _name in ("add", "sub", "mul", "truediv", "matmul", "pow", "and_", "or_", "xor", "lshift", "rshift"):
    _method = _closing(getattr(operator, _name))
    setattr(OpaqueArray, f"__{_name.rstrip('_')}__", _method)
    setattr(OpaqueArray, f"__r{_name.rstrip('_')}__", lambda self, other, method=_method: method(other, self))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "getitem", "pos", "neg", "abs", "invert"):
    setattr(OpaqueArray, f"__{_name}__", _closing(getattr(operator, _name)))
for _type in (float, int, bool):
    setattr(OpaqueArray, f"__{_type.__name__}__", _number(_type))


class Pool:
    """The memory pool of the current device; ``limits`` by device."""

    def __init__(self) -> None:
        self.limits: dict[int, int] = {}

    def set_limit(self, size: int | None = None) -> None:
        self.limits[Device().id] = size or 0

    def get_limit(self) -> int:
        return self.limits.get(Device().id, 0)

    def free_bytes(self) -> int:
        return 0

    def used_bytes(self) -> int:
        return 0


class OutOfMemoryError(MemoryError):
    __module__ = "cupy.cuda.memory"


class OpaqueCupy(types.ModuleType):
    """The module: NumPy's functions behind the wall. ``capacity_bytes``: the largest array that comes from the host."""

    ndarray = OpaqueArray

    def __init__(self) -> None:
        super().__init__("cupy")
        self.capacity_bytes = 1 << 30
        pool = Pool()
        self.get_default_memory_pool = lambda: pool
        self.cuda = types.SimpleNamespace(
            Device=Device,
            runtime=types.SimpleNamespace(
                pointerGetAttributes=lambda address: types.SimpleNamespace(device=1),
                memGetInfo=lambda: (self.capacity_bytes, 1 << 30),
            ),
        )

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        return found if isinstance(found, type) else _closing(found)

    def asarray(self, values: Any, dtype: Any = None) -> OpaqueArray:
        if isinstance(values, OpaqueArray):
            _check_devices([values])
            return OpaqueArray(np.asarray(values._values, dtype))
        interface = getattr(values, "__cuda_array_interface__", None)
        if interface is None and np.asarray(values).nbytes > self.capacity_bytes:
            raise OutOfMemoryError("Out of memory allocating 736 bytes (allocated so far: 0 bytes).")
        return OpaqueArray(np.array(values, dtype)) if interface is None else OpaqueArray(values.values)

    def from_dlpack(self, tensor: Any) -> OpaqueArray:
        return OpaqueArray(tensor.__dlpack__(stream=1))


class Tensor:
    """An array of another library on a device, which speaks DLPack."""

    def __init__(self, values: np.ndarray, device: tuple[int, int] = (2, 1)) -> None:
        self.values, self._device = values, device

    def __dlpack__(self, stream: int | None = None) -> np.ndarray:
        return self.values

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


class InterfaceOnly:
    """An array of another library on a device, which knows nothing but the CUDA array interface."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        data = values.ctypes.data, False
        self.__cuda_array_interface__ = {"data": data, "shape": values.shape, "typestr": values.dtype.str, "version": 3}
