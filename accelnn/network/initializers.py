"""Where the weights start: zeros, constants, random draws scaled by the layer's width, or given arrays.

An initializer is any callable ``(shape, rng, dtype) -> np.ndarray``. Random ones draw in float64 on
the host, so that one seed gives the same weights, up to rounding, in both dtypes and on every backend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from accelnn.errors import invalid, unknown_name, wrong_type
from accelnn.network.arguments import host_array, number, own_name
from accelnn.signatures import by_signature

Shape: TypeAlias = tuple[int, ...]


@runtime_checkable
class Initializer(Protocol):
    """A callable that makes the first values of one parameter."""

    def __call__(self, shape: Shape, rng: np.random.Generator, dtype: str) -> np.ndarray:
        """Return a host array of ``shape`` and ``dtype`` ("float32" or "float64")."""
        ...


InitializerSpec: TypeAlias = "str | Mapping[str, Any] | Initializer | np.ndarray | Sequence[Any]"


@by_signature
@dataclass(frozen=True)
class Constant:
    """Every element starts at ``value`` (a finite number)."""

    value: float

    def __post_init__(self) -> None:
        number("value", self.value)

    def __call__(self, shape: Shape, rng: np.random.Generator, dtype: str) -> np.ndarray:
        """Return an array of the value."""
        return np.full(shape, self.value, dtype=dtype)


@by_signature
@dataclass(frozen=True)
class Normal:
    """Gaussian draws with mean 0 and standard deviation ``std`` >= 0; not truncated."""

    std: float = 0.05

    def __post_init__(self) -> None:
        number("std", self.std, minimum=0.0)

    def __call__(self, shape: Shape, rng: np.random.Generator, dtype: str) -> np.ndarray:
        """Return new draws."""
        return rng.normal(0.0, self.std, shape).astype(dtype)


@by_signature
@dataclass(frozen=True)
class Uniform:
    """Uniform draws from ``[low, high)``; raises ``ArgumentError`` unless ``low < high``."""

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        if number("low", self.low) >= number("high", self.high):
            raise invalid("high", self.high, f"use a number above low, which is {self.low}")

    def __call__(self, shape: Shape, rng: np.random.Generator, dtype: str) -> np.ndarray:
        """Return new draws."""
        return rng.uniform(self.low, self.high, shape).astype(dtype)


@dataclass(frozen=True)
class VarianceScaling:
    """Draws with mean 0 and variance ``gain / n``, so that signals keep their size from layer to layer.

    ``n`` is ``fan_in = shape[0]`` for ``fan="in"`` and the mean of ``fan_in`` and
    ``fan_out = shape[-1]`` for ``fan="average"``. Normal draws are not truncated.
    Sources: Glorot & Bengio 2010 (gain 1, average), He et al. 2015 (gain 2, in),
    LeCun et al. 1998, "Efficient BackProp" (gain 1, in).
    """

    gain: float
    fan: Literal["in", "average"]
    distribution: Literal["uniform", "normal"]

    def __call__(self, shape: Shape, rng: np.random.Generator, dtype: str) -> np.ndarray:
        """Return new draws."""
        n = shape[0] if self.fan == "in" else (shape[0] + shape[-1]) / 2
        std = math.sqrt(self.gain / n)
        if self.distribution == "normal":
            return rng.normal(0.0, std, shape).astype(dtype)
        limit = math.sqrt(3.0) * std  # a uniform draw from [-limit, limit) has variance limit^2 / 3
        return rng.uniform(-limit, limit, shape).astype(dtype)

    def __repr__(self) -> str:
        """Return its name in quotes, which is how it is asked for."""
        return repr(next((name for name, known in INITIALIZERS.items() if self == known), "variance_scaling"))


class GivenArray:
    """The finite values of a host array that the user gives, which must have the parameter's shape."""

    def __init__(self, values: object) -> None:
        self.values = host_array("initializer", values)

    def __call__(self, shape: Shape, rng: np.random.Generator, dtype: str) -> np.ndarray:
        """Return a copy of the values in ``dtype``."""
        return host_array("initializer", self.values, dtype)

    def __repr__(self) -> str:
        """Return the array on a line."""
        return " ".join(repr(self.values).split())


