"""Saving a network to one file, and making it again from that file."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from accelnn.arrays.backend import Backend, get_backend
from accelnn.errors import AccelnnError, ModelFileError, invalid, shown, wrong_type
from accelnn.network.arguments import integer, text
from accelnn.network.assembly import attach_layers
from accelnn.network.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm, Rescaling
from accelnn.network.model_file import ModelFile, read_model_file, write_model_file
from accelnn.network.network import Network
from accelnn.network.parameters import Variable

AnyNetwork = TypeVar("AnyNetwork", bound=Network)

LAYER_CLASSES: Mapping[str, type[Layer]] = {
    kind.__name__: kind for kind in (Activation, BatchNorm, Dense, Dropout, LayerNorm, Rescaling)
}


def save(network: Network, path: str | os.PathLike[str], *, extra: Mapping[str, Any] | None = None) -> None:
    """Write ``network`` to ``path``, replacing a file that is there only when the new one is complete.

    Stored are the layers, their weights and running statistics, dtype, seed and names of features, and ``extra``,
    a mapping that JSON can hold. Raises ``NotBuiltError`` before ``build``; ``ArgumentError`` if weights are not
    finite, if a custom layer's ``config`` does not fit its constructor, or if ``path`` cannot be a file;
    ``ModelFileError`` if the system refuses to write.
    """
    description = _description(network, _mapping("extra", extra))
    values, state = network.arena.to_host()
    if not (np.isfinite(values).all() and np.isfinite(state).all()):
        raise invalid("network", network, "it contains NaN or infinite weights, so it is not worth saving")
    write_model_file(path, description, values, state)


def describe(network: Network) -> dict[str, Any]:
    """Return what a saved model says of ``network`` besides its numbers, as values that JSON can hold.

    Raises ``NotBuiltError`` before ``build``, ``ArgumentError`` if a custom layer's ``config`` does not fit its
    constructor.
    """
    return _description(network, {})


def load_network(
    path: str | os.PathLike[str],
    *,
    backend: str | Backend = "auto",
    custom_layers: Mapping[str, type[Layer]] | None = None,
) -> Network:
    """Return the network that ``save`` wrote to ``path``, on ``backend``.

    ``custom_layers`` maps the class names of your own layers to the classes; nothing in the file is
    executed. Raises ``ModelFileError`` for a file that is missing, damaged or not a model, and for a
    custom layer that is not in ``custom_layers``.
    """
    return restore(read_model_file(path), Network, backend=backend, custom_layers=custom_layers)


def restore(
    model_file: ModelFile,
    network_class: type[AnyNetwork],
    *,
    backend: str | Backend = "auto",
    custom_layers: Mapping[str, type[Layer]] | None = None,
) -> AnyNetwork:
    """Return the network in ``model_file`` as a ``network_class``, whose constructor is that of `Network`.

    Raises as ``load_network`` does, and ``BackendError`` for a backend that is not usable.
    """
    usable_backend = get_backend(backend)
    classes = {**LAYER_CLASSES, **_checked_classes(custom_layers)}
    description = model_file.description
    try:
        layers = [_make_layer(model_file, entry, classes) for entry in description["layers"]]
        _check_sizes(model_file, layers)
        network = network_class(
            layers,
            n_in=description["n_in"],
            dtype=description["dtype"],
            backend=usable_backend,
            seed=description.get("seed"),
        )
    except ModelFileError:
        raise
    except AccelnnError as error:
        model_file.reject(str(error), error)
    network.arena.fill(model_file.values, model_file.state)
    network.feature_names = _feature_names(model_file, network.n_in)
    return network


def _feature_names(model_file: ModelFile, n_in: int) -> tuple[str, ...] | None:
    names = model_file.description.get("feature_names")
    if names is None:
        return None
    if not isinstance(names, list) or len(names) != n_in or not all(isinstance(name, str) for name in names):
        model_file.reject(f"its feature_names are not {n_in} names")
    return tuple(names)


def _description(network: Network, extra: dict[str, Any]) -> dict[str, Any]:
    n_in = network.n_in  # raises before the build
    _check_json("extra", extra)
    return {
        "dtype": network.dtype,
        "n_in": n_in,
        "seed": network.seed,
        "feature_names": None if network.feature_names is None else list(network.feature_names),
        "layers": [_layer_entry(layer) for layer in network.layers],
        "parameters": [_variable_entry(parameter) for parameter in network.arena.parameters],
        "states": [_variable_entry(state) for state in network.arena.states],
        "extra": extra,
    }


def _mapping(argument: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise wrong_type(argument, value, "use a mapping whose keys are names")
    return dict(value or {})


def _layer_entry(layer: Layer) -> dict[str, Any]:
    config = layer.config()
    _check_json(f"config() of layer {layer.name}", config)
    try:
        inspect.signature(type(layer)).bind(**config)
    except TypeError as error:
        fix = f"return the constructor's arguments, or loading would fail ({error})"
        raise invalid(f"config() of layer {layer.name}", config, fix) from error
    return {"class": type(layer).__name__, "name": layer.name, "config": config}


def _variable_entry(variable: Variable) -> dict[str, Any]:
    shape = list(variable.shape)
    return {"layer": variable.layer_name, "name": variable.name, "shape": shape, "offset": variable.offset}


def _check_json(argument: str, value: dict[str, Any]) -> None:
    try:
        same = json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid(argument, value, f"use values that JSON can hold ({error})") from error
    if not same:
        raise invalid(argument, value, "use values that JSON gives back unchanged: lists, and text as keys")


def _checked_classes(custom_layers: Mapping[str, type[Layer]] | None) -> dict[str, type[Layer]]:
    classes = _mapping("custom_layers", custom_layers)
    for name, kind in classes.items():
        if not (isinstance(kind, type) and issubclass(kind, Layer)):
            raise wrong_type(f"custom_layers[{name!r}]", kind, "use a class derived from Layer")
    return classes


def _make_layer(model_file: ModelFile, entry: Any, classes: Mapping[str, type[Layer]]) -> Layer:
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        model_file.reject(f"it describes no layer here: {shown(entry)}")
    kind, name = str(entry.get("class")), entry.get("name")
    if kind not in classes:
        fix = f"pass custom_layers={{{kind!r}: {kind}}} with your class"
        model_file.reject(f"it has a layer of the class {kind!r}, which accelnn does not have: {fix}")
    try:
        layer = classes[kind](**entry["config"])
    except (TypeError, ValueError) as error:
        model_file.reject(f"layer {name!r} of the class {kind!r} cannot be made ({error})", error)
    layer.name = text("name", name)
    return layer


def _check_sizes(model_file: ModelFile, layers: Sequence[Layer]) -> None:
    """Compare the sizes before anything is allocated: a false description must not fill the memory."""
    parameters, states = attach_layers(layers, integer("n_in", model_file.description["n_in"]))
    _check_size(model_file, "parameters", parameters, model_file.values)
    _check_size(model_file, "state values", states, model_file.state)


def _check_size(model_file: ModelFile, what: str, variables: Sequence[Variable], flat: np.ndarray) -> None:
    described = sum(variable.size for variable in variables)
    if described != flat.shape[0]:
        has = f"{described:,}" if described < 2**63 else "more than 2**63"  # Python writes no number of any length
        model_file.reject(f"its layers have {has} {what} and it holds {flat.shape[0]:,}")
