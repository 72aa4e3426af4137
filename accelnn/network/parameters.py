"""The arena: all numbers of a network in three flat buffers, and the views of them that layers use.

One buffer for everything of a kind makes an optimizer step one kernel, a model file a few arrays, and
the exchange of gradients between machines one call. The layers see none of this: their ``W`` and ``dW``
are views, of the shape they asked for, into the flat buffers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelnn.arrays.backend import Backend
from accelnn.arrays.typing import Array, DTypeName
from accelnn.errors import ShapeError, invalid
from accelnn.network.arguments import host_array
from accelnn.network.initializers import Initializer, Shape

_MAX_ELEMENTS = 2**60
"""NumPy counts the bytes of an array in 64 bits."""


@dataclass(eq=False)
class Variable:
    """An array that a layer owns and training does not change by itself, e.g. a running mean.

    ``offset`` is its first element in the flat buffer, counted in elements; ``values`` is the view of
    ``shape`` that starts there, ``None`` before the network is built.
    """

    name: str
    shape: Shape
    initializer: Initializer
    layer_name: str = ""
    offset: int = 0
    values: Array = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def first_values(self, rng: np.random.Generator, dtype: DTypeName) -> np.ndarray:
        """Return the initializer's values, a host array of ``shape``; a wrong shape or NaN is an error."""
        where = f"initializer of {self.name} in layer {self.layer_name}"
        values = host_array(where, self.initializer(self.shape, rng, dtype), dtype)
        if values.shape != self.shape:
            raise ShapeError(f"{where} gave an array of shape {values.shape}: it needs shape {self.shape}")
        return values

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"values": None}  # a copied view would no longer look into the arena


@dataclass(eq=False)
class Parameter(Variable):
    """A trained array of a layer.

    ``gradients`` is the view of the gradient buffer at the same offset. ``l1`` and ``l2`` are the
    factors of the penalties ``l1 * sum|p|`` and ``l2 / 2 * sum p^2`` that training adds to the loss.
    """

    l1: float = 0.0
    l2: float = 0.0
    gradients: Array = None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"gradients": None}


class Arena:
    """The flat, contiguous, one-dimensional buffers of a network, all in the model dtype on its backend.

    ``values`` and ``gradients`` hold the parameters one after the other without gaps, in layer order and
    inside a layer in the order of declaration (W before b). ``state`` holds the variables that are not
    trained, in the same way. ``parameters`` and ``states`` describe what lies where; making the arena
    sets their ``offset`` and views. Everything is zero until ``initialize`` or ``fill``.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        states: Sequence[Variable],
        backend: Backend,
        dtype: DTypeName,
    ) -> None:
        self.parameters = tuple(parameters)
        self.states = tuple(states)
        self.backend = backend
        self.dtype = dtype
        self.values = self._zeros(_place(self.parameters))
        self.gradients = self._zeros(self.values.shape[0])
        self.state = self._zeros(_place(self.states))
        self._make_views()

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw all values from the initializers, in arena order, and set the gradients to zero."""
        values = [p.first_values(rng, self.dtype) for p in self.parameters]
        state = [s.first_values(rng, self.dtype) for s in self.states]
        self.fill(_joined(values, self.dtype), _joined(state, self.dtype))
        with self.backend.active():
            self.gradients[...] = 0.0

    def fill(self, values: np.ndarray, state: np.ndarray) -> None:
        """Overwrite the parameters and the state with flat host arrays of the buffers' lengths."""
        with self.backend.active():
            self.values[...] = self.backend.asarray(values)
            self.state[...] = self.backend.asarray(state)

    def to_host(self) -> tuple[np.ndarray, np.ndarray]:
        """Return host copies of ``values`` and ``state``, both flat."""
        return np.array(self.backend.to_host(self.values)), np.array(self.backend.to_host(self.state))

    def _zeros(self, n: int) -> Array:
        return self.backend.asarray(np.zeros(n, dtype=self.dtype))

    def _make_views(self) -> None:
        for parameter in self.parameters:
            parameter.values = self._view(self.values, parameter)
            parameter.gradients = self._view(self.gradients, parameter)
        for state in self.states:
            state.values = self._view(self.state, state)

    def _view(self, flat: Array, variable: Variable) -> Array:
        part = flat[variable.offset : variable.offset + variable.size]
        return self.backend.xp.reshape(part, variable.shape)


def split(flat: np.ndarray, variables: Sequence[Variable]) -> list[np.ndarray]:
    """Return the parts of a flat host array that belong to ``variables``, as views of their shapes."""
    return [flat[v.offset : v.offset + v.size].reshape(v.shape) for v in variables]


def _place(variables: Sequence[Variable]) -> int:
    """Give each variable its offset, one directly after the other, and return the total size."""
    end = 0
    for variable in variables:
        variable.offset = end
        end += variable.size
    if end > _MAX_ELEMENTS:
        raise invalid("the number of parameters", end, "use fewer units or fewer inputs, no machine has so much memory")
    return end


def _joined(arrays: Sequence[np.ndarray], dtype: DTypeName) -> np.ndarray:
    """Return the elements of all arrays as one flat array, which may be empty."""
    return np.concatenate([np.zeros(0, dtype=dtype), *(a.ravel() for a in arrays)]).astype(dtype, copy=False)
