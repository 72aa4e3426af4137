"""The compiled runner: mini-batch after mini-batch in one call, without the GIL, on a team of threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from accelnn_kernels import tables
from accelnn_kernels.catalog import kernel, program_loop
from accelnn_kernels.losses import MEAN_OVER_OUTPUTS
from accelnn_kernels.matmul import scratch_bytes
from accelnn_kernels.optimizers import N_HYPER
from accelnn_kernels.team import new_team_memory

from accelnn.arrays.addresses import address_to_read, address_to_write
from accelnn.network.losses import resolve_loss
from accelnn.network.network import Network
from accelnn.training.data import TrainingData
from accelnn.training.objective import USUAL, Objective
from accelnn.training.optimizers import Optimizer
from accelnn.training.pace import Pace
from accelnn.training.runners import step
from accelnn.training.runners.lowering import Fields, Program, first_weight_shape, layer_kernels, lower
from accelnn.training.runners.team import bands_pay, rows_of_a_block, run_together, team_size, yield_address


class CompiledNet(NamedTuple):
    """What compiled operations work on: the layers, the parameters, and one thread's frame (one record)."""

    layers: np.ndarray
    parameters: np.ndarray
    frame: np.ndarray


@cache
def _train_steps() -> Callable[..., None]:
    loop: Callable[..., None] = program_loop(step.train_steps, step.train_step)
    return loop


@cache
def _predict_steps() -> Callable[..., None]:
    loop: Callable[..., None] = program_loop(step.predict_steps)
    return loop


