"""Which runner executes a training, and that the plain one needs nothing but the array API standard."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import logging
import pkgutil
from dataclasses import dataclass

import array_api_strict
import numpy as np
import pytest

import accelnn.training
from accelnn import SGD, Activation, Adam, BatchNorm, Dense, Dropout, LayerNorm, Rescaling, Sequential
from accelnn.arrays import Backend, FusedOps, PlainOps, reference
from accelnn.errors import ArgumentError
from accelnn.network import Network
from accelnn.network.layers.base import Layer
from accelnn.training.data import TrainingData
from accelnn.training.runners import choice
from accelnn.training.runners.lowering import lower, why_not_lowerable
from accelnn.training.runners.plain_operations import PlainNet, abandoned, synchronize
from tests.training.parity import check_same_weights, dense, inputs, labels, one_hot, said_of_runners

MODULES = sorted(m.name for m in pkgutil.walk_packages(accelnn.training.__path__, "accelnn.training."))
DEVICE = array_api_strict.Device("device1")  # not the host: a hidden transfer to NumPy is an error
HOST = array_api_strict.Device("CPU_DEVICE")


@dataclass(frozen=True)
class StrictBackend(Backend):
    """array_api_strict in the place of a GPU's array library."""

    name: str = "strict"
    device: str = "device1"
    xp: object = array_api_strict

    def asarray(self, x, dtype=None):
        return array_api_strict.asarray(np.array(x, dtype=dtype), device=DEVICE)

    def to_host(self, x):
        return np.asarray(array_api_strict.asarray(x, device=HOST))

    def active(self):
        return contextlib.nullcontext()


def every_layer():
    return [
        Rescaling(0.5, 0.1),
        BatchNorm(),
        dense(6, "gelu", l1=0.01, l2=0.01),
        Dropout(0.3),
        LayerNorm(),
        Activation("tanh"),
        dense(3, "softmax"),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": SGD(0.05, momentum=0.9, nesterov=True, clip_norm=0.5)},
        {"optimizer": Adam(0.01, clip_value=0.1), "sample_weight": np.linspace(0, 1, 53), "validation_split": 0.2},
        {"optimizer": "rmsprop", "y": one_hot(), "loss": "mse"},
    ],
    ids=["clip_norm", "weights", "mse"],
)
def test_training_on_another_array_library(options, caplog):
    y = options.get("y", labels())
    options = {"epochs": 4, "batch_size": 16, "verbose": 0, "metrics": "accuracy"} | options
    options.pop("y", None)
    model = Sequential(every_layer(), dtype="float64", seed=0, backend=StrictBackend())
    other = Sequential(every_layer(), dtype="float64", seed=0, backend="cpu")
    with caplog.at_level(logging.INFO, "accelnn"):
        history = model.fit(inputs(), y, **options)
    reason = "no other works on device1"
    assert said_of_runners(caplog) == [f"using the plain runner: {reason}"]
    expected = other.fit(inputs(), y, runner="plain", **options)
    check_same_weights(other, model, 1e-10)
    for column in set(history) - {"seconds", "samples_per_s"}:
        np.testing.assert_allclose(history[column], expected[column], rtol=1e-10)
    np.testing.assert_allclose(model.predict_proba(inputs()), other.predict_proba(inputs()), rtol=1e-10)


class Own(Dense):
    """A layer without a compiled form."""


def chosen(requested, layer=Dense, backend="cpu"):
    model = Network([layer(3, "softmax")], n_in=5, backend=backend, seed=0)
    data = TrainingData(inputs(), labels())
    return choice.choose_runner(requested, model, data, "cross_entropy", SGD(), (), 16)


@pytest.mark.parametrize(
    ("requested", "layer", "backend", "name", "ops"),
    [
        ("auto", Dense, "cpu", "compiled", None),
        ("compiled", Dense, "cpu", "compiled", None),
        ("plain", Dense, "cpu", "plain", PlainOps),
        ("auto", Own, "cpu", "plain", FusedOps),
        ("plain", Own, "cpu", "plain", PlainOps),
        ("auto", Dense, StrictBackend(), "plain", PlainOps),
    ],
)
def test_choice(requested, layer, backend, name, ops):
    runner = chosen(requested, layer, backend)
    assert runner.name == name
    assert runner.threads == 1
    if ops is not None:
        assert type(runner._net.ops) is ops


