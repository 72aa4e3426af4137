"""The layers of a network, one module per kind; `base` explains how to write your own."""

from accelnn.network.layers.activation import Activation
from accelnn.network.layers.base import ActivatedLayer, ForwardContext, Layer
from accelnn.network.layers.dense import Dense
from accelnn.network.layers.dropout import Dropout
from accelnn.network.layers.normalization import BatchNorm, LayerNorm
from accelnn.network.layers.rescaling import Rescaling

__all__ = [
    "ActivatedLayer",
    "Activation",
    "BatchNorm",
    "Dense",
    "Dropout",
    "ForwardContext",
    "Layer",
    "LayerNorm",
    "Rescaling",
]
