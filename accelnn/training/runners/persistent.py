"""Training steps of small networks in one launch: the blocks of a persistent kernel stay from step to step.

Of a captured step of a small network most is waiting: each node of the graph begins when the last thread of the one
before is done. The persistent kernel has two barriers in a step instead of 2 L + 2 nodes for L layers, see
:mod:`accelnn_kernels.cuda.persistent`. Nothing of this was measured yet: the limits below are predictions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from accelnn_kernels import tables
from accelnn_kernels.cuda import persistent_shapes
from accelnn_kernels.cuda.persistent_catalog import persistent_kernel
from accelnn_kernels.cuda.shapes import WIDE_BYTES
from accelnn_kernels.optimizers import N_HYPER

from accelnn.arrays.typing import Array
from accelnn.errors import BackendError
from accelnn.training.runners import step
from accelnn.training.runners.device_net import DeviceNet, Inputs

MAX_ROWS = persistent_shapes.MAX_ROWS
"""Rows of a batch up to which the launches are what a step waits for. The kernel has no room for more."""

MAX_INNER_WEIGHTS = 1 << 15
"""Weights behind the first layer: a block reads all of them for its rows, 128 KiB, which takes about 2 us each way."""

STEPS_OF_A_LAUNCH = 512
"""A launch costs the host some 10 us, and so many steps the device some milliseconds."""


def why_not_persistent(net: DeviceNet) -> str | None:
    """Return why a net's steps are nothing for the persistent kernel, None if they are."""
    assert net.updates is not None
    hidden = {net.memory.variant(layer.forward) for layer in net.layers[:-1]} if net.fused else set()
    most_rows = min(MAX_ROWS, persistent_shapes.MAX_ROWS)
    objections = {
        "its layers are not all small and dense": not net.fused,
        f"it has {len(net.layers)} layers": len(net.layers) > persistent_shapes.MAX_LAYERS,
        "its hidden layers have different activations": len(hidden) > 1,
        f"a batch has more than {most_rows} rows": net.rows > most_rows,
        "its inner layers are large": _inner_weights(net) > MAX_INNER_WEIGHTS,
        "the norm of the gradients is clipped": net.updates.clip_norm > 0.0,
    }
    return next((text for text, is_so in objections.items() if is_so), None)


def _inner_weights(net: DeviceNet) -> int:
    return sum(layer.n_in * layer.n_out for layer in net.layers[1:])


