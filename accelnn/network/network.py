"""A stack of layers with one arena for their numbers: the forward and the backward pass."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from accelnn.arrays.backend import Backend, get_backend
from accelnn.arrays.namespace import namespace
from accelnn.arrays.ops import PlainOps
from accelnn.arrays.typing import Array, DTypeName
from accelnn.errors import NotBuiltError, ShapeError, unknown_name, wrong_type
from accelnn.habits import OF_MODELS, AnswersHabits
from accelnn.network.arguments import host_array, integer
from accelnn.network.assembly import (
    attach_layers,
    checked_layers,
    declared_variables,
    each_dropout,
    output_activation,
)
from accelnn.network.layers.base import ActivatedLayer, ForwardContext, Layer
from accelnn.network.layers.dense import Dense
from accelnn.network.parameters import Arena, split
from accelnn.network.summary import summary_table
from accelnn.signatures import answering

DTYPES: tuple[DTypeName, ...] = ("float32", "float64")


class Network(AnswersHabits):
    """Layers one after the other, from ``(batch, n_in)`` to ``(batch, n_out)``.

    layers: one `Layer` or more; a layer belongs to one network.
    n_in: number of inputs, >= 1; None leaves it open until ``build``.
    dtype: "float32" or "float64", of all parameters and of all arrays inside the network.
    backend: "cpu", "cuda", "cuda:N", "auto", or a `Backend`.
    seed: integer >= 0; the same seed gives the same weights, shuffling and dropout on every backend.
        None takes a new one from the operating system.

    ``shuffle_rng`` (host generator), ``dropout_seed`` (integer below 2**63) and ``steps_trained`` (which numbers the
    dropout masks) are for the training loop.
    ``arena`` holds the parameters, see `accelnn.network.parameters.Arena`. ``feature_names`` are those of the
    inputs, in order, if it was trained on a data frame whose columns have text as names; else None.

    Raises ``ArgumentError`` or ``ArgumentTypeError`` for an argument that cannot be used, ``BackendError``
    for a backend that is not usable.
    """

    arena: Arena
    stop_training: bool = False
    """Set to True by a callback, or by another thread, it stops the training in progress, as in Keras."""
    feature_names: tuple[str, ...] | None = None
    _elsewhere = OF_MODELS

    @answering
    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        n_in: int | None = None,
        dtype: DTypeName = "float32",
        backend: str | Backend = "auto",
        seed: int | None = None,
    ) -> None:
        self.dtype = _dtype_name(dtype)
        self.seed = None if seed is None else integer("seed", seed, minimum=0)
        self.backend = get_backend(backend)
        self.layers = checked_layers(layers)
        self.built = False
        self.steps_trained = 0
        self._output_shape: tuple[int, ...] | None = None
        self._split_seed()
        if n_in is not None:
            self.build(n_in)

    def build(self, n_in: int) -> None:
        """Make the parameters for ``n_in`` inputs and draw their first values.

        Does nothing if the network is already built for ``n_in``; ``ShapeError`` if for another number.
        """
        n_in = integer("n_in", n_in)
        if self.built:
            return self._check_same_inputs(n_in)
        arena = Arena(*attach_layers(self.layers, n_in), self.backend, self.dtype)
        arena.initialize(np.random.default_rng(self._weight_seed))
        return self._adopt(arena)

    @property
    def n_in(self) -> int:
        """The number of inputs; ``NotBuiltError`` before ``build``."""
        self._check_built()
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        """The number of outputs; ``NotBuiltError`` before ``build``."""
        self._check_built()
        return self.layers[-1].n_out

    @property
    def units(self) -> list[int]:
        """The widths ``[n_in, ..., n_out]``: the input, and each layer that is dense or changes the width."""
        self._check_built()
        wide = (layer for layer in self.layers if isinstance(layer, Dense) or layer.n_out != layer.n_in)
        return [self.n_in, *(layer.n_out for layer in wide)]

    @property
    def output_activation(self) -> str:
        """The name of the activation that the network ends in, "identity" if there is none."""
        return output_activation(self.layers)

    @property
    def n_dropout(self) -> int:
        """The number of dropout layers: how many keys a training step needs."""
        return len(list(each_dropout(self.layers)))

    def context(
        self,
        *,
        training: bool = False,
        dropout_keys: np.ndarray | None = None,
        ops: PlainOps | None = None,
    ) -> ForwardContext:
        """Return the context for ``forward``; ``dropout_keys`` (n_dropout, 2) uint32 on the host.

        ``ops`` is the implementation of the operations, by default the one of the backend.
        """
        return ForwardContext(training, ops or self.backend.ops, self.backend.xp, dropout_keys)

    @answering
    def forward(self, x: Array, context: ForwardContext, *, scores: bool = False) -> Array:
        """Return the output ``(batch, n_out)`` for ``x (batch, n_in)``, an array of the backend.

        ``x`` is converted to the model dtype if it has another one. ``scores=True`` leaves out the final
        activation, for a loss that contains it. Raises ``NotBuiltError`` before ``build``, ``ShapeError``
        for another number of columns, ``ArgumentTypeError`` for an array of another library.
        """
        y = self._checked_input(x)
        with self.backend.active():
            for layer in self.layers[:-1]:
                y = layer.forward(y, context)
            y = self._last_forward(y, context, scores)
        self._output_shape = y.shape
        return y

    @answering
    def backward(self, d_output: Array) -> Array:
        """Assign all gradients in the arena and return ``dx (batch, n_in)``.

        ``d_output (batch, n_out)`` is the gradient of the loss with respect to what the last ``forward``
        returned: to the scores if it was called with ``scores=True``. This is the chain rule, applied
        from the last layer to the first. Raises ``ShapeError`` if there is no such ``forward``.
        """
        dy = self._checked_gradient(d_output)
        with self.backend.active():
            for layer in reversed(self.layers):
                dy = layer.backward(dy)
        return dy

    def backward_parameters(self, d_output: Array) -> None:
        """Assign all gradients in the arena, as ``backward`` does, without computing ``dx``.

        Training needs no more, and the product for ``dx`` is often a third of the work of a wide first layer.
        """
        dy = self._checked_gradient(d_output)
        with self.backend.active():
            for layer in reversed(self.layers[self._first_trained + 1 :]):
                dy = layer.backward(dy)
            self.layers[self._first_trained].backward_parameters(dy)

    def get_weights(self) -> list[np.ndarray]:
        """Return host copies of all parameters in arena order (``W`` before ``b``), then of all states.

        States are numbers a model needs and does not train: the running statistics of `BatchNorm`.
        """
        self._check_built()
        values, state = self.arena.to_host()
        return split(values, self.arena.parameters) + split(state, self.arena.states)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Overwrite all parameters and states with host arrays, in the order of ``get_weights``.

        Raises ``ArgumentTypeError`` or ``ArgumentError`` for arrays that are not numbers or not finite,
        ``ShapeError`` for a wrong number of arrays or a wrong shape; the network is then unchanged.
        """
        values, state = (np.empty_like(flat) for flat in self._host_buffers())
        targets = split(values, self.arena.parameters) + split(state, self.arena.states)
        if not isinstance(weights, (Sequence, np.ndarray)):
            raise wrong_type("weights", weights, "use a list of arrays, as get_weights returns it")
        if len(weights) != len(targets):
            raise ShapeError(f"weights has {len(weights)} arrays: this network takes {len(targets)}")
        for i, (target, given) in enumerate(zip(targets, weights, strict=True)):
            target[...] = self._checked_weight(f"weights[{i}]", given, target.shape)
        self.arena.fill(values, state)

    def count_parameters(self) -> int:
        """Return the number of trained numbers."""
        self._check_built()
        return int(self.arena.values.shape[0])

    def check_arrays(self, *, to_train: bool) -> None:
        """Raise ArgumentError if an array of a layer has been replaced, or cannot be written to in training."""
        for layer in self.layers:
            layer.check_views(to_train=to_train)

    def summary(self) -> str:
        """Return a table of the layers with their output shapes and numbers of parameters."""
        footer = f"{self.count_parameters():,} parameters, {self.dtype}, on {self.backend.device}"
        n_state = int(self.arena.state.shape[0])
        more = f"; {n_state:,} more numbers not trained" if n_state else ""
        return summary_table(self.layers, footer + more)

    def __repr__(self) -> str:
        shape = "-".join(str(n) for n in self.units) if self.built else "not built"
        return f"<{type(self).__name__} {shape}, {self.dtype}, {self.backend.device}>"

    def __copy__(self) -> Self:
        """Return a copy with layers and arrays of its own: they look into one arena, and two models cannot share it."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle the flat buffers: copied views would no longer look into a common buffer."""
        state = {name: value for name, value in self.__dict__.items() if name not in ("arena", "_float")}
        buffers = self.arena.to_host() if self.built else None
        return state | {"_buffers": buffers, "_output_shape": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        buffers = state["_buffers"]
        self.__dict__.update({name: value for name, value in state.items() if name != "_buffers"})
        if buffers is not None:
            arena = Arena(*declared_variables(self.layers), self.backend, self.dtype)
            arena.fill(*buffers)
            self._adopt(arena)

    def _last_forward(self, y: Array, context: ForwardContext, scores: bool) -> Array:
        last = self.layers[-1]
        if scores and isinstance(last, ActivatedLayer):
            return last.forward(y, context, activate=False)
        return last.forward(y, context)

    def _split_seed(self) -> None:
        """Give weights, shuffling and dropout their own independent streams of random numbers."""
        self._weight_seed, shuffle_seed, dropout_seed = np.random.SeedSequence(self.seed).spawn(3)
        self.shuffle_rng = np.random.default_rng(shuffle_seed)
        self.dropout_seed = int(dropout_seed.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def _adopt(self, arena: Arena) -> None:
        self.arena = arena
        for layer in self.layers:
            layer.bind()
        trained = [i for i, layer in enumerate(self.layers) if layer.parameters]
        self._first_trained = trained[0] if trained else 0
        self._float = getattr(self.backend.xp, self.dtype)
        self.built = True

    def _check_built(self) -> None:
        if not self.built:
            raise NotBuiltError("the number of inputs is not known yet: call build(n_in) or fit first")

    def _check_same_inputs(self, n_in: int) -> None:
        if n_in != self.n_in:
            raise ShapeError(f"n_in is {n_in}: this network is built for {self.n_in}; make a new network")

    def _checked_input(self, x: Array) -> Array:
        n_in = self.n_in
        if namespace(x) is not self.backend.xp:
            raise wrong_type("x", x, "use network.backend.asarray(x), an array of the network's backend")
        if x.ndim != 2 or x.shape[1] != n_in:
            raise ShapeError(f"x has shape {tuple(x.shape)}: use an array of shape (batch, {n_in})")
        return x if x.dtype == self._float else self.backend.xp.astype(x, self._float)

    def _checked_gradient(self, d_output: Array) -> Array:
        if d_output.shape != self._output_shape:
            raise ShapeError(
                f"d_output has shape {tuple(d_output.shape)}: call forward first and use the shape "
                f"of its output, {self._output_shape}"
            )
        return d_output if d_output.dtype == self._float else self.backend.xp.astype(d_output, self._float)

    def _host_buffers(self) -> tuple[np.ndarray, np.ndarray]:
        self._check_built()
        return self.arena.to_host()

    def _checked_weight(self, argument: str, given: object, shape: tuple[int, ...]) -> np.ndarray:
        result = host_array(argument, given, self.dtype)
        if result.shape != shape:
            raise ShapeError(f"{argument} has shape {result.shape}: this network needs shape {shape}")
        return result


def _dtype_name(dtype: object) -> DTypeName:
    """Return the name of ``dtype``, which may also be a NumPy dtype or scalar type."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", None))
    for known in DTYPES:
        if name == known:
            return known
    raise unknown_name("dtype", dtype, DTYPES)
