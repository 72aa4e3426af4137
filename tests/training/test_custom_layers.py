"""Layers of the user's own train through the plain runner, which says why it was chosen."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from accelnn import SGD, Dense, Layer, Sequential, load_model
from accelnn.errors import ArgumentError, ModelFileError
from accelnn.network import ActivatedLayer
from tests.training.parity import check_same_weights, dense, inputs, labels, said_of_runners, targets

QUIET = {"verbose": 0, "epochs": 5, "optimizer": SGD(0.05, momentum=0.9)}


class Scale(Layer):
    """The ten lines of the documentation: multiply every input by a trained factor."""

    def build(self, n_in):
        self.add_parameter("s", (n_in,), "ones", l2=0.01)
        return n_in

    def forward(self, x, context):
        self.x, self.xp = x, context.xp
        return x * self.s

    def backward(self, dy):
        self.ds[...] = self.xp.sum(dy * self.x, axis=0)
        return dy * self.s


class OwnSoftmax(ActivatedLayer):
    """An output whose scores are its inputs."""

    def __init__(self):
        super().__init__("softmax")

    def forward(self, x, context, activate=True):
        self.active = activate
        return context.ops.bias_activation(x, None, "softmax")[1] if activate else x

    def backward(self, dy):
        assert not self.active
        return dy


class OwnDense(Dense):
    """A derived class might compute anything, so it has no compiled form."""


def model_of(*layers) -> Sequential:
    return Sequential(layers, dtype="float64", seed=0, backend="cpu")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_custom_layer_trains_in_every_position(position, caplog):
    layers = [dense(6, "tanh"), dense(3)]
    layers.insert(position, Scale())
    model = model_of(*layers)
    with caplog.at_level(logging.INFO, "accelnn"):
        history = model.fit(inputs(), targets(), validation_split=0.2, metrics="mse", **QUIET)
    assert history.runner == "plain"
    assert said_of_runners(caplog) == ["using the plain runner: layer 'scale_1' of class Scale has no compiled form"]
    assert history["loss"][-1] < history["loss"][0]
    scale = model.layers[position]
    assert not np.array_equal(scale.s, np.ones(scale.n_in))
    assert model.predict(inputs()).shape == (53, 3)


def test_no_runner_but_plain_can_be_asked_for(caplog):
    model = model_of(dense(6), Scale(), dense(3))
    with pytest.raises(ArgumentError, match=r"runner is 'compiled': layer 'scale_1' .* use runner='auto' or"):
        model.fit(inputs(), targets(), runner="compiled", **QUIET)
    with caplog.at_level(logging.INFO, "accelnn"):
        assert model.fit(inputs(), targets(), runner="plain", **QUIET).runner == "plain"
    assert said_of_runners(caplog) == []


@pytest.mark.parametrize("runner", ["auto", "plain"])
def test_a_derived_dense_layer_gives_the_numbers_of_the_original(runner):
    """With ``auto`` the plain runner uses compiled operations where it can."""
    start = {"bias_initializer": np.linspace(-1, 1, 6)}
    model = model_of(OwnDense(6, "gelu", **start), dense(3, "softmax"))
    other = model_of(Dense(6, "gelu", **start), dense(3, "softmax"))
    history = model.fit(inputs(), labels(), runner=runner, **QUIET)
    expected = other.fit(inputs(), labels(), runner="compiled", **QUIET)
    assert (history.runner, expected.runner) == ("plain", "compiled")
    check_same_weights(other, model, 1e-10)
    np.testing.assert_allclose(model.predict_proba(inputs()), other.predict_proba(inputs()), rtol=1e-10)


def test_a_custom_output_activation_leaves_out_its_activation_for_the_loss():
    model, other = model_of(dense(3), OwnSoftmax()), model_of(dense(3, "softmax"))
    model.fit(inputs(), labels(), **QUIET)
    other.fit(inputs(), labels(), **QUIET)
    check_same_weights(other, model, 1e-12)
    assert model.evaluate(inputs(), labels(), metrics="accuracy") == pytest.approx(
        other.evaluate(inputs(), labels(), metrics="accuracy")
    )


def test_saving_and_loading_a_custom_layer(tmp_path):
    model = model_of(Scale(), dense(3, "softmax"))
    model.fit(inputs(), labels(), **QUIET)
    model.save(tmp_path / "model.npz")
    with pytest.raises(ModelFileError, match="custom_layers"):
        load_model(tmp_path / "model.npz")
    loaded = load_model(tmp_path / "model.npz", custom_layers={"Scale": Scale})
    np.testing.assert_array_equal(loaded.predict(inputs()), model.predict(inputs()))
    assert loaded.fit(inputs(), labels(), **QUIET).runner == "plain"


@pytest.mark.parametrize("last", [Scale, lambda: Dense(3)], ids=["custom", "built in"])
def test_batches_of_one_row_and_weights(last):
    model = model_of(Scale(), dense(3), last())
    weights = np.linspace(0, 1, 53)
    history = model.fit(inputs(), targets(), batch_size=1, sample_weight=weights, **QUIET | {"optimizer": SGD(1e-3)})
    assert history["loss"][-1] < history["loss"][0]
