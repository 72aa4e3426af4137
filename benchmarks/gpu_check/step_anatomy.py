"""Section step_anatomy: what a captured step is made of, the gaps between its kernels, and epochs on CPU and CUDA."""

from __future__ import annotations

import json
import pathlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from accelnn import Dense, Rescaling, Sequential
from accelnn.arrays import reference
from accelnn.training.data import TrainingData
from accelnn.training.fit import OptimizerState
from accelnn.training.optimizers import resolve_optimizer
from accelnn.training.runners.choice import choose_runner
from benchmarks.gpu_check.child import Skipped, Task
from benchmarks.gpu_check.timing import node_count
from benchmarks.work import load_rows, synthetic_rows

SMALL, WIDE = (784, 128, 64, 10), (784, 2048, 2048, 10)
STEPS = ((SMALL, 128), (SMALL, 10), (SMALL, 2048), (WIDE, 128), (WIDE, 2048))
EPOCHS = ((SMALL, 128), (SMALL, 10), (SMALL, 2048), (WIDE, 2048))
ON_CUDA, ON_CPU = 6, 3
"""Epochs on a device; the first does not count, it compiles."""

WIDE_ROWS = 8192
"""A CPU gets no more rows of the wide network."""

MOST_TRACED = 320
"""So many steps say enough, and their trace stays small."""

GPU_EVENTS = ("kernel", "gpu_memset", "gpu_memcpy")


def measure(task: Task) -> None:
    x, y = synthetic_rows(256) if task.quick else load_rows(task.options["data"])
    if task.device == "cuda":
        for units, batch in STEPS:
            task.attempt(f"step {name_of(units)} batch {batch}", lambda u=units, b=batch: anatomy(x, y, u, b))
    for units, batch in EPOCHS[: 1 if task.quick else None]:
        key = f"epoch {name_of(units)} batch {batch}"
        task.attempt(key, lambda u=units, b=batch: epochs(x, y, u, b, task.device))


def name_of(units: tuple[int, ...]) -> str:
    return "-".join(map(str, units))


def model_of(units: tuple[int, ...], backend: str) -> Sequential:
    hidden = [Dense(n, "relu") for n in units[1:-1]]
    layers = [Rescaling(1 / 255), *hidden, Dense(units[-1], "softmax")]
    return Sequential(layers, n_in=units[0], backend=backend, seed=0)


class Steps:
    """The steps of one epoch, started as the captured runner does it: as steps of graphs, or as launches.

    Raises Skipped if there are too few for the longest graph.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, units: tuple[int, ...], batch_size: int) -> None:
        from accelnn.training.runners.captured import TABLE_STEPS

        if len(x) // batch_size < 16:
            raise Skipped(f"{len(x)} rows are fewer than 16 steps")
        model = model_of(units, "cuda")
        state = OptimizerState.fresh(resolve_optimizer("sgd", 0.01), model)
        arguments = (model, TrainingData(x, y), "cross_entropy", state.optimizer, state.moments, batch_size)
        self.runner: Any = choose_runner("captured", *arguments)
        self.n_steps, self._batch_size = min(len(x) // batch_size, TABLE_STEPS) // 16 * 16, batch_size
        steps = np.arange(self.n_steps)
        self._hyper = state.optimizer.hyper(steps, np.full(self.n_steps, 0.01))
        self._keys = reference.dropout_keys(0, steps, 0)
        self.runner.begin_epoch(np.random.default_rng(0).permutation(len(x)))
        self.train()

    def train(self) -> None:
        """Train as ``fit`` does: tables are filled, steps started, losses fetched."""
        self.runner.train(0, self.n_steps, self._hyper, self._keys)

    def rewind(self) -> None:
        """Put the place in the tables back to the first step."""
        self.runner._fill_tables(0, self._hyper, self._keys)

    def start(self, n_steps: int) -> None:
        """Start so many steps; the host does not wait."""
        self.runner.steps.start(self.runner.net.inputs, self._batch_size, (0, 0), n_steps)

    @property
    def form(self) -> str:
        """What the steps are: ``"GraphSteps"`` or ``"PersistentSteps"``."""
        return type(self.runner.steps).__name__

    @property
    def nodes_of_a_step(self) -> float | None:
        """Nodes of the graph by the steps in it, None where they cannot be counted; launches of the persistent kernel.

        The persistent kernel does many steps in one launch.
        """
        from accelnn.training.runners.persistent import STEPS_OF_A_LAUNCH

        if self.form == "PersistentSteps":
            return 1 / min(self.n_steps, STEPS_OF_A_LAUNCH)
        graph, n_steps = self.runner.steps.longest()
        nodes = node_count(graph._graph)
        return None if nodes is None else nodes / n_steps


def anatomy(x: np.ndarray, y: np.ndarray, units: tuple[int, ...], batch_size: int) -> dict[str, Any]:
    """Return times and nodes of a step, the time of its kernels by name, and the gap behind each node.

    The kernels' times are taken in steps of their own, because tracing makes a step slower.
    """
    steps = Steps(x, y, units, batch_size)
    step_us = [device_us(steps) / steps.n_steps for _ in range(5)]
    nodes, n_traced = steps.nodes_of_a_step, min(steps.n_steps, MOST_TRACED)
    result: dict[str, Any] = {"us_per_step": [median(step_us), min(step_us), max(step_us)], "nodes_of_a_step": nodes}
    result |= {"form": steps.form, "us_per_step_with_host": host_us(steps.train) / steps.n_steps}
    try:
        events = traced(steps, n_traced)
    except ImportError as error:
        return result | {"kernels": f"not traced: {error}"}
    busy_us = sum(event["dur"] for event in events) / n_traced
    result |= {"kernels_of_a_step": len(events) / n_traced, "kernel_us_per_step": busy_us}
    count = nodes or len(events) / n_traced
    result |= {"gap_us_per_node": (median(step_us) - busy_us) / count, "kernels": by_name(events, n_traced)}
    return result


def device_us(steps: Steps) -> float:
    """Return the time of an epoch's steps on the device, in microseconds."""
    import cupy

    stream = steps.runner.device._stream
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    steps.rewind()
    begin.record(stream)
    steps.start(steps.n_steps)
    end.record(stream)
    end.synchronize()
    return 1e3 * float(cupy.cuda.get_elapsed_time(begin, end))