class PersistentSteps:
    """Starts training steps of a net in launches of the persistent kernel; see :class:`.captured.Steps`.

    Raises BackendError where the device cannot do it.
    """

    def __init__(self, net: DeviceNet) -> None:
        self._net, self.device = net, net.device
        hidden, output = (net.memory.variant(net.layers[i].forward) for i in (0, -1))
        assert net.targets is not None
        assert net.updates is not None
        variant = f"{hidden}.{output}.{net.targets.variant}.{net.updates.name}.{net.inputs.dtype}"
        self._kernel = persistent_kernel(step.train_step, variant, net.element)
        most_threads = persistent_shapes.threads(net.element, hidden)
        self._most_blocks, self._threads = self.device.cooperative_shape(most_threads)
        if self._most_blocks == 0:
            raise BackendError("the device has no cooperative launches")
        self._sizes = [persistent_shapes.Layer(layer.n_in, layer.n_out) for layer in net.layers]
        if not persistent_shapes.find_room(self._sizes, net.rows, self._most_blocks, net.element):
            raise BackendError("its units do not find room in the shared memory of the blocks")
        self._tables: dict[int, tuple[Array, Array, int]] = {}
        self._exchanged = [self._place_units(layer) for layer in self._sizes]
        lanes = persistent_shapes.lanes(self._sizes, net.rows, self._threads)
        self._slabs = self.device.zeros(persistent_shapes.slab_elements(self._sizes, lanes, net.rows), net.memory.dtype)
        self._parts = self.device.zeros(STEPS_OF_A_LAUNCH * self._most_blocks, net.memory.dtype)
        self._counters = self.device.zeros(2, np.int64)
        self._launch(net.inputs, net.rows, (0, 0), 0)  # loads the kernel, and shows whether it can be launched
        self.device.synchronize()

    def start(self, inputs: Inputs, rows: int, place: tuple[int, int], n_steps: int) -> None:
        """Launch the kernel, once for so many steps."""
        slot, row = place
        for first in range(0, n_steps, STEPS_OF_A_LAUNCH):
            count = min(STEPS_OF_A_LAUNCH, n_steps - first)
            self._launch(inputs, rows, (slot + first, row + first * rows), count)

    def _launch(self, inputs: Inputs, rows: int, place: tuple[int, int], n_steps: int) -> None:
        net, (slot, row) = self._net, place
        program, u, itemsize = net.program, net.updates, net.memory.dtype.itemsize
        assert u is not None
        integers, reals, blocks = self._table(rows)
        counters = self.device.address(self._counters)
        layers = (self.device.address(integers), self.device.address(reals), len(net.layers))
        source = (inputs.x, inputs.stride, inputs.indices + 8 * row, rows, program.scale, program.offset)
        share = rows if net.penalty_per_row else 1
        is_limited = any(p.l1 or p.l2 for p in net.parameters) or np.isfinite(u.clip_value)
        arena = (u.values, *u.moments, u.hyper + slot * N_HYPER * itemsize, share, u.clip_value, int(is_limited))
        scratch = (self.device.address(self._parts), counters, counters + 8)
        of_rows = (_loss_bits(program.n_out, self._threads), *source, self.device.address(self._slabs))
        arguments = (*layers, *of_rows, *self._of_targets(rows, row), *arena, n_steps, *scratch)
        result = net.losses + slot * itemsize
        self.device.launch(self._kernel, (*arguments, result, blocks, self._threads), cooperative=True)

    def _of_targets(self, rows: int, row: int) -> tuple[float, ...]:
        t = self._net.targets
        assert t is not None
        by_weights = t.is_mean and t.weights != 0
        factor = t.scale / rows if t.is_mean and not by_weights else t.scale
        return t.indices + 8 * row, t.targets, t.weights, factor, int(by_weights)

    def _table(self, rows: int) -> tuple[Array, Array, int]:
        """Return the tables of the layers on the device, for batches of so many rows, and the number of blocks."""
        if rows not in self._tables:
            lanes = persistent_shapes.lanes(self._sizes, rows, self._threads)
            records = [
                vars(layer) | _of_weight(layer) | self._bias(layer) | exchanged | own
                for layer, exchanged, own in zip(self._net.layers, self._addresses(), lanes, strict=True)
            ]
            integers = [record[name] for record in records for name in persistent_shapes.INTEGERS]
            reals = [penalty for layer in self._net.layers for penalty in self._penalties(layer)]
            blocks = min(self._most_blocks, persistent_shapes.useful_blocks(self._sizes, lanes, rows))
            self._tables[rows] = self._placed(integers, np.int64), self._placed(reals, self._net.memory.dtype), blocks
        return self._tables[rows]

    def _place_units(self, layer: persistent_shapes.Layer) -> tuple[Array, Array]:
        """Return room for a layer's outputs and its dz, in fours; behind the last output stands a 1."""
        n_quads, fours = persistent_shapes.quads(self._net.rows), persistent_shapes.fours(layer.n_out)
        outputs = np.zeros((n_quads, 4, fours // 4, 4))
        outputs[:, layer.n_out % 4, layer.n_out // 4] = 1.0
        dtype = self._net.memory.dtype
        return self._placed(outputs.reshape(-1), dtype), self.device.zeros(outputs.size, dtype)

    def _addresses(self) -> list[dict[str, int]]:
        return [{"a": self.device.address(a), "d": self.device.address(d)} for a, d in self._exchanged]

    def _bias(self, layer: Any) -> dict[str, int]:
        is_own = any(p.values == layer.bias for p in self._net.parameters if p.kind == tables.PARTS)
        return {"own_bias": layer.bias if is_own else 0}

    def _penalties(self, layer: Any) -> list[float]:
        """Return l1 and l2 of the weight, then of the bias."""
        known = {p.values: (p.l1, p.l2) for p in self._net.parameters}
        return [*known[layer.weight], *known.get(layer.bias, (0.0, 0.0))]

    def _placed(self, values: Any, dtype: Any) -> Array:
        array = self.device.zeros(len(values), dtype)
        self.device.upload(array, np.array(values, dtype))
        return array


def _of_weight(layer: Any) -> dict[str, int]:
    return {"is_wide": int(layer.weight % WIDE_BYTES == layer.n_in % 4 == layer.n_out % 4 == 0)}


def _loss_bits(columns: int, threads: int) -> int:
    """Return the logarithm of the threads that share a row of outputs."""
    return int(min(columns, threads, 32) - 1).bit_length() if columns > 1 else 0
