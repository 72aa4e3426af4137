"""The base class of all layers, yours included."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelnn.arrays.ops import PlainOps
from accelnn.arrays.typing import Array, Namespace
from accelnn.errors import ArgumentError, invalid
from accelnn.habits import OF_LAYERS, AnswersHabits
from accelnn.network.activations import resolve_activation
from accelnn.network.arguments import integer, number, text
from accelnn.network.initializers import Constant, InitializerSpec, Shape, resolve_initializer
from accelnn.network.parameters import Parameter, Variable
from accelnn.signatures import by_signature


@dataclass(frozen=True, slots=True)
class ForwardContext:
    """What a layer may want to know in its forward pass.

    training: True in a training step, False for predictions.
    ops: the operations of the backend (bias and activation in one step, normalisation, dropout, ...).
    xp: the array module of the backend, e.g. ``numpy`` or ``cupy``.
    dropout_keys: host array (n_dropout, 2) of uint32, one key per dropout layer; None for predictions.
    """

    training: bool
    ops: PlainOps
    xp: Namespace
    dropout_keys: np.ndarray | None = None


@by_signature
class Layer(AnswersHabits, ABC):
    """One step of a network: ``forward`` computes it, ``backward`` takes the gradient back through it.

    To write your own layer, derive from this class and define

    * ``build(n_in)``, if the layer has parameters or changes the width: declare the parameters and return
      the number of outputs. Without it a layer has no parameters and as many outputs as inputs.
    * ``forward(x, context)``: return the output ``y (batch, n_out)`` for the input ``x (batch, n_in)``, and
      remember what ``backward`` will need.
    * ``backward(dy)``: given ``dy``, the gradient of the loss with respect to ``y``, assign the gradient of
      each parameter and return ``dx``, the gradient with respect to ``x``.

    A parameter declared as ``"W"`` is the attribute ``self.W``, its gradient is ``self.dW``. Both are views
    into the buffers of the network: write into the gradient, ``self.dW[...] = ...``, do not replace it.
    ``x``, ``y``, ``dx``, ``dy`` and the parameters have the dtype of the model and belong to the array module
    ``context.xp``. Do not modify ``x`` or ``dy``: other layers use them too.

    A layer that multiplies every input by a trained factor:

    >>> from accelnn.network import Dense, Layer, Network
    >>> class Scale(Layer):
    ...     def build(self, n_in):
    ...         self.add_parameter("s", (n_in,), "ones")
    ...         return n_in
    ...     def forward(self, x, context):
    ...         self.x, self.xp = x, context.xp
    ...         return x * self.s
    ...     def backward(self, dy):
    ...         self.ds[...] = self.xp.sum(dy * self.x, axis=0)  # y = x s, so dL/ds = sum of dL/dy x
    ...         return dy * self.s  # and dL/dx = dL/dy s
    >>> Network([Dense(8, "relu"), Scale(), Dense(3, "softmax")], n_in=4, backend="cpu").count_parameters()
    75

    ``name`` is unique in a network, which makes one up where none is given. ``n_in`` and ``n_out`` are set
    when the network is built, and ``built`` is True from then on. ``parameters`` and ``states`` list what
    the layer declared. A layer belongs to one network.
    """

    name: str | None = None
    n_in: int = 0
    n_out: int = 0
    built: bool = False
    parameters: tuple[Parameter, ...] = ()
    states: tuple[Variable, ...] = ()
    _attributes_kept: frozenset[str] = frozenset()
    _elsewhere = OF_LAYERS

    def __init__(self, name: str | None = None) -> None:
        self.name = None if name is None else text("name", name)

    def build(self, n_in: int) -> int:
        """Declare parameters and states for ``n_in`` inputs and return the number of outputs."""
        return n_in

    @abstractmethod
    def forward(self, x: Array, context: ForwardContext) -> Array:
        """Return the output (batch, n_out) for the input ``x`` (batch, n_in)."""

    @abstractmethod
    def backward(self, dy: Array) -> Array:
        """Assign the parameters' gradients and return ``dx`` (batch, n_in) for ``dy`` (batch, n_out).

        Belongs to the last call of ``forward``.
        """

    def backward_parameters(self, dy: Array) -> None:
        """Assign the parameters' gradients only: all that is needed of the first layer with parameters.

        The base class calls ``backward``. Override it where ``dx`` is costly, as it is for `Dense`.
        """
        self.backward(dy)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, without ``name``, as values that JSON can hold.

        Saving a model needs it. A custom layer whose constructor takes arguments must override it.
        """
        return {}

    def add_parameter(
        self, name: str, shape: Shape, initializer: InitializerSpec, *, l1: float = 0.0, l2: float = 0.0
    ) -> None:
        """Declare a trained parameter; to be called in ``build``.

        After the build ``self.<name>`` and ``self.d<name>`` are arrays of ``shape``. ``initializer`` is
        whatever ``resolve_initializer`` takes; ``l1`` and ``l2`` are factors >= 0 of the penalties
        ``l1 * sum|p|`` and ``l2 / 2 * sum p^2``. Raises ``ArgumentError`` if a name is in use.
        """
        self._check_names_free(name, "d" + name)
        parameter = Parameter(name, _checked_shape(shape), resolve_initializer(initializer))
        parameter.l1, parameter.l2 = number("l1", l1, 0.0), number("l2", l2, 0.0)
        self.parameters = (*self.parameters, parameter)

    def add_state(self, name: str, shape: Shape, value: float = 0.0) -> None:
        """Declare an array that is saved with the model but not trained; to be called in ``build``.

        After the build ``self.<name>`` is an array of ``shape``, at first filled with ``value``. Update it
        in ``forward``, in place: ``self.<name>[...] = ...``. Raises ``ArgumentError`` if the name is in use.
        """
        self._check_names_free(name)
        self.states = (*self.states, Variable(name, _checked_shape(shape), Constant(value)))

    def attach(self, n_in: int) -> int:
        """Let the layer declare everything for ``n_in`` inputs and return ``n_out``; the network calls it."""
        self.parameters, self.states = (), ()
        self.n_in = n_in
        self.n_out = integer(f"the result of build() of layer {self.name}", self.build(n_in))
        for variable in self._declared():
            variable.layer_name = self.name or type(self).__name__
        self._attributes_kept = frozenset(self.__dict__)
        return self.n_out

    def bind(self) -> None:
        """Make the views into the arena attributes: ``W``, ``dW``, ...; the network calls it."""
        for name, view in self._views():
            setattr(self, name, view)
        self.built = True

    def check_views(self, *, to_train: bool) -> None:
        """Raise ArgumentError if an array is not the view any more that ``bind`` has set, or cannot be written to."""
        for name, view in self._views():
            if getattr(self, name) is not view:
                fix = f"write into the array that the model has made, layer.{name}[...] = values, or use set_weights"
                raise invalid(f"{name} of layer {self.name}", getattr(self, name), fix)
            if to_train and isinstance(view, np.ndarray) and not view.flags.writeable:
                raise ArgumentError(
                    f"{name} of layer {self.name} is read-only: training writes to all arrays of a layer"
                )

    def _views(self) -> Iterator[tuple[str, Array]]:
        for variable in self._declared():
            yield variable.name, variable.values
        for parameter in self.parameters:
            yield "d" + parameter.name, parameter.gradients

    @property
    def _implied(self) -> list[str]:
        """The arguments that say nothing: a name that the network made up."""
        return ["name"] if re.fullmatch(rf"{type(self).__name__.lower()}_\d+", self.name or "") else []

    def _declared(self) -> list[Variable]:
        return [*self.parameters, *self.states]

    def _check_names_free(self, *names: str) -> None:
        taken = {v.name for v in self._declared()} | {"d" + p.name for p in self.parameters}
        for name in names:
            in_use = name in taken or getattr(self, name, None) is not None
            if in_use or not text("name", name).isidentifier():
                raise invalid("name", name, f"use an identifier that {type(self).__name__} does not use yet")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the views, which a copy must not share, and what ``forward`` remembered."""
        if not self.built:
            return self.__dict__.copy()
        kept = self._attributes_kept | {"built", "_attributes_kept"}
        return {name: value for name, value in self.__dict__.items() if name in kept}


class ActivatedLayer(Layer):
    """A layer that ends in an activation, which can be left out.

    A loss such as cross_entropy is computed from the values before the activation, so the network calls
    its last layer with ``activate=False`` in training. ``backward`` belongs to the form last computed.
    """

    def __init__(self, activation: str, *, name: str | None = None) -> None:
        super().__init__(name)
        self.activation = resolve_activation(activation).name

    @abstractmethod
    def forward(self, x: Array, context: ForwardContext, activate: bool = True) -> Array:
        """Return the output (batch, n_out), or the values before its activation without ``activate``."""


def _checked_shape(shape: Shape) -> Shape:
    if not isinstance(shape, (tuple, list)) or not shape:
        raise invalid("shape", shape, "use a tuple of one or more sizes, e.g. (n_in,)")
    return tuple(integer("shape", size) for size in shape)
