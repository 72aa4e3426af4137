"""Lower a network to a program: the tables of kernels and buffers that the compiled runner works through.

Only layers that are known here can be lowered; a layer of the user's own cannot, and the runner is told why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from accelnn_kernels import tables
from accelnn_kernels.activations import KEEPS_Z
from accelnn_kernels.catalog import kernel

from accelnn.arrays.addresses import address_to_read, address_to_write
from accelnn.arrays.typing import Array
from accelnn.network.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Rescaling
from accelnn.network.layers.base import Layer
from accelnn.network.network import Network
from accelnn.network.parameters import Parameter, Variable

Fields: TypeAlias = dict[str, Any]
"""The fields of one record; those that are not named are 0."""

CACHE_LINE = 64


@dataclass
class Memory:
    """Where a program runs: gives out buffers for a batch, and keeps them alive as long as the program.

    This one is the host's; the numbers that it gives for arrays and kernels are addresses.
    dtype: of all buffers. batch_size: rows of a batch. threads: threads of the team.
    """

    dtype: np.dtype[Any]
    batch_size: int
    threads: int
    buffers: list[np.ndarray] = field(default_factory=list)

    def rows(self, columns: int) -> int:
        """Return the address of a new buffer (batch_size, columns)."""
        return self.new(self.batch_size * columns)

    def parts(self, columns: int) -> int:
        """Return the address of a new buffer (threads, columns)."""
        return self.new(self.threads * columns)

    def new(self, size: int, dtype: Any = None, value: float = 0.0) -> int:
        """Return the address of ``size`` new elements with this value, at the beginning of a cache line."""
        dtype = np.dtype(dtype or self.dtype)
        raw = np.zeros(size * dtype.itemsize + CACHE_LINE, np.uint8)
        self.buffers.append(raw)
        address = address_to_write("a buffer", raw, np.uint8)
        start = -address % CACHE_LINE
        if value != 0.0:
            raw[start : start + size * dtype.itemsize].view(dtype)[:] = value
        return address + start

    def kernel(self, kind: str, variant: str) -> int:
        """Return the number by which records name a kernel."""
        return kernel(kind, variant, self.dtype.name).address

    def address(self, array: Array) -> int:
        """Return the address of a parameter, which is read."""
        return address_to_read(array)

    def written(self, variable: Variable, array: Array) -> int:
        """Return the address of the values or gradients of ``variable``, which are written to."""
        return address_to_write(f"{variable.name} of layer {variable.layer_name}", array, self.dtype, variable.size)

    def factor(self, weight: Array) -> int:
        """Return the address at which products read a weight."""
        return self.address(weight)

    def sums(self, gradient: Array | None, columns: int) -> int:
        """Return where kernels write the column sums that are a gradient; None: nobody wants them.

        Every thread has its own: they are added up when the parameter is updated.
        """
        return self.parts(columns)


@dataclass
class Program:
    """A lowered network.

    ``layers`` and ``parameters`` are arrays of records (see ``accelnn_kernels.tables``). ``x_batch`` is the address
    of the batch's inputs, ``output`` and ``d_output`` those of the last layer's output and of its gradient; the
    inputs are multiplied by ``scale`` and shifted by ``offset`` when they are gathered.

    ``bands``: each thread gathers a band of the inputs of all rows, and owns the rows of the first weight that belong
    to it; ``x_batch`` then is 0. Thread i has the inputs from ``bands[i]`` to ``bands[i + 1]``.
    """

    memory: Memory
    n_in: int
    n_out: int
    x_batch: int = 0
    output: int = 0
    d_output: int = 0
    scale: float = 1.0
    offset: float = 0.0
    layers: np.ndarray = field(default_factory=lambda: np.zeros(0, tables.LAYER))
    parameters: np.ndarray = field(default_factory=lambda: np.zeros(0, tables.PARAMETER))
    bands: np.ndarray | None = None


def lower(
    network: Network, batch_size: int, threads: int, *, training: bool, scores: bool, banded: bool = False
) -> Program:
    """Return the program of ``network`` for the host and batches of up to ``batch_size`` rows.

    ``scores``: leave out the output activation. ``banded``: share out the inputs in bands. The network must be one for
    which ``why_not_lowerable`` is None and, for bands, ``first_weight_shape`` is not.
    """
    memory = Memory(np.dtype(network.dtype), batch_size, threads)
    return lower_into(memory, network, training=training, scores=scores, banded=banded)


def lower_into(memory: Memory, network: Network, *, training: bool, scores: bool, banded: bool = False) -> Program:
    """Return the program of ``network`` with its buffers in ``memory``; see ``lower``."""
    program = Program(memory, network.n_in, network.n_out)
    layers = _without_idle_layers(network.layers, training)
    if layers and isinstance(layers[0], Rescaling):
        program.scale, program.offset = layers[0].scale, layers[0].offset
        layers = layers[1:]
    if not banded:
        program.x_batch = memory.rows(network.n_in)
    _lower_layers(program, layers, training, network.layers[-1] if scores else None)
    if banded:
        _share_out_inputs(program)
    return program


def first_weight_shape(network: Network) -> tuple[int, int] | None:
    """Return (n_in, n_out) of the dense layer that the inputs go into just as they are, None if there is none."""
    layers = _without_idle_layers(network.layers, training=True)
    first = layers[1:] if layers and isinstance(layers[0], Rescaling) else layers
    return (first[0].n_in, first[0].n_out) if first and type(first[0]) is Dense else None


def _share_out_inputs(program: Program) -> None:
    memory, first = program.memory, program.layers[0]
    program.bands = program.n_in * np.arange(memory.threads + 1) // memory.threads
    first["kind"] = tables.BANDED_DENSE
    first["parts"] = memory.parts(memory.batch_size * int(first["n_out"]))
    program.parameters["banded"][0] = 1


def why_not_lowerable(network: Network) -> str | None:
    """Return which layer has no compiled form, None if all have one.

    Only layers of exactly the known classes have: a derived class may have another ``forward``.
    """
    for layer in network.layers:
        if type(layer) not in _LOWERINGS:
            return f"layer {layer.name!r} of class {type(layer).__name__} has no compiled form"
    return None


def _without_idle_layers(layers: Sequence[Layer], training: bool) -> list[Layer]:
    """Leave out dropout where it does nothing."""
    return [layer for layer in layers if not (isinstance(layer, Dropout) and (not training or layer.rate == 0.0))]


def _lower_layers(program: Program, layers: Sequence[Layer], training: bool, silent: Layer | None) -> None:
    records: list[Fields] = []
    parameters: list[Fields] = []
    x, d_x = program.x_batch, 0
    for layer, activation in _with_activations(layers, silent):
        lowered = _LOWERINGS[type(layer)](layer, program.memory, activation, training)
        trained_below = bool(parameters)
        d_output = program.memory.rows(layer.n_out) if training else 0
        lowered |= {
            "n_in": layer.n_in,
            "n_out": layer.n_out,
            "x": x,
            "dx": d_x if trained_below else 0,
            "da": d_output,
        }
        records.append(lowered)
        if training:
            parameters.extend(_parameter_fields(layer, lowered, program.memory))
        x, d_x = lowered["a"], d_output
    if training and not records:  # the loss writes its gradient, though there is no layer to read it
        d_x = program.memory.rows(program.n_out)
    program.output, program.d_output = x, d_x
    program.layers = _records(tables.LAYER, records)
    program.parameters = _records(tables.PARAMETER, parameters)


def _with_activations(layers: Sequence[Layer], silent: Layer | None) -> list[tuple[Layer, str]]:
    """Pair each layer with the activation to apply; a dense layer takes over that of an Activation behind it.

    ``silent`` is the layer whose activation is left out, if there is one.
    """
    pairs: list[tuple[Layer, str]] = []
    for layer in layers:
        activation = "identity" if layer is silent else getattr(layer, "activation", "identity")
        if isinstance(layer, Activation) and pairs and isinstance(pairs[-1][0], Dense) and pairs[-1][1] == "identity":
            pairs[-1] = (pairs[-1][0], activation)
        else:
            pairs.append((layer, activation))
    return pairs


Lowering: TypeAlias = Callable[[Any, Memory, str, bool], Fields]


def _activation_fields(memory: Memory, n: int, activation: str, d_bias: Array | None = None) -> Fields:
    a = memory.rows(n)
    return {
        "z": memory.rows(n) if activation in KEEPS_Z else a,
        "a": a,
        "forward": memory.kernel("bias_activation", activation),
        "backward": memory.kernel("activation_gradient", activation),
        "bias_parts": memory.sums(d_bias, n),
    }


def _dense(layer: Dense, memory: Memory, activation: str, training: bool) -> Fields:
    bias = memory.address(layer.b) if layer.use_bias else memory.new(layer.n_out)
    d_bias = layer.db if layer.use_bias else None
    return _activation_fields(memory, layer.n_out, activation, d_bias) | {
        "kind": tables.DENSE,
        "weight": memory.factor(layer.W),
        "bias": bias,
    }


def _activation(layer: Activation, memory: Memory, activation: str, training: bool) -> Fields:
    fields = _activation_fields(memory, layer.n_out, activation)
    return fields | {"kind": tables.ACTIVATION, "bias": memory.new(layer.n_out)}


def _dropout(layer: Dropout, memory: Memory, activation: str, training: bool) -> Fields:
    return {
        "kind": tables.DROPOUT,
        "a": memory.rows(layer.n_out),
        "rate": layer.rate,
        "dropout_index": layer.index,
    }


def _normalization(layer: BatchNorm | LayerNorm, memory: Memory) -> Fields:
    return {
        "a": memory.rows(layer.n_out),
        "weight": memory.address(layer.gamma),
        "bias": memory.address(layer.beta),
        "weight_parts": memory.sums(layer.dgamma, layer.n_out),
        "bias_parts": memory.sums(layer.dbeta, layer.n_out),
        "epsilon": layer.epsilon,
    }


def _batch_norm(layer: BatchNorm, memory: Memory, activation: str, training: bool) -> Fields:
    scratch = {name: memory.parts(layer.n_out) for name in ("mean", "variance", "inverse", "parts")}
    place = memory.written if training else lambda state, values: memory.address(values)
    mean, variance = (place(state, state.values) for state in layer.states)
    return _normalization(layer, memory) | scratch | {
        "kind": tables.BATCH_NORM if training else tables.BATCH_NORM_INFERENCE,
        "running_mean": mean,
        "running_variance": variance,
        "momentum": layer.momentum,
    }  # fmt: skip


def _layer_norm(layer: LayerNorm, memory: Memory, activation: str, training: bool) -> Fields:
    scratch = memory.rows(layer.n_out) if training else 0
    return _normalization(layer, memory) | {"kind": tables.LAYER_NORM, "z": scratch}


def _rescaling(layer: Rescaling, memory: Memory, activation: str, training: bool) -> Fields:
    return {
        "kind": tables.RESCALING,
        "a": memory.rows(layer.n_out),
        "scale": layer.scale,
        "offset": layer.offset,
    }


_LOWERINGS: dict[type[Layer], Lowering] = {
    Dense: _dense,
    Activation: _activation,
    Dropout: _dropout,
    BatchNorm: _batch_norm,
    LayerNorm: _layer_norm,
    Rescaling: _rescaling,
}


def _parameter_fields(layer: Layer, lowered: Fields, memory: Memory) -> list[Fields]:
    """Describe the layer's parameters, in arena order, to the update."""
    return [_one_parameter(parameter, lowered, memory) for parameter in layer.parameters]