@pytest.mark.parametrize(("layer", "backend"), [(Own, "cpu"), (Dense, StrictBackend())])
def test_a_requirement_that_cannot_be_met(layer, backend):
    with pytest.raises(ArgumentError, match=r"runner is 'compiled': .*; use runner='auto' or runner='plain'"):
        chosen("compiled", layer, backend)


def test_predictions_are_compiled_where_that_is_possible():
    assert choice.choose_predictor(Network([Dense(3)], n_in=5, backend="cpu"), inputs()).name == "compiled"
    assert choice.choose_predictor(Network([Own(3)], n_in=5, backend="cpu"), inputs()).name == "plain"


def test_only_exactly_the_known_layers_are_lowered():
    assert why_not_lowerable(Network(every_layer(), backend="cpu")) is None
    reason = why_not_lowerable(Network([Dense(3), Own(3, name="mine")], backend="cpu"))
    assert reason == "layer 'mine' of class Own has no compiled form"


def kinds(layers: list[Layer], **options) -> list[int]:
    network = Network(layers, n_in=5, backend="cpu", seed=0)
    return lower(network, 16, 1, **{"training": True, "scores": False} | options).layers["kind"].tolist()


def test_lowering_leaves_out_what_does_nothing_and_joins_what_belongs_together():
    from accelnn_kernels.tables import ACTIVATION, BATCH_NORM, BATCH_NORM_INFERENCE, DENSE, DROPOUT, RESCALING

    assert kinds([Dense(3), Activation("tanh")]) == [DENSE]
    assert kinds([Dense(3, "relu"), Activation("tanh")]) == [DENSE, ACTIVATION]
    assert kinds([Dense(3), Dropout(0.0), Activation("tanh")]) == [DENSE]
    assert kinds([Dense(3), Dropout(0.1), Activation("tanh")]) == [DENSE, DROPOUT, ACTIVATION]
    assert kinds([Dense(3), Dropout(0.1), Activation("tanh")], training=False) == [DENSE]
    assert kinds([BatchNorm()]) == [BATCH_NORM]
    assert kinds([BatchNorm()], training=False) == [BATCH_NORM_INFERENCE]
    assert kinds([Rescaling(2.0), Dense(3)]) == [DENSE]
    assert kinds([Rescaling(2.0), Rescaling(3.0), Dense(3)]) == [RESCALING, DENSE]
    assert kinds([Rescaling(2.0)]) == []


def test_no_gradient_is_passed_to_layers_below_the_first_trained_one():
    network = Network([Activation("tanh"), Dense(4), LayerNorm(), Dense(3)], n_in=5, backend="cpu", seed=0)
    program = lower(network, 16, 1, training=True, scores=False)
    assert (program.layers["dx"] != 0).tolist() == [False, False, True, True]


def test_buffers_begin_at_cache_lines():
    program = lower(Network(every_layer(), n_in=5, backend="cpu", seed=0), 7, 3, training=True, scores=True)
    addresses = [program.layers[name] for name in ("x", "dx", "z", "a", "da", "bias_parts", "weight_parts")]
    assert not np.concatenate(addresses).astype(np.int64).__mod__(64).any()


def test_there_is_nothing_to_wait_for_in_plain_code():
    model = Network([Dense(3)], n_in=5, backend="cpu")
    net = PlainNet(model, inputs(), 16, scores=False, ops=PlainOps())
    assert synchronize(net) is None
    assert abandoned(net) is False


def test_all_update_formulas_have_a_compiled_form():
    from accelnn_kernels.activations import NAMES
    from accelnn_kernels.losses import NAMES as LOSS_NAMES
    from accelnn_kernels.optimizers import N_MOMENTS

    assert set(N_MOMENTS) == set(reference.UPDATES)
    assert set(LOSS_NAMES) == set(reference.LOSSES)
    assert {*NAMES, "softmax"} == set(reference.ACTIVATIONS)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0
