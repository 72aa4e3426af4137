"""A fixed change of units, so that a model can take raw data."""

from __future__ import annotations

from typing import Any

from accelnn.arrays.typing import Array
from accelnn.errors import invalid
from accelnn.network.arguments import number
from accelnn.network.layers.base import ForwardContext, Layer
from accelnn.signatures import by_signature


@by_signature
class Rescaling(Layer):
    """``y = x * scale + offset``, e.g. ``Rescaling(1 / 255)`` in front of a model that takes uint8 pixels.

    scale: finite number, not 0 (``ArgumentError``). offset: finite number.
    name: unique name in the network; None makes one up. Nothing is trained.
    """

    def __init__(self, scale: float, offset: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.scale = number("scale", scale)
        if self.scale == 0.0:
            raise invalid("scale", scale, "use a number other than 0, which would erase the input")
        self.offset = number("offset", offset)

    def forward(self, x: Array, context: ForwardContext) -> Array:
        """Return ``x * scale + offset``."""
        return x * self.scale + self.offset

    def backward(self, dy: Array) -> Array:
        """Return ``dx = dy * scale``."""
        return dy * self.scale

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"scale": self.scale, "offset": self.offset}
