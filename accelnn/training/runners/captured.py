"""The captured runner: steps are told to the device once, and then started for many mini-batches at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from accelnn_kernels.losses import MEAN_OVER_OUTPUTS
from accelnn_kernels.optimizers import N_HYPER

from accelnn.arrays.backend import RESIDENT_SHARE
from accelnn.arrays.cuda.device import Device, cuda_device
from accelnn.arrays.typing import Array
from accelnn.errors import BackendError
from accelnn.network.losses import resolve_loss
from accelnn.network.network import Network
from accelnn.training.data import TrainingData
from accelnn.training.objective import USUAL, Objective
from accelnn.training.optimizers import Optimizer
from accelnn.training.runners import step
from accelnn.training.runners.captured_graphs import GraphSteps, bind_steps
from accelnn.training.runners.device_data import place_rows
from accelnn.training.runners.device_memory import DeviceMemory
from accelnn.training.runners.device_net import DeviceNet, Inputs, Targets, Updates
from accelnn.training.runners.fused_layers import can_be_fused
from accelnn.training.runners.lowering import lower_into
from accelnn.training.runners.persistent import PersistentSteps, why_not_persistent
from accelnn.training.runners.precision import ELEMENTS

TABLE_STEPS = 4096
"""Steps whose hyperparameters, keys and losses have a place on the device; a longer chunk goes in several tables."""

logger = logging.getLogger("accelnn")


class Steps(Protocol):
    """Starts training steps whose tables, rows and weights lie on a device."""

    def start(self, inputs: Inputs, rows: int, place: tuple[int, int], n_steps: int) -> None:
        """Start ``n_steps`` steps of ``rows`` rows each; the host does not wait.

        place: where the first of them begins, its number in the tables and its first row of the epoch.
        """
        ...


class CapturedRunner:
    """Trains through CUDA graphs or a persistent kernel; see :class:`accelnn.training.runners.choice.Runner`.

    precision: of matrix products, see :mod:`.precision`. device: where the network's arena lies; by
    default that of its backend.

    Raises BackendError if the step cannot be recorded.
    """

    name = "captured"
    threads = 1

    def __init__(
        self, network: Network, data: TrainingData, loss: str, optimizer: Optimizer, moments: tuple[Array, ...],
        batch_size: int, *, precision: str = "float32", device: Device | None = None,
        objective: Objective = USUAL,
    ) -> None:  # fmt: skip
        penalized = any(parameter.l1 or parameter.l2 for parameter in network.arena.parameters)
        if objective.penalty_per_row and penalized and data.weights is not None:
            raise BackendError("penalties are not shared out over weighted rows in a graph")
        self._network, self._moments, self._batch_size = network, moments, batch_size
        self._objective = objective
        self.device = device or cuda_device(network.backend)
        self.device.synchronize()  # the weights come from another stream
        self._n_rows = len(data)
        self._kept: list[Array] = [data.x]
        self.meanwhile: Callable[[], None] | None = None  # see WaitingRunner
        self._place_tables()
        formula = resolve_loss(loss)
        free = int(RESIDENT_SHARE * self.device.free_bytes())
        self._rows = place_rows(self.device, data.x, self._order, batch_size, free)
        memory = DeviceMemory(self.device, network, batch_size, ELEMENTS[precision])
        program = lower_into(memory, network, training=True, scores=formula.fused_activation is not None)
        self.net = DeviceNet(
            self.device, program, precision, min(batch_size, self._n_rows), self._rows.inputs[0],
            cursor=self.device.address(self._cursor), keys=self.device.address(self._keys),
            n_dropout=network.n_dropout, losses=self.device.address(self._losses),
            targets=self._targets(data, loss), updates=self._updates(optimizer, memory),
            penalty_per_row=objective.penalty_per_row,
        )  # fmt: skip
        self.net.fused = can_be_fused(self.net)
        self.steps = self._choose_steps()

    def begin_epoch(self, permutation: np.ndarray) -> None:
        """Use ``permutation``, int64 (n_rows,), as the order of the rows from now on."""
        permutation = np.ascontiguousarray(permutation, np.int64)
        self._n_rows = len(permutation)
        self.device.upload(self._order, permutation)
        self._rows.begin_epoch(permutation)

    def train(self, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> np.ndarray:
        """Train on the mini-batches [first, last); return their losses, float64 (last - first,).

        The only waiting is for the losses of the table at its end.
        """
        self.device.synchronize()  # what callbacks did to the weights is done
        self.net.copy_parameters()
        losses = np.empty(last - first)
        for start in range(first, last, TABLE_STEPS):
            stop = min(last, start + TABLE_STEPS)
            part = slice(start - first, stop - first)
            self._fill_tables(start, hyper[part], dropout_keys[part])
            for piece in self._rows.pieces(start, stop):
                self._start_steps(piece.first, piece.last, start, piece.inputs)
            if stop == last and self.meanwhile is not None:
                self.meanwhile()
                self.meanwhile = None
            losses[part] = self.device.download(self._losses, stop - start)
        return losses

    def _choose_steps(self) -> Steps:
        """Return the persistent kernel where it can do the steps, else graphs."""
        reason = why_not_persistent(self.net)
        if reason is None:
            try:
                return PersistentSteps(self.net)
            except BackendError as error:
                reason = str(error)
        logger.debug("the steps are CUDA graphs, not a persistent kernel: %s", reason)
        arena = self._network.arena
        changed = [arena.values, arena.gradients, arena.state, *self._moments, self._cursor, self._losses]
        return GraphSteps(self.net, self._network.backend, changed)

    def _start_steps(self, first: int, last: int, table_start: int, inputs: Inputs) -> None:
        """Start the steps [first, last) of the epoch; a last, partial batch is a step of another shape."""
        n_full = max(0, min(last, self._n_rows // self._batch_size) - first)
        place = first - table_start, first * self._batch_size
        self.steps.start(inputs, self._batch_size, place, n_full)
        if first + n_full < last:
            place = place[0] + n_full, place[1] + n_full * self._batch_size
            self.steps.start(inputs, self._n_rows % self._batch_size, place, 1)

    def _place_tables(self) -> None:
        real, n_keys = self._network.dtype, 2 * self._network.n_dropout
        self._cursor = self.device.zeros(2, np.int64)
        self._hyper = self.device.zeros(TABLE_STEPS * N_HYPER, real)
        self._keys = self.device.zeros(max(1, TABLE_STEPS * n_keys), np.int64)
        self._losses = self.device.zeros(TABLE_STEPS, real)
        self._order = self.device.zeros(self._n_rows, np.int64)

    def _fill_tables(self, first: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> None:
        table = np.zeros((len(hyper), N_HYPER), self._network.dtype)
        table[:, : hyper.shape[1]] = hyper
        self.device.upload(self._hyper, table.reshape(-1))
        if dropout_keys.size:
            self.device.upload(self._keys, dropout_keys.astype(np.int64).reshape(-1))
        self.device.upload(self._cursor, np.array([0, first * self._batch_size]))

    def _targets(self, data: TrainingData, loss: str) -> Targets:
        formula = resolve_loss(loss)
        rows = loss == "cross_entropy" and not data.has_labels
        scale = self._objective.loss_scale / (self._network.n_out if loss in MEAN_OVER_OUTPUTS else 1)
        targets = self._placed(data.y)
        weights = 0 if data.weights is None else self._placed(data.weights.astype(self._network.dtype))
        variant = "cross_entropy_rows" if rows else loss
        order = self.device.address(self._order)
        return Targets(variant, targets, weights, order, scale, formula.reduction == "mean")

    def _placed(self, values: Array) -> int:
        """Return the address of an array's elements on the device; they are copied there if they are not."""
        if not self.device.holds(values):
            array = self.device.zeros(values.size, values.dtype)
            self.device.upload(array, np.ascontiguousarray(values).reshape(-1))
            values = array
        self._kept.append(values)
        return self.device.address(values)

    def _updates(self, optimizer: Optimizer, memory: DeviceMemory) -> Updates:
        arena = self._network.arena
        first, second = (*(self.device.address(moment) for moment in self._moments), 0, 0)[:2]
        return Updates(
            optimizer.update_name,
            self.device.address(arena.values),
            self.device.address(arena.gradients),
            (first, second),
            int(arena.values.shape[0]),
            self.device.address(self._hyper),
            optimizer.clip_norm or 0.0,
            optimizer.clip_value or np.inf,
        )


