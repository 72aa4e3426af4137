"""Streams, events and graphs: work that is put off until someone waits for it."""

from __future__ import annotations

import ctypes
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from emulated_gpu.calls import (
    CAPTURE_IMPLICIT,
    CAPTURE_INVALIDATED,
    CAPTURE_UNSUPPORTED,
    INVALID_HANDLE,
    NOT_READY,
    Failure,
    answer,
    emulates,
    uint32,
)
from emulated_gpu.settings import EARLY_COPIES

Work = Callable[[], None]

GLOBAL, THREAD_LOCAL = 0, 1
"""How far a capture reaches, a ``cudaStreamCaptureMode``; 2 is no further than the stream."""

NON_BLOCKING, NO_TIMING = 1, 2
"""Flags of streams and of events."""


@dataclass(eq=False)
class Stream:
    """Work in its order. ``added`` and ``done`` count it. ``captured``: what a capture has recorded, else None."""

    is_blocking: bool
    waiting: deque[Work] = field(default_factory=deque)
    added: int = 0
    done: int = 0
    computes: bool = False
    captured: list[Work] | None = None
    is_broken: bool = False
    mode: int = GLOBAL
    thread: int = 0

    def run(self, until: int | None = None) -> None:
        """Do the work up to a count, by default all of it."""
        until = self.added if until is None else until
        while self.done < until:
            work = self.waiting.popleft()
            self.done += 1
            work()


@dataclass(eq=False)
class Event:
    """A place in a stream: behind its first ``count`` pieces of work."""

    flags: int
    stream: Stream | None = None
    count: int = 0
    time_s: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.stream is None or self.stream.done >= self.count


LEGACY = 0
"""The stream that waits for all blocking ones, and they for it."""

streams: dict[int, Stream] = {LEGACY: Stream(is_blocking=True)}
events: dict[int, Event] = {}
graphs: dict[int, list[Work]] = {}
executables: dict[int, list[Work]] = {}
handles = itertools.count(0x1000, 16)
_choice = random.Random(0)


def stream_of(handle: int) -> Stream:
    """Return a stream; 1 and 2 are names of the default one."""
    handle = LEGACY if handle in (1, 2) else handle
    if handle not in streams:
        raise Failure(INVALID_HANDLE, f"there is no stream {handle:#x}")
    return streams[handle]


def start(handle: int, work: Work, *, computes: bool = False) -> None:
    """Put work at the end of a stream, or into the graph that it records."""
    stream = stream_of(handle)
    if stream.captured is not None:
        stream.captured.append(work)
        return
    stream.waiting.append(_behind_others(stream, work))
    stream.added += 1
    stream.computes |= computes
    if EARLY_COPIES and stream is not streams[LEGACY] and not stream.computes:
        stream.run()


def _behind_others(stream: Stream, work: Work) -> Work:
    """Return work that lets those run first for which its stream waits."""
    legacy = streams[LEGACY]
    if stream is legacy:
        if any(other.is_blocking for other in _recording()):
            raise Failure(CAPTURE_IMPLICIT, "the legacy stream would wait for one that is captured")
        first = [(other, other.added) for other in streams.values() if other.is_blocking and other is not legacy]
    else:
        first = [(legacy, legacy.added)] if stream.is_blocking else []

    def in_order() -> None:
        for other, count in first:
            other.run(count)
        work()

    return in_order


def finish_all() -> None:
    """Do all work, the streams taking turns in any order."""
    while busy := [stream for stream in streams.values() if stream.waiting]:
        stream = _choice.choice(busy)
        stream.run(stream.done + 1)


def refuse_in_capture(what: str) -> None:
    """Fail, and spoil the capture, where a call is unsafe while this thread records a graph (any thread: global)."""
    for stream in _recording():
        own = stream.thread == threading.get_ident()
        if stream.mode == GLOBAL or (stream.mode == THREAD_LOCAL and own):
            stream.is_broken = True
            raise Failure(CAPTURE_UNSUPPORTED, f"{what} while a stream is captured")


def _recording() -> list[Stream]:
    return [stream for stream in streams.values() if stream.captured is not None]


def _not_recording(stream: Stream, what: str) -> Stream:
    if stream.captured is not None:
        stream.is_broken = True
        raise Failure(CAPTURE_UNSUPPORTED, f"{what} of a stream that is captured")
    return stream


@emulates("cudaStreamCreate")
def _create_stream(into: int) -> None:
    _add_stream(into, 0)


@emulates("cudaStreamCreateWithFlags")
def _create_stream_with_flags(into: int, flags: int) -> None:
    _add_stream(into, flags)


@emulates("cudaStreamCreateWithPriority")
def _create_stream_with_priority(into: int, flags: int, priority: int) -> None:
    _add_stream(into, flags)


