"""Times on the device, by CUDA events; CuPy is imported when a time is taken."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

WARM_UP = 3


def event_times_us(work: Callable[[int], Any], repeats: int, warm_up: int = WARM_UP) -> list[float]:
    """Return the time of each of ``repeats`` calls ``work(i)`` on the current stream, in microseconds.

    All are queued before the first is waited for, so that the host does not make the device wait between them.
    """
    import cupy

    for i in range(warm_up):
        work(i)
    marks = [cupy.cuda.Event() for _ in range(repeats + 1)]
    cupy.cuda.get_current_stream().synchronize()
    marks[0].record()
    for i in range(repeats):
        work(i)
        marks[i + 1].record()
    marks[-1].synchronize()
    return [1e3 * cupy.cuda.get_elapsed_time(*pair) for pair in pairwise(marks)]


def spread_of(values: list[float], unit: str) -> dict[str, float]:
    """Return median, smallest and largest, under names that end in the unit."""
    return {f"median_{unit}": median(values), f"min_{unit}": min(values), f"max_{unit}": max(values)}


def noise(size: int) -> Any:
    """Return ``size`` numbers on the device that look random, float32 in [0, 1); needs no random library."""
    import cupy

    from accelnn.arrays.reference import lowbias32

    return (lowbias32(cupy.arange(size, dtype=cupy.uint32)) >> 8).astype(cupy.float32) * 2.0**-24


def as_stored(values: Any, element: str) -> Any:
    """Return float32 values as a matrix product reads them; bfloat16, which CuPy does not have, as bits in uint16."""
    import cupy

    return (values.view(cupy.uint32) >> 16).astype(cupy.uint16) if element == "bfloat16" else values


def captured(stream: Any, work: Callable[[], Any]) -> Any:
    """Return what ``work`` launches on ``stream`` as a CUDA graph. Everything has to be loaded before.

    A capture that fails is ended, so that the stream can be used afterwards; the error is raised.
    """
    stream.begin_capture()
    try:
        work()
    except BaseException:
        _give_up(stream)
        raise
    return stream.end_capture()


def _give_up(stream: Any) -> None:
    try:
        stream.end_capture()
    except Exception as error:  # it is invalid already, which the caller's error explains
        print("the capture ended with", error)


def node_count(graph: Any) -> int | None:
    """Return the number of nodes of a CuPy graph, None where that cannot be found out."""
    try:
        from cuda.bindings import runtime

        error, _, count = runtime.cudaGraphGetNodes(graph.graph)
    except (ImportError, TypeError, ValueError) as problem:  # it is missing, or its functions have another form
        print("nodes cannot be counted:", problem)
        return None
    return None if int(error) else int(count)
