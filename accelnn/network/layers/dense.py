"""The fully connected layer."""

from __future__ import annotations

from typing import Any

from accelnn.arrays.typing import Array
from accelnn.errors import wrong_type
from accelnn.network.activations import resolve_activation
from accelnn.network.arguments import flag, integer, number
from accelnn.network.initializers import InitializerSpec, describe_initializer, resolve_initializer
from accelnn.network.layers.base import ActivatedLayer, ForwardContext
from accelnn.signatures import by_signature


@by_signature
class Dense(ActivatedLayer):
    """``a = activation(x W + b)``: every output sees every input.

    units: number of outputs, >= 1.
    activation: a name of `accelnn.network.activations.ACTIVATION_ENTRIES`.
    initializer: start of ``W (n_in, units)``, see ``resolve_initializer``; None chooses one that suits
        the activation (he_normal for relu and its relatives, lecun_normal for selu, else glorot_uniform).
    bias_initializer: start of ``b (units,)``; None means zeros.
    use_bias: False leaves out ``b``.
    l1, l2: factors >= 0 of the penalties ``l1 * sum|W|`` and ``l2 / 2 * sum W^2`` (``b`` is not penalised).
    name: unique name in the network; None makes one up.

    Raises ``ArgumentError`` or ``ArgumentTypeError`` for an argument that cannot be used.
    Gradients: Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.3.
    """

    W: Array
    dW: Array  # noqa: N815
    b: Array
    db: Array

    def __init__(
        self,
        units: int,
        activation: str = "identity",
        *,
        initializer: InitializerSpec | None = None,
        bias_initializer: InitializerSpec | None = "zeros",
        use_bias: bool = True,
        l1: float = 0.0,
        l2: float = 0.0,
        name: str | None = None,
    ) -> None:
        if isinstance(activation, int):  # the number of outputs, behind that of the inputs
            raise wrong_type("activation", activation, "use Dense(units, activation): inputs are counted in the data")
        super().__init__(activation, name=name)
        self.units = integer("units", units)
        default = resolve_activation(activation).default_initializer
        self.initializer = resolve_initializer(default if initializer is None else initializer)
        self.bias_initializer = resolve_initializer("zeros" if bias_initializer is None else bias_initializer)
        self.use_bias = flag("use_bias", use_bias)
        self.l1 = number("l1", l1, minimum=0.0)
        self.l2 = number("l2", l2, minimum=0.0)

    def build(self, n_in: int) -> int:
        """Declare ``W (n_in, units)`` and ``b (units,)``; return ``units``."""
        self.add_parameter("W", (n_in, self.units), self.initializer, l1=self.l1, l2=self.l2)
        if self.use_bias:
            self.add_parameter("b", (self.units,), self.bias_initializer)
        return self.units

    def forward(self, x: Array, context: ForwardContext, activate: bool = True) -> Array:
        """Return ``a (batch, units)``, or the scores ``z = x W + b`` without ``activate``."""
        self._ops = context.ops
        self._form = self.activation if activate else "identity"
        self._x = x
        bias = self.b if self.use_bias else None
        self._z, self._a = self._ops.bias_activation(x @ self.W, bias, self._form)
        return self._a

    def backward(self, dy: Array) -> Array:
        """Assign ``dW`` and ``db``; return ``dx = dz W^T``."""
        return self._backward_to_weights(dy) @ self.W.T

    def backward_parameters(self, dy: Array) -> None:
        """Assign ``dW`` and ``db`` without the product for ``dx``, a third of the layer's work."""
        self._backward_to_weights(dy)

    def _backward_to_weights(self, da: Array) -> Array:
        """Return ``dz``. From ``z = x W + b`` follow ``dW = x^T dz`` and ``db``, the sum of ``dz``'s rows."""
        dz, db = self._ops.activation_gradient(da, self._z, self._a, self._form)
        self.dW[...] = self._x.T @ dz
        if self.use_bias:
            self.db[...] = db
        return dz

    @property
    def _implied(self) -> list[str]:
        """The arguments that say nothing: initializers that are taken anyway, and a name that the network made up."""
        taken = {
            "initializer": (self.initializer, resolve_activation(self.activation).default_initializer),
            "bias_initializer": (self.bias_initializer, "zeros"),
        }
        same = [name for name, (initializer, usual) in taken.items() if describe_initializer(initializer) == usual]
        return [*super()._implied, *same]

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments; initializers of the user's own become None."""
        return {
            "units": self.units,
            "activation": self.activation,
            "initializer": describe_initializer(self.initializer),
            "bias_initializer": describe_initializer(self.bias_initializer),
            "use_bias": self.use_bias,
            "l1": self.l1,
            "l2": self.l2,
        }
