"""An activation as a layer of its own."""

from __future__ import annotations

from typing import Any

from accelnn.arrays.typing import Array
from accelnn.network.layers.base import ActivatedLayer, ForwardContext
from accelnn.signatures import by_signature


@by_signature
class Activation(ActivatedLayer):
    """``a = activation(x)``, for a network that puts something between a `Dense` layer and its activation.

    activation: a name of `accelnn.network.activations.ACTIVATION_ENTRIES`; ``ArgumentError`` if unknown.
    name: unique name in the network; None makes one up.
    """

    def forward(self, x: Array, context: ForwardContext, activate: bool = True) -> Array:
        """Return ``a`` of the shape of ``x``, or ``x`` itself without ``activate``."""
        self._ops = context.ops
        self._active = activate
        if not activate:
            return x
        self._z, self._a = self._ops.bias_activation(x, None, self.activation)
        return self._a

    def backward(self, dy: Array) -> Array:
        """Return ``dx = dy * da/dx``."""
        if not self._active:
            return dy
        dx, _ = self._ops.activation_gradient(dy, self._z, self._a, self.activation)
        return dx

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"activation": self.activation}