INITIALIZERS: dict[str, Initializer] = {
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
    "normal": Normal(),
    "uniform": Uniform(),
    "glorot_uniform": VarianceScaling(1.0, "average", "uniform"),
    "glorot_normal": VarianceScaling(1.0, "average", "normal"),
    "he_uniform": VarianceScaling(2.0, "in", "uniform"),
    "he_normal": VarianceScaling(2.0, "in", "normal"),
    "lecun_normal": VarianceScaling(1.0, "in", "normal"),
}

INITIALIZER_ALIASES: dict[str, str] = {
    "Zeros": "zeros",
    "zeros_": "zeros",
    "Ones": "ones",
    "ones_": "ones",
    "random_normal": "normal",
    "RandomNormal": "normal",
    "random_uniform": "uniform",
    "RandomUniform": "uniform",
    "GlorotUniform": "glorot_uniform",
    "GlorotNormal": "glorot_normal",
    "HeUniform": "he_uniform",
    "HeNormal": "he_normal",
    "LecunNormal": "lecun_normal",
    "xavier_uniform": "glorot_uniform",
    "xavier_uniform_": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "xavier_normal_": "glorot_normal",
    "kaiming_uniform": "he_uniform",
    "kaiming_uniform_": "he_uniform",
    "kaiming_normal": "he_normal",
    "kaiming_normal_": "he_normal",
}
"""What Keras and PyTorch call them."""

# The initializers that take arguments, by the name they have in a saved model.
_WITH_ARGUMENTS: dict[str, type[Constant] | type[Normal] | type[Uniform]] = {
    "constant": Constant,
    "normal": Normal,
    "uniform": Uniform,
}


def resolve_initializer(spec: InitializerSpec) -> Initializer:
    """Return the initializer that ``spec`` means.

    ``spec`` is a name of ``INITIALIZERS`` or ``INITIALIZER_ALIASES``, an instance such as ``Normal(0.01)``,
    any callable ``(shape, rng, dtype) -> np.ndarray``, a host array (or nested lists) with the values themselves,
    or what ``describe_initializer`` returned. Raises ``ArgumentError`` for an unknown name or values
    that are not finite, ``ArgumentTypeError`` for any other type.
    """
    if isinstance(spec, str):
        return _by_name(spec)
    if isinstance(spec, Mapping):
        return _by_description(spec)
    if isinstance(spec, (np.ndarray, list, tuple)):
        return GivenArray(spec)
    if isinstance(spec, Initializer) and not isinstance(spec, type):
        return spec
    raise wrong_type("initializer", spec, "use a name, an initializer such as Normal(0.01), or a host array")


def describe_initializer(initializer: Initializer) -> str | dict[str, Any] | None:
    """Return what a saved model stores: a name, a dict with a name and arguments, or ``None``.

    ``None`` stands for given arrays and for callables of the user: their code or values are not stored.
    """
    for name, known in INITIALIZERS.items():
        if initializer == known:
            return name
    for name, kind in _WITH_ARGUMENTS.items():
        if isinstance(initializer, kind):
            return {"name": name, **asdict(initializer)}
    return None


def _by_name(name: str) -> Initializer:
    if name == "constant":
        raise invalid("initializer", name, "a constant needs its value: use Constant(value)")
    return INITIALIZERS[own_name("initializer", name, INITIALIZERS, INITIALIZER_ALIASES, "he_normal")]


def _by_description(description: Mapping[str, Any]) -> Initializer:
    arguments = dict(description)
    name = arguments.pop("name", None)
    if name not in _WITH_ARGUMENTS:
        raise unknown_name("initializer name", name, _WITH_ARGUMENTS)
    try:
        return _WITH_ARGUMENTS[name](**arguments)
    except TypeError as error:
        raise invalid("initializer", description, f"use the arguments of {name}") from error
