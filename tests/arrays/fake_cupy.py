"""A stand-in for CuPy that keeps "device" memory on the host and writes down what is done on which stream."""

from __future__ import annotations

import types
from typing import Any

import numpy as np


class FakeMemory:
    """``ndarray.data``: a pointer that can be copied to."""

    def __init__(self, array: FakeArray) -> None:
        self._array = array

    @property
    def ptr(self) -> int:
        return int(self._array.values.ctypes.data)

    def copy_from_host_async(self, mem: int, size: int, stream: FakeStream | None = None) -> None:
        assert stream is not None, "a copy belongs to a stream"
        source = np.ctypeslib.as_array((np.ctypeslib.ctypes.c_uint8 * size).from_address(mem))
        self._array.values.reshape(-1).view(np.uint8)[:size] = source
        stream.write("copy to the device")


class FakeArray:
    """An array on the fake device."""

    def __init__(self, values: np.ndarray, xp: FakeCupy) -> None:
        self.values, self.xp = values, xp
        self.dtype, self.shape, self.size, self.nbytes = values.dtype, values.shape, values.size, values.nbytes
        self.data = FakeMemory(self)

    def __getitem__(self, key: Any) -> FakeArray:
        return FakeArray(self.values[key], self.xp)

    def get(self, stream: FakeStream | None = None) -> np.ndarray:
        assert stream is not None, "the values come from a stream"
        stream.write("copy to the host")
        return self.values.copy()


class FakeStream:
    """A stream; ``log`` is that of the module."""

    count = 0

    def __init__(self, log: list[str], non_blocking: bool = False) -> None:
        FakeStream.count += 1
        self.ptr, self.log, self.non_blocking = 0x1000 + FakeStream.count, log, non_blocking
        self.capturing = False
        self.fails = False

    def __enter__(self) -> FakeStream:
        self.log.append("use stream")
        return self

    def __exit__(self, *error: object) -> None:
        self.log.append("leave stream")

    def write(self, entry: str) -> None:
        self.log.append(entry)

    def begin_capture(self, mode: int | None = None) -> None:
        assert not self.capturing
        self.capturing = True
        self.write(f"begin capture {mode}")

    def end_capture(self) -> FakeGraph:
        assert self.capturing
        self.capturing = False
        self.write("end capture")
        if self.fails:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated: operation failed due to a previous error")
        return FakeGraph(self)

    def synchronize(self) -> None:
        assert not self.capturing, "waiting is illegal while a stream is captured"
        self.write("wait for the stream")

    def wait_event(self, event: FakeEvent) -> None:
        self.write(f"wait for event {event.number}")


class FakeGraph:
    def __init__(self, stream: FakeStream) -> None:
        self._stream = stream

    def launch(self, stream: FakeStream | None = None) -> None:
        assert stream is self._stream
        stream.write("launch graph")


class FakeEvent:
    count = 0

    def __init__(self, log: list[str], disable_timing: bool = False) -> None:
        assert disable_timing, "an event that takes the time makes everybody wait longer"
        FakeEvent.count += 1
        self.number, self.log = FakeEvent.count, log

    def record(self, stream: FakeStream) -> None:
        stream.write(f"record event {self.number}")

    def synchronize(self) -> None:
        self.log.append(f"host waits for event {self.number}")


class FakeDevice:
    compute_capability = "90"

    def __init__(self, index: int = 0) -> None:
        self.index = index

    def __enter__(self) -> FakeDevice:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def synchronize(self) -> None:
        FakeDevice.waits += 1

    waits = 0


RESIDENT_BLOCKS = 8
"""Of the blocks of a launch, so many find room at the same time."""


class FakeModule:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    def load(self, image: bytes) -> None:
        self._log.append(f"load {image.decode()}")
        self._image = image.decode()

    def get_function(self, name: str) -> Any:
        assert name == "kernel"

        def launch(
            grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, stream: FakeStream,
            enable_cooperative_groups: bool = False,
        ) -> None:  # fmt: skip
            kinds = ",".join(type(argument).__name__ for argument in args)
            together = " together" if enable_cooperative_groups else ""
            if enable_cooperative_groups and grid[0] > RESIDENT_BLOCKS:
                raise ValueError("The grid size is too large")
            stream.write(f"launch {self._image} {grid} {block} ({kinds}){together}")

        return launch


class FakePool:
    limit, used, held = 0, 100, 50

    def get_limit(self) -> int:
        return self.limit

    def used_bytes(self) -> int:
        return self.used

    def free_bytes(self) -> int:
        return self.held


class FakeCupy(types.ModuleType):
    """The module. ``log`` is what was done, in this order."""

    def __init__(self) -> None:
        super().__init__("cupy")
        self.log: list[str] = []
        self.ndarray = FakeArray
        self.pool = FakePool()
        self.attributes = {95: 1, 16: RESIDENT_BLOCKS}
        self.streams: list[FakeStream] = []
        self.cuda = types.SimpleNamespace(
            Device=FakeDevice,
            Stream=self._stream,
            Event=lambda disable_timing=False: FakeEvent(self.log, disable_timing),
            alloc_pinned_memory=lambda size: memoryview(bytearray(size)),
            function=types.SimpleNamespace(Module=lambda: FakeModule(self.log)),
            runtime=types.SimpleNamespace(
                streamCaptureModeThreadLocal=1,
                memGetInfo=lambda: (1000, 5000),
                getDevice=lambda: 0,
                cudaDevAttrCooperativeLaunch=95,
                cudaDevAttrMultiProcessorCount=16,
                deviceGetAttribute=lambda attribute, device: self.attributes[attribute],
            ),
        )

    def get_default_memory_pool(self) -> FakePool:
        return self.pool

    def zeros(self, size: int, dtype: Any) -> FakeArray:
        self.log.append("zeros")
        n_bytes = size * np.dtype(dtype).itemsize
        raw = np.zeros(n_bytes + 256, np.uint8)
        start = -raw.ctypes.data % 256  # where CuPy's pool puts arrays
        return FakeArray(raw[start : start + n_bytes].view(dtype), self)

    empty = zeros

    def _stream(self, non_blocking: bool = False) -> FakeStream:
        self.streams.append(FakeStream(self.log, non_blocking))
        return self.streams[-1]
