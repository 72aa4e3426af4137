"""The network floor: layers, their parameters in one arena, and the stack that makes them a network."""

from accelnn.network.activations import ACTIVATION_ENTRIES, ActivationEntry, resolve_activation
from accelnn.network.initializers import (
    INITIALIZERS,
    Constant,
    Initializer,
    Normal,
    Uniform,
    describe_initializer,
    resolve_initializer,
)
from accelnn.network.layers import (
    ActivatedLayer,
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    ForwardContext,
    Layer,
    LayerNorm,
    Rescaling,
)
from accelnn.network.losses import check_pair, resolve_loss
from accelnn.network.model_file import ModelFile, read_model_file
from accelnn.network.network import Network
from accelnn.network.parameters import Arena, Parameter, Variable
from accelnn.network.saving import load_network, restore, save

__all__ = [
    "ACTIVATION_ENTRIES",
    "INITIALIZERS",
    "ActivatedLayer",
    "Activation",
    "ActivationEntry",
    "Arena",
    "BatchNorm",
    "Constant",
    "Dense",
    "Dropout",
    "ForwardContext",
    "Initializer",
    "Layer",
    "LayerNorm",
    "ModelFile",
    "Network",
    "Normal",
    "Parameter",
    "Rescaling",
    "Uniform",
    "Variable",
    "check_pair",
    "describe_initializer",
    "load_network",
    "read_model_file",
    "resolve_activation",
    "resolve_initializer",
    "resolve_loss",
    "restore",
    "save",
]