def host_us(work: Callable[[], None]) -> float:
    """Return the median time of a call in microseconds."""
    times = []
    for _ in range(5):
        start_s = time.perf_counter()
        work()
        times.append(1e6 * (time.perf_counter() - start_s))
    return median(times)


def traced(steps: Steps, n_steps: int) -> list[dict[str, Any]]:
    """Return what ran on the device in so many steps: events with name, ts and dur in microseconds, in order.

    PyTorch's profiler sees the kernels of the whole process, whoever launched them. Raises ImportError without it.
    """
    from torch import cuda, profiler

    cuda.init()
    steps.rewind()
    steps.runner.device.synchronize()
    with profiler.profile(activities=[profiler.ProfilerActivity.CUDA]) as profile:
        steps.start(n_steps)
        steps.runner.device.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "trace.json")
        profile.export_chrome_trace(str(path))
        return gpu_events(json.loads(path.read_text()))


def gpu_events(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a Chrome trace that ran on a GPU, in their order."""
    events = [event for event in trace["traceEvents"] if event.get("cat") in GPU_EVENTS and "dur" in event]
    return sorted(events, key=lambda event: float(event["ts"]))


def by_name(events: list[dict[str, Any]], n_steps: int) -> list[dict[str, Any]]:
    """Return for each kernel its launches per step and its microseconds per step, the longest first."""
    durations: dict[str, list[float]] = defaultdict(list)
    for event in events:
        durations[event["name"][:120]].append(event["dur"])
    rows = [{"name": name, "per_step": len(own) / n_steps, "us": sum(own) / n_steps} for name, own in durations.items()]
    return sorted(rows, key=lambda row: -row["us"])


def epochs(x: np.ndarray, y: np.ndarray, units: tuple[int, ...], batch_size: int, device: str) -> dict[str, Any]:
    """Return the seconds of epochs of ``fit`` with plain gradient descent, on the CPU and on CUDA."""
    result: dict[str, Any] = {"rows": len(x)}
    if device == "cuda":
        result["cuda_s"] = epoch_seconds(x, y, units, batch_size, "cuda", ON_CUDA)
    rows = min(len(x), WIDE_ROWS) if units == WIDE else len(x)
    result["cpu_s"] = [s * len(x) / rows for s in epoch_seconds(x[:rows], y[:rows], units, batch_size, "cpu", ON_CPU)]
    if device == "cuda":
        result["times_as_fast"] = median(result["cpu_s"]) / median(result["cuda_s"])
    return result


def epoch_seconds(
    x: np.ndarray, y: np.ndarray, units: tuple[int, ...], batch_size: int, backend: str, count: int
) -> list[float]:
    """Return the seconds of all epochs but the first."""
    history = model_of(units, backend).fit(
        x, y, optimizer="sgd", learning_rate=0.01, epochs=count, batch_size=batch_size, verbose=0
    )
    if history.runner == "plain":
        raise RuntimeError(f"fit took the plain runner on {backend}")
    return [float(seconds) for seconds in history["seconds"][1:]]