class Machine:
    """A program with the frames of its threads, ready to run."""

    def __init__(self, program: Program, kernels: Fields) -> None:
        self.program = program
        self.counters = new_team_memory()
        memory = program.memory
        self.frame = np.zeros(memory.threads, tables.FRAME)
        self.set(
            size=memory.threads,
            counters=address_to_write("the barrier", self.counters, np.int64),
            yield_address=yield_address(),
            batch_size=memory.batch_size,
            n_in=program.n_in,
            n_out=program.n_out,
            x_batch=program.x_batch,
            output=program.output,
            d_output=program.d_output,
            scale=program.scale,
            offset=program.offset,
            itemsize=memory.dtype.itemsize,
            gemm=kernel("gemm", "", memory.dtype.name).address,
            **kernels,
        )
        self.frame["rank"] = np.arange(memory.threads)
        if program.bands is not None:
            self._place_bands(program.bands)
        self.frame["scratch"] = [memory.new(scratch_bytes(), np.uint8) for _ in range(memory.threads)]
        self._nets = [self._net(rank) for rank in range(memory.threads)]

    def _place_bands(self, bands: np.ndarray) -> None:
        memory, widths = self.program.memory, np.diff(bands)
        block = rows_of_a_block(int(widths.max()) * memory.dtype.itemsize, memory.batch_size)
        self.set(banded=1, block=block)
        self.frame["band"], self.frame["n_in"] = bands[:-1], widths
        self.frame["x_batch"] = [memory.new(block * int(width)) for width in widths]

    def place_inputs(self, x: np.ndarray) -> None:
        """Use the rows of ``x (n, n_in)``; the elements of a row must be neighbours."""
        self.frame["x"] = address_to_read(x) + self.frame["band"] * x.itemsize
        self.set(x_stride=x.strides[0] // x.itemsize, n_rows=x.shape[0])

    def set(self, **fields: float) -> None:
        """Give fields of all frames a value."""
        for name, value in fields.items():
            self.frame[name] = value

    def run(self, function: Callable[..., None], first: int, last: int, *outputs: np.ndarray) -> None:
        """Call a compiled loop for the steps [first, last) on all threads; each gets its row of the outputs."""
        arguments = [(net, first, last, tuple(out[rank] for out in outputs)) for rank, net in enumerate(self._nets)]
        if len(arguments) == 1:
            function(*arguments[0])
        else:
            run_together(function, arguments, self.counters)

    def _net(self, rank: int) -> CompiledNet:
        return CompiledNet(self.program.layers, self.program.parameters, self.frame[rank : rank + 1])


class CompiledRunner:
    """Trains through a compiled program; see :class:`accelnn.training.runners.choice.Runner`."""

    name = "compiled"

    def __init__(
        self, network: Network, data: TrainingData, loss: str, optimizer: Optimizer, moments: tuple[Any, ...],
        batch_size: int, *, threads: int | None = None, objective: Objective = USUAL,
    ) -> None:  # fmt: skip
        formula = resolve_loss(loss)
        first_weight, scores = first_weight_shape(network), formula.fused_activation is not None
        steps = -(-len(data) // batch_size)
        size = limited_team_size(network, batch_size, threads, first_weight, steps)
        banded = bands_pay(first_weight, batch_size, size)
        program = lower(network, batch_size, size, training=True, scores=scores, banded=banded)
        self.machine = Machine(program, _training_kernels(program, data, loss, optimizer))
        self._keep = (network.arena, data, moments)  # a callback may change what the network has
        self._place_data(data, formula.reduction == "mean", loss, objective)
        self._place_optimizer(network, optimizer, moments)

    @property
    def threads(self) -> int:
        """The number of threads of the team."""
        return self.machine.program.memory.threads

    def begin_epoch(self, permutation: np.ndarray) -> None:
        """Use ``permutation``, int64 (n_rows,), as the order of the rows from now on."""
        self._permutation = np.ascontiguousarray(permutation, np.int64)
        self.machine.set(permutation=address_to_read(self._permutation), n_rows=permutation.size)

    def train(self, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> np.ndarray:
        """Train on the mini-batches [first, last); return their losses, float64 (last - first,).

        ``hyper (last - first, H)`` and ``dropout_keys (last - first, n_dropout, 2)`` have a row for each step.
        """
        table = np.zeros((last - first, N_HYPER))
        table[:, : hyper.shape[1]] = hyper
        keys = dropout_keys.astype(np.int64)
        self.machine.set(first_step=first, hyper=address_to_read(table), dropout_keys=address_to_read(keys))
        losses = np.zeros((self.threads, last - first))
        self.machine.run(_train_steps(), first, last, losses)
        total: np.ndarray = losses.sum(axis=0)
        return total

    def _place_data(self, data: TrainingData, mean_loss: bool, loss: str, objective: Objective) -> None:
        memory = self.machine.program.memory
        n_targets = 1 if data.has_labels else data.y.shape[1]
        element = np.int64 if data.has_labels else memory.dtype
        self.machine.place_inputs(data.x)
        self.machine.set(
            targets=address_to_read(data.y),
            n_targets=n_targets,
            labels=data.has_labels,
            target_batch=memory.new(memory.batch_size * n_targets, element),
            weights=0 if data.weights is None else address_to_read(data.weights),
            weight_batch=memory.new(memory.batch_size, np.float64, value=1.0),
            mean_loss=mean_loss,
            loss_scale=objective.loss_scale / (self.machine.program.n_out if loss in MEAN_OVER_OUTPUTS else 1),
            penalty_per_row=objective.penalty_per_row,
        )

    def _place_optimizer(self, network: Network, optimizer: Optimizer, moments: tuple[Any, ...]) -> None:
        parameters = self.machine.program.parameters
        memory = self.machine.program.memory
        arena = network.arena
        offsets = memory.dtype.itemsize * np.array([parameter.offset for parameter in arena.parameters], np.int64)
        for name, moment in zip(("moments_1", "moments_2"), moments, strict=False):
            what = f"{name} of the optimizer"
            parameters[name] = offsets + address_to_write(what, moment, memory.dtype, arena.values.size)
        self.machine.set(
            n_dropout=network.n_dropout,
            partial_sums=memory.new(8 * memory.threads, np.float64),
            penalized=is_penalized(parameters, optimizer),
            direct=is_direct(parameters, optimizer),
            clip_norm=optimizer.clip_norm or 0.0,
            clip_value=optimizer.clip_value or np.inf,
        )


def limited_team_size(
    network: Network,
    batch_size: int,
    threads: int | None,
    first_weight: tuple[int, int] | None = None,
    steps: int | None = None,
) -> int:
    """Return how many threads to use for a batch of so many rows, at most ``threads`` unless that is None.

    ``steps``: how many there are in a row, None if many.
    """
    size = team_size(multiplications(network) * batch_size, batch_size, first_weight, steps)
    return size if threads is None else min(size, threads)


def multiplications(network: Network) -> int:
    """Return the multiplications that one row costs in a training step: three products with every weight."""
    return 3 * sum(parameter.size for parameter in network.arena.parameters if len(parameter.shape) == 2)


def is_penalized(parameters: np.ndarray, optimizer: Optimizer) -> bool:
    """Return whether gradients are changed one by one before the step."""
    return bool(parameters["l1"].any() or parameters["l2"].any() or optimizer.clip_value is not None)


def is_direct(parameters: np.ndarray, optimizer: Optimizer) -> bool:
    """Return whether the step is plain gradient descent, which needs no gradients in memory."""
    plain = optimizer.update_name == "sgd" and optimizer.clip_norm is None
    return plain and not is_penalized(parameters, optimizer)


def _training_kernels(program: Program, data: TrainingData, loss: str, optimizer: Optimizer) -> Fields:
    """Return the fields of a frame that name the kernels of this training run; compiles those that are new."""
    names = layer_kernels(program) | {"weight_gradient", "add_parts"}
    if data.weights is not None:
        names |= {"gather_weights", "sum_weights"}
    if is_penalized(program.parameters, optimizer):
        names |= {"penalize"}
    if optimizer.clip_norm is not None:
        names |= {"sum_of_squares", "scale"}
    dtype = program.memory.dtype.name
    rows_loss = loss == "cross_entropy" and not data.has_labels
    return _addresses(names, dtype) | {
        "gather_rows": kernel("gather_rows", data.x.dtype.name, dtype).address,
        "gather_targets": (
            kernel("gather_labels", "", dtype) if data.has_labels else kernel("gather_rows", dtype, dtype)
        ).address,
        "loss": kernel("loss", "cross_entropy_rows" if rows_loss else loss, dtype).address,
        "update": kernel("update", optimizer.update_name, dtype).address,
    }


def _addresses(names: set[str], dtype: str) -> Fields:
    addresses = {name: kernel(name, "", dtype).address for name in sorted(names)}
    if "scale" in addresses:  # in a frame this name is the factor of the inputs
        addresses["scale_values"] = addresses.pop("scale")
    return addresses


FIRST_PREDICTIONS = 10**9
"""Multiplications, counted as those of a training step, of the first chunk: a small part of a second on any machine."""


class CompiledPredictor:
    """Computes outputs through a compiled program."""

    name = "compiled"

    def __init__(
        self,
        network: Network,
        x_dtype: str,
        batch_size: int,
        *,
        scores: bool,
        threads: int | None = None,
        steps: int | None = None,
    ) -> None:
        size = limited_team_size(network, batch_size, threads, steps=steps)
        program = lower(network, batch_size, size, training=False, scores=scores)
        dtype = program.memory.dtype.name
        gather = {"gather_rows": kernel("gather_rows", x_dtype, dtype).address}
        self.machine = Machine(program, _addresses(layer_kernels(program) | {"copy"}, dtype) | gather)
        self._keep = network
        self._first_steps = max(1, FIRST_PREDICTIONS // max(1, multiplications(network) * batch_size))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (n, n_out) for ``x (n, n_in)`` of the dtype given to the constructor."""
        program = self.machine.program
        order = np.arange(len(x))
        output = np.empty((len(x), program.n_out), program.memory.dtype)
        self.machine.place_inputs(x)
        target = address_to_write("the output", output, program.memory.dtype, len(x) * program.n_out)
        self.machine.set(permutation=address_to_read(order), predictions=target)
        self._run(-(-len(x) // program.memory.batch_size))
        return output

    def _run(self, n_steps: int) -> None:
        """Compute all steps, in chunks: between two of them Ctrl-C is heard."""
        pace, first = Pace(self._first_steps), 0
        while first < n_steps:
            last, start_s = min(n_steps, first + pace.steps), time.perf_counter()
            self.machine.run(_predict_steps(), first, last)
            pace.record(last - first, time.perf_counter() - start_s)
            first = last

    def predict_on_backend(self, x: np.ndarray) -> np.ndarray:
        """Return the same: the backend is the CPU."""
        return self.predict(x)
