"""Normalisation over the batch and over the features."""

from __future__ import annotations

from typing import Any

from accelnn.arrays.typing import Array
from accelnn.errors import invalid
from accelnn.network.arguments import number
from accelnn.network.layers.base import ForwardContext, Layer
from accelnn.signatures import by_signature


@by_signature
class BatchNorm(Layer):
    """Give each column mean 0 and variance 1 over the batch, then scale by ``gamma`` and shift by ``beta``.

    Training uses the statistics of the batch (the variance divides by the number of rows) and updates
    ``running = momentum * running + (1 - momentum) * batch``. Predictions use the running statistics. The variance of a
    single row is 0, so training on one is an error, and a batch size that would leave one at the end of the rows grows
    until it does not, with a warning.

    momentum: weight of the past in the running statistics, in [0, 1).
    epsilon: number > 0 added to the variance before its root.
    name: unique name in the network; None makes one up.

    Parameters ``gamma``, ``beta`` and states ``running_mean``, ``running_var`` have shape ``(n_in,)``.
    Raises ``ArgumentError`` for values outside these ranges. Source: Ioffe & Szegedy 2015, algorithm 1.
    """

    gamma: Array
    dgamma: Array
    beta: Array
    dbeta: Array
    running_mean: Array
    running_var: Array

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, *, name: str | None = None) -> None:
        super().__init__(name)
        self.momentum = number("momentum", momentum, minimum=0.0)
        if self.momentum >= 1.0:
            raise invalid("momentum", momentum, "use a number in [0, 1)")
        self.epsilon = _positive_epsilon(epsilon)

    def build(self, n_in: int) -> int:
        """Declare gamma, beta and the running statistics; return ``n_in``."""
        self.add_parameter("gamma", (n_in,), "ones")
        self.add_parameter("beta", (n_in,), "zeros")
        self.add_state("running_mean", (n_in,), 0.0)
        self.add_state("running_var", (n_in,), 1.0)
        return n_in

    def forward(self, x: Array, context: ForwardContext) -> Array:
        """Return the normalised ``x``; in training also update the running statistics."""
        self._x, self._context = x, context
        if not context.training:
            self._mean, self._var = self.running_mean, self.running_var
            return context.ops.batch_norm_inference(x, self._mean, self._var, self.gamma, self.beta, self.epsilon)
        y, self._mean, self._var = context.ops.batch_norm(x, self.gamma, self.beta, self.epsilon)
        past, now = self.momentum, 1.0 - self.momentum
        self.running_mean[...] = past * self.running_mean + now * self._mean
        self.running_var[...] = past * self.running_var + now * self._var
        return y

    def backward(self, dy: Array) -> Array:
        """Assign ``dgamma`` and ``dbeta``; return ``dx``.

        In training the mean and the variance depend on ``x`` too, and ``dx`` takes that into account.
        """
        if not self._context.training:
            return self._backward_fixed_statistics(dy)
        dx, self.dgamma[...], self.dbeta[...] = self._context.ops.batch_norm_gradient(
            dy, self._x, self._mean, self._var, self.gamma, self.epsilon
        )
        return dx

    def _backward_fixed_statistics(self, dy: Array) -> Array:
        """With given statistics the layer is a straight line in each column."""
        xp = self._context.xp
        slope = 1.0 / xp.sqrt(self._var + self.epsilon)
        self.dgamma[...] = xp.sum(dy * (self._x - self._mean) * slope, axis=0)
        self.dbeta[...] = xp.sum(dy, axis=0)
        return dy * (self.gamma * slope)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"momentum": self.momentum, "epsilon": self.epsilon}


@by_signature
class LayerNorm(Layer):
    """Give each row mean 0 and variance 1 over its columns, then scale by ``gamma`` and shift by ``beta``.

    Training and predictions are alike, and rows do not influence each other.

    epsilon: number > 0 added to the variance before its root; ``ArgumentError`` otherwise.
    name: unique name in the network; None makes one up.

    Parameters ``gamma`` and ``beta`` have shape ``(n_in,)``. Source: Ba, Kiros & Hinton 2016.
    """

    gamma: Array
    dgamma: Array
    beta: Array
    dbeta: Array

    def __init__(self, epsilon: float = 1e-5, *, name: str | None = None) -> None:
        super().__init__(name)
        self.epsilon = _positive_epsilon(epsilon)

    def build(self, n_in: int) -> int:
        """Declare gamma and beta; return ``n_in``."""
        self.add_parameter("gamma", (n_in,), "ones")
        self.add_parameter("beta", (n_in,), "zeros")
        return n_in

    def forward(self, x: Array, context: ForwardContext) -> Array:
        """Return the normalised ``x``."""
        self._x, self._ops = x, context.ops
        return self._ops.layer_norm(x, self.gamma, self.beta, self.epsilon)

    def backward(self, dy: Array) -> Array:
        """Assign ``dgamma`` and ``dbeta``; return ``dx``."""
        dx, self.dgamma[...], self.dbeta[...] = self._ops.layer_norm_gradient(dy, self._x, self.gamma, self.epsilon)
        return dx

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"epsilon": self.epsilon}


def _positive_epsilon(epsilon: float) -> float:
    value = number("epsilon", epsilon)
    if value <= 0.0:
        raise invalid("epsilon", epsilon, "use a small number > 0, e.g. 1e-5")
    return value
