"""From a list of layers to one network: checks, names, and what all layers declare together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from accelnn.errors import invalid, wrong_type
from accelnn.network.layers.base import ActivatedLayer, Layer
from accelnn.network.layers.dropout import Dropout
from accelnn.network.parameters import Parameter, Variable


def checked_layers(layers: Iterable[Layer]) -> list[Layer]:
    """Return ``layers`` as a list of different, unused layers with unique names.

    Layers without a name get one, e.g. ``dense_1``. Raises ``ArgumentTypeError`` for something that is not
    a list of layers, ``ArgumentError`` for an empty list, a layer that occurs twice or belongs to another
    network, and a name given twice.
    """
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Iterable):
        raise wrong_type("layers", layers, "use a list such as [Dense(128, 'relu'), Dense(10, 'softmax')]")
    result = list(layers)
    if not result:
        raise invalid("layers", result, "use one layer or more")
    seen: set[int] = set()
    names: set[str] = set()
    for position, layer in enumerate(result):
        _check_layer(layer, f"layers[{position}]", seen, names)
        seen.add(id(layer))
        names |= set() if layer.name is None else {layer.name}
    _give_names(result, names)
    return result


def attach_layers(layers: Sequence[Layer], n_in: int) -> tuple[list[Parameter], list[Variable]]:
    """Tell each layer its number of inputs, in order; return all parameters and all states they declare."""
    for layer in layers:
        n_in = layer.attach(n_in)
    for index, layer in enumerate(each_dropout(layers)):
        layer.index = index
    return declared_variables(layers)


def declared_variables(layers: Sequence[Layer]) -> tuple[list[Parameter], list[Variable]]:
    """Return all parameters and all states of the layers, in order."""
    return [p for layer in layers for p in layer.parameters], [s for layer in layers for s in layer.states]


def each_dropout(layers: Iterable[Layer]) -> Iterator[Dropout]:
    """Yield the dropout layers in order."""
    return (layer for layer in layers if isinstance(layer, Dropout))


def output_activation(layers: Sequence[Layer]) -> str:
    """Return the activation that the network ends in, "identity" if its last layer has none."""
    last = layers[-1]
    return last.activation if isinstance(last, ActivatedLayer) else "identity"


def _check_layer(layer: Layer, argument: str, seen: Set[int], names: Set[str]) -> None:
    """Check one layer; ``seen`` and ``names`` are the ids and the names of those before it."""
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise wrong_type(argument, layer, f"use an instance, {layer.__name__}(...), not the class")
    if not isinstance(layer, Layer):
        raise wrong_type(argument, layer, "use a layer such as Dense(10), or derive its class from Layer")
    if id(layer) in seen:
        raise invalid(argument, layer, "this layer occurs twice: make a second one")
    if layer.built:
        raise invalid(argument, layer, "this layer belongs to another network: make a new one")
    if layer.name is not None and layer.name in names:
        raise invalid(f"name of {argument}", layer.name, "another layer has this name: use a different one")


def _give_names(layers: Sequence[Layer], taken: set[str]) -> None:
    """Give a name that is not ``taken`` to each layer without one."""
    for layer in layers:
        if layer.name is None:
            kind = type(layer).__name__.lower()
            layer.name = next(f"{kind}_{i}" for i in range(1, len(layers) + 2) if f"{kind}_{i}" not in taken)
            taken.add(layer.name)
