"""Train multilayer perceptrons from Python at the speed of the machine.

>>> from accelnn import Dense, Sequential, load_dataset
>>> data = load_dataset("digits")
>>> model = Sequential([Dense(32, "relu"), Dense(10, "softmax")], seed=0)
>>> history = model.fit(data.x_train / 16, data.y_train, epochs=20, batch_size=32)
>>> model.evaluate(data.x_test / 16, data.y_test, metrics="accuracy")["accuracy"] > 0.9
True

Importing this package imports no compiler and no CUDA module; names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from accelnn import errors, plotting
    from accelnn.arrays import Backend, describe_environment, get_backend
    from accelnn.data import Dataset, load_dataset
    from accelnn.estimators import MLPClassifier, MLPRegressor
    from accelnn.network import (
        Activation,
        BatchNorm,
        Constant,
        Dense,
        Dropout,
        Layer,
        LayerNorm,
        Normal,
        Rescaling,
        Uniform,
    )
    from accelnn.training import (
        SGD,
        Adam,
        AdamW,
        Callback,
        Checkpoint,
        EarlyStopping,
        History,
        ReduceOnPlateau,
        RMSprop,
        Sequential,
        StopOnTarget,
        TimeLimit,
        load_model,
        schedules,
        warmup,
    )

_ROOMS = {
    "accelnn": ("errors", "plotting"),
    "accelnn.arrays": ("Backend", "describe_environment", "get_backend"),
    "accelnn.data": ("Dataset", "load_dataset"),
    "accelnn.estimators": ("MLPClassifier", "MLPRegressor"),
    "accelnn.network": (
        "Activation", "BatchNorm", "Constant", "Dense", "Dropout", "Layer", "LayerNorm", "Normal", "Rescaling",
        "Uniform",
    ),
    "accelnn.training": (
        "SGD", "Adam", "AdamW", "Callback", "Checkpoint", "EarlyStopping", "History", "RMSprop", "ReduceOnPlateau",
        "Sequential", "StopOnTarget", "TimeLimit", "load_model", "schedules", "warmup",
    ),
}  # fmt: skip
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "Backend",
    "BatchNorm",
    "Callback",
    "Checkpoint",
    "Constant",
    "Dataset",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "History",
    "Layer",
    "LayerNorm",
    "MLPClassifier",
    "MLPRegressor",
    "Normal",
    "RMSprop",
    "ReduceOnPlateau",
    "Rescaling",
    "Sequential",
    "StopOnTarget",
    "TimeLimit",
    "Uniform",
    "describe_environment",
    "errors",
    "get_backend",
    "load_dataset",
    "load_model",
    "plotting",
    "schedules",
    "warmup",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its room at its first use (PEP 562)."""
    room = _ROOM_OF.get(name)
    if room is None:
        raise _unknown(name)
    if room == __name__:
        return importlib.import_module(f"{room}.{name}")
    value = getattr(importlib.import_module(room), name)
    globals()[name] = value
    return value


def _unknown(name: str) -> Exception:
    """Return the error for a name that is not here, with accelnn's way where other libraries have it."""
    from accelnn.errors import MissingAttributeError
    from accelnn.habits import OF_THE_PACKAGE

    answer = f": {OF_THE_PACKAGE[name]}" if name in OF_THE_PACKAGE else ""
    if answer and sys._getframe(2).f_globals.get("__name__") == "importlib._bootstrap":
        # "from accelnn import X" asks with hasattr and would go on with a message of its own.
        return ImportError(f"cannot import name {name!r} from 'accelnn'{answer}", name=__name__)
    owner = None if answer else sys.modules[__name__]
    return MissingAttributeError(f"module 'accelnn' has no attribute {name!r}{answer}", name=name, obj=owner)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
