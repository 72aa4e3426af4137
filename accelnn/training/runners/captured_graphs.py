"""Training steps as CUDA graphs: recorded once for each number of rows and of steps, and replayed."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from accelnn.arrays.backend import Backend
from accelnn.arrays.cuda.device import Graph
from accelnn.arrays.typing import Array
from accelnn.training.runners import captured_operations, step
from accelnn.training.runners.device_net import DeviceNet, Inputs

STEPS_OF_GRAPHS = (16, 4, 1)
"""Steps that are recorded together: starting a graph costs the host about as much as the device needs for one step.

The smaller ones are for what is left of a chunk.
"""


def bind_steps(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of :mod:`accelnn.training.runners.step` whose operations are those of a device."""
    scope = dict(vars(captured_operations))
    scope["train_step"] = types.FunctionType(step.train_step.__code__, scope)
    return types.FunctionType(function.__code__, scope)


class GraphSteps:
    """Starts training steps of a net on a device by replaying graphs; see :class:`.captured.Steps`.

    changed: all arrays that a step changes. Raises BackendError if the step cannot be recorded.
    """

    def __init__(self, net: DeviceNet, backend: Backend, changed: Sequence[Array]) -> None:
        self._net, self._backend, self._changed = net, backend, changed
        self._graphs: dict[tuple[int, int, int], Graph] = {}
        self._record_steps = bind_steps(step.train_steps)
        self._graph(net.inputs, net.rows, 1)

    def start(self, inputs: Inputs, rows: int, place: tuple[int, int], n_steps: int) -> None:
        """Replay graphs; where they are in the tables, the cursor on the device says."""
        for together in STEPS_OF_GRAPHS:
            for _ in range(n_steps // together):
                self._graph(inputs, rows, together).replay()
            n_steps %= together

    def longest(self) -> tuple[Graph, int]:
        """Return the graph of the most rows and steps, and its number of steps."""
        key = max(self._graphs, key=lambda key: key[1:])
        return self._graphs[key], key[2]

    def _graph(self, inputs: Inputs, rows: int, n_steps: int) -> Graph:
        """Return the graph of ``n_steps`` steps of ``rows`` rows from these inputs; recorded at its first use."""
        key = inputs.x, rows, n_steps
        if key not in self._graphs:
            self._net.inputs, self._net.rows = inputs, rows
            if not any(known[:2] == key[:2] for known in self._graphs):
                self.run_once()
            self._graphs[key] = self._net.device.record(lambda: self._launch(n_steps))
        return self._graphs[key]

    def _launch(self, n_steps: int) -> None:
        self._record_steps(self._net, 0, n_steps, np.empty(n_steps))
        self._net.start("advance", "", self._net.cursor, n_steps, n_steps * self._net.rows)

    def run_once(self) -> None:
        """Run a step outside a graph, so that everything it needs is loaded, and undo what it did."""
        device = self._net.device
        device.synchronize()
        with self._backend.active():
            before = [array.copy() for array in self._changed]
        device.synchronize()
        self._launch(1)
        device.synchronize()
        with self._backend.active():
            for array, kept in zip(self._changed, before, strict=True):
                array[...] = kept
        device.synchronize()
        self._net.copy_parameters()