def _add_stream(into: int, flags: int) -> None:
    handle = next(handles)
    streams[handle] = Stream(is_blocking=not uint32(flags) & NON_BLOCKING)
    answer(into, handle)


@emulates("cudaStreamDestroy")
def _destroy_stream(handle: int) -> None:
    stream_of(handle).run()
    del streams[handle]


@emulates("cudaStreamSynchronize")
def _synchronize_stream(handle: int) -> None:
    _not_recording(stream_of(handle), "synchronization").run()


@emulates("cudaStreamQuery")
def _query_stream(handle: int) -> int:
    stream = _not_recording(stream_of(handle), "a query")
    if stream.waiting:
        stream.run(stream.done + 1)
    return NOT_READY if stream.waiting else 0


@emulates("cudaDeviceSynchronize")
def _synchronize_device() -> None:
    refuse_in_capture("cudaDeviceSynchronize")
    finish_all()


@emulates("cudaStreamGetFlags")
def _flags_of_stream(handle: int, into: int) -> None:
    answer(into, 0 if stream_of(handle).is_blocking else NON_BLOCKING, ctypes.c_int32)


@emulates("cudaStreamWaitEvent")
def _wait_for_event(handle: int, number: int) -> None:
    _not_recording(stream_of(handle), "a wait, which is not emulated,")
    stream, count = events[number].stream, events[number].count
    if stream is not None:
        start(handle, lambda: stream.run(count))


@emulates("cudaEventCreate")
def _create_event(into: int) -> None:
    _add_event(into, 0)


@emulates("cudaEventCreateWithFlags")
def _create_event_with_flags(into: int, flags: int) -> None:
    _add_event(into, uint32(flags))


def _add_event(into: int, flags: int) -> None:
    handle = next(handles)
    events[handle] = Event(flags)
    answer(into, handle)


@emulates("cudaEventDestroy")
def _destroy_event(number: int) -> None:
    del events[number]


@emulates("cudaEventRecord")
def _record_event(number: int, handle: int) -> None:
    stream, event = _not_recording(stream_of(handle), "an event, which is not emulated,"), events[number]

    def stamp() -> None:
        event.time_s = time.perf_counter()

    event.stream, event.count = stream, stream.added + 1
    start(handle, stamp)


@emulates("cudaEventSynchronize")
def _synchronize_event(number: int) -> None:
    event = events[number]
    if event.stream is not None:
        event.stream.run(event.count)


@emulates("cudaEventQuery")
def _query_event(number: int) -> int:
    return 0 if events[number].is_done else NOT_READY


@emulates("cudaEventElapsedTime")
def _elapsed_ms(into: int, first: int, last: int) -> int:
    a, b = events[first], events[last]
    if (a.flags | b.flags) & NO_TIMING or a.stream is None or b.stream is None:
        raise Failure(INVALID_HANDLE, "these events have no times")
    if not (a.is_done and b.is_done):
        return NOT_READY
    ctypes.c_float.from_address(into).value = 1e3 * (b.time_s - a.time_s)
    return 0


@emulates("cudaStreamBeginCapture")
def _begin_capture(handle: int, mode: int) -> None:
    stream = _not_recording(stream_of(handle), "a capture")
    if stream is streams[LEGACY]:
        raise Failure(CAPTURE_UNSUPPORTED, "the legacy stream cannot be captured")
    stream.captured, stream.is_broken = [], False
    stream.mode, stream.thread = uint32(mode), threading.get_ident()


@emulates("cudaStreamEndCapture")
def _end_capture(handle: int, into: int) -> None:
    stream = stream_of(handle)
    recorded, stream.captured = stream.captured, None
    if recorded is None:
        raise Failure(CAPTURE_UNSUPPORTED, "nothing was captured")
    if stream.is_broken:
        answer(into, 0)
        raise Failure(CAPTURE_INVALIDATED)
    handle = next(handles)
    graphs[handle] = recorded
    answer(into, handle)


@emulates("cudaStreamIsCapturing")
def _is_capturing(handle: int, into: int) -> None:
    stream = stream_of(handle)
    answer(into, 0 if stream.captured is None else 1 + stream.is_broken, ctypes.c_int32)


@emulates("cudaGraphInstantiate")
def _instantiate_graph(into: int, graph: int) -> None:
    handle = next(handles)
    executables[handle] = list(graphs[graph])
    answer(into, handle)


@emulates("cudaGraphDestroy")
def _destroy_graph(graph: int) -> None:
    del graphs[graph]


@emulates("cudaGraphExecDestroy")
def _destroy_executable(graph: int) -> None:
    del executables[graph]


@emulates("cudaGraphLaunch")
def _launch_graph(graph: int, handle: int) -> None:
    nodes = executables[graph]
    _not_recording(stream_of(handle), "a graph inside a graph")

    def replay() -> None:
        for node in nodes:
            node()

    start(handle, replay, computes=True)