def _one_parameter(parameter: Parameter, lowered: Fields, memory: Memory) -> Fields:
    rows, columns = parameter.shape if len(parameter.shape) == 2 else (1, parameter.size)
    is_weight = parameter.name == "W"
    return {
        "kind": tables.WEIGHT if is_weight else tables.PARTS,
        "rows": rows,
        "columns": columns,
        "values": memory.written(parameter, parameter.values),
        "gradients": memory.written(parameter, parameter.gradients),
        "x": lowered["x"] if is_weight else 0,
        "dz": lowered["da"] if is_weight else 0,
        "parts": lowered["weight_parts"] if parameter.name == "gamma" else lowered["bias_parts"],
        "l1": parameter.l1,
        "l2": parameter.l2,
    }


def _records(dtype: np.dtype[Any], rows: Sequence[Fields]) -> np.ndarray:
    records = np.zeros(len(rows), dtype)
    for index, fields in enumerate(rows):
        for name, value in fields.items():
            records[name][index] = value
    return records


_KERNELS_OF_LAYERS = {
    tables.DENSE: "matmul matmul_transposed",
    tables.BANDED_DENSE: "matmul add_parts",
    tables.ACTIVATION: "copy",
    tables.DROPOUT: "dropout",
    tables.BATCH_NORM: (
        "column_sums column_squares inverse_deviation running_average batch_norm batch_norm_sums batch_norm_gradient "
        "add_parts scale"
    ),
    tables.BATCH_NORM_INFERENCE: "inverse_deviation batch_norm",
    tables.LAYER_NORM: "layer_norm layer_norm_gradient",
    tables.RESCALING: "rescaling",
}


def layer_kernels(program: Program) -> set[str]:
    """Return the names of the kernels that the layers of a program call, besides those in their records."""
    return {name for kind in program.layers["kind"] for name in _KERNELS_OF_LAYERS[int(kind)].split()}
