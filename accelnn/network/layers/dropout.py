"""Dropout."""

from __future__ import annotations

from typing import Any

from accelnn.arrays.typing import Array
from accelnn.errors import invalid
from accelnn.network.arguments import number
from accelnn.network.layers.base import ForwardContext, Layer
from accelnn.signatures import by_signature


@by_signature
class Dropout(Layer):
    """Set each input to 0 with probability ``rate`` in training and scale the rest by ``1 / (1 - rate)``.

    Predictions pass unchanged. The mask is a function of a key and the position in the batch, so it is not
    stored: ``backward`` computes it again.

    rate: probability in [0, 1); anything else is an ``ArgumentError``.
    name: unique name in the network; None makes one up.

    ``index`` is the layer's position among the dropout layers of its network, which selects its row of
    ``ForwardContext.dropout_keys``. Source: Srivastava et al. 2014, JMLR 15, in the inverted form.
    """

    def __init__(self, rate: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self.rate = number("rate", rate, minimum=0.0)
        if self.rate >= 1.0:
            raise invalid("rate", rate, "use a number in [0, 1)")
        self.index = 0

    def forward(self, x: Array, context: ForwardContext) -> Array:
        """Return ``x`` with some elements dropped in training, ``x`` itself otherwise."""
        self._ops = context.ops
        self._key = self._key_of(context) if context.training and self.rate > 0.0 else None
        return self._masked(x)

    def backward(self, dy: Array) -> Array:
        """Return ``dy`` with the same elements dropped and the same scale."""
        return self._masked(dy)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"rate": self.rate}

    def _masked(self, x: Array) -> Array:
        return x if self._key is None else self._ops.dropout(x, self.rate, self._key)

    def _key_of(self, context: ForwardContext) -> tuple[int, int]:
        if context.dropout_keys is None:
            raise invalid("dropout_keys", None, "training with dropout needs one key per dropout layer")
        low, high = context.dropout_keys[self.index]
        return int(low), int(high)