class CapturedPredictor:
    """Computes outputs on a CUDA device, a large batch at a time; see :class:`.choice.Predictor`."""

    name = "captured"

    def __init__(
        self, network: Network, x_dtype: str, batch_size: int, *, scores: bool, device: Device | None = None
    ) -> None:
        self._network, self._batch_size, self._x_dtype = network, batch_size, x_dtype
        self.device = device or cuda_device(network.backend)
        memory = DeviceMemory(self.device, network, batch_size, network.dtype)
        program = lower_into(memory, network, training=False, scores=scores)
        self._order = self.device.zeros(batch_size, np.int64)
        self.device.upload(self._order, np.arange(batch_size))
        self._net = DeviceNet(self.device, program, network.dtype, batch_size, Inputs(0, x_dtype, 0, 0))
        self._output = memory.array_at(program.output)
        self._predict_steps = bind_steps(step.predict_steps)

    def predict(self, x: Array) -> np.ndarray:
        """Return the outputs (n, n_out), on the host, for ``x (n, n_in)`` of the dtype given to the constructor."""
        output = np.empty((len(x), self._network.n_out), self._network.dtype)
        for first, rows in self._batches(x):
            values = self.device.download(self._output, rows * self._network.n_out)
            output[first : first + rows] = values.reshape(rows, -1)
        return output

    def predict_on_backend(self, x: Array) -> Array:
        """Return the same as an array on the device."""
        n_out, itemsize = self._network.n_out, self._net.memory.dtype.itemsize
        self.device.synchronize()  # the memory may be that of an earlier output, which another stream still reads
        output = self.device.zeros(len(x) * n_out, self._network.dtype)
        source, target = self.device.address(self._output), self.device.address(output)
        for first, rows in self._batches(x):
            self._net.start("copy", "", source, target + first * n_out * itemsize, rows * n_out)
        self.device.synchronize()  # whoever reads it does so on another stream
        return output.reshape(len(x), n_out)

    def _batches(self, x: Array) -> Iterator[tuple[int, int]]:
        """Start the work on one batch after the other, and yield its first row and its number of rows."""
        self.device.synchronize()  # weights and inputs come from other streams
        buffer = None if self.device.holds(x) else self.device.zeros(self._batch_size * x.shape[1], x.dtype)
        for first in range(0, len(x), self._batch_size):
            part = x[first : first + self._batch_size]
            self._net.inputs, self._net.rows = self._inputs(part, buffer), len(part)
            self._predict_steps(self._net, 0, 1)
            yield first, len(part)

    def _inputs(self, part: Array, buffer: Array | None) -> Inputs:
        """Return where the rows of a batch lie on the device; host rows are copied to ``buffer``."""
        order = self.device.address(self._order)
        if buffer is None:
            return Inputs(self.device.address(part), self._x_dtype, part.strides[0] // part.dtype.itemsize, order)
        self.device.upload(buffer, np.ascontiguousarray(part).reshape(-1))
        return Inputs(self.device.address(buffer), self._x_dtype, part.shape[1], order)
