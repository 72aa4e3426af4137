"""What each layer computes, by formulas written out here, and what its constructor refuses."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn.arrays.reference import dropout_keys
from accelnn.errors import ArgumentError, ArgumentTypeError
from accelnn.network import (
    Activation,
    BatchNorm,
    Constant,
    Dense,
    Dropout,
    Layer,
    LayerNorm,
    Network,
    Rescaling,
)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def x(dtype):
    return np.random.default_rng(5).standard_normal((6, 4)).astype(dtype)


def run(layer, x, *, training=False, keys=None):
    network = Network([layer], n_in=x.shape[1], dtype=x.dtype, backend="cpu", seed=0)
    return network.forward(x, network.context(training=training, dropout_keys=keys)), network


def test_dense(x, dtype):
    layer = Dense(3, "tanh", bias_initializer=Constant(0.5))
    y, _ = run(layer, x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, np.tanh(x @ layer.W + 0.5), rtol=1e-5)


def test_dense_without_bias(x):
    layer = Dense(3, use_bias=False)
    y, network = run(layer, x)
    assert [p.name for p in network.arena.parameters] == ["W"]
    np.testing.assert_allclose(y, x @ layer.W, rtol=1e-5)


@pytest.mark.parametrize(
    ("activation", "n"), [("relu", 2 / 400), ("selu", 1 / 400), ("tanh", 2 / 500), ("softmax", 2 / 500)]
)
def test_dense_chooses_weights_for_its_activation(activation, n):
    layer = Dense(100, activation)
    Network([layer], n_in=400, backend="cpu", seed=0)
    assert layer.W.std() == pytest.approx(np.sqrt(n), rel=0.02)
    assert not layer.b.any()


def test_dense_takes_given_arrays():
    w = np.arange(6.0).reshape(2, 3)
    layer = Dense(3, initializer=w, bias_initializer=[1, 2, 3])
    y, _ = run(layer, np.eye(2))
    np.testing.assert_array_equal(y, w + np.array([1, 2, 3]))


def test_activation(x):
    y, _ = run(Activation("softplus"), x)
    np.testing.assert_allclose(y, np.log1p(np.exp(x)), rtol=1e-5)


def test_rescaling_takes_raw_pixels():
    pixels = np.array([[0, 51, 255]], dtype=np.uint8)
    network = Network([Rescaling(1 / 255, -0.5)], n_in=3, backend="cpu")
    y = network.forward(pixels, network.context())
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, [[-0.5, -0.3, 0.5]], rtol=1e-6)


def test_layer_norm(x):
    y, _ = run(LayerNorm(), x)
    np.testing.assert_allclose(y.mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=1), 1.0, rtol=1e-3)


def test_batch_norm_trains_on_the_batch_and_predicts_with_running_statistics(x):
    layer = BatchNorm(momentum=0.75)
    y, network = run(layer, x, training=True)
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=0), 1.0, rtol=1e-3)
    np.testing.assert_allclose(layer.running_mean, 0.25 * x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, 0.75 + 0.25 * x.var(axis=0), rtol=1e-5)

    state = network.arena.state.copy()
    y = network.forward(x, network.context())
    expected = (x - layer.running_mean) / np.sqrt(layer.running_var + 1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(network.arena.state, state)


def test_batch_norm_of_one_row_is_finite():
    y, network = run(BatchNorm(), np.ones((1, 3)), training=True)
    np.testing.assert_array_equal(y, np.zeros((1, 3)))
    assert np.isfinite(network.backward(np.ones((1, 3)))).all()


def test_dropout_drops_the_rate_and_keeps_the_mean():
    keys = dropout_keys(1, np.arange(1), 1)[0]
    y, network = run(Dropout(0.25), np.ones((200, 100)), training=True, keys=keys)
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(network.backward(np.ones((200, 100))), y)


def test_dropout_leaves_predictions_alone(x):
    keys = dropout_keys(1, np.arange(1), 1)[0]
    assert run(Dropout(0.5), x, keys=keys)[0] is x
    assert run(Dropout(0.0), x, training=True)[0] is x


def test_dropout_layers_have_different_masks():
    layers = [Dropout(0.5), Rescaling(1.0), Dropout(0.5)]
    network = Network(layers, n_in=64, dtype="float64", backend="cpu")
    assert [layers[0].index, layers[2].index] == [0, 1]
    assert network.n_dropout == 2
    keys = dropout_keys(1, np.arange(1), 2)[0]
    y = network.forward(np.ones((64, 64)), network.context(training=True, dropout_keys=keys))
    assert (y != 0).mean() == pytest.approx(0.25, abs=0.03)


def test_dropout_without_keys_is_an_error(x):
    with pytest.raises(ArgumentError, match="one key per dropout layer"):
        run(Dropout(0.5), x, training=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "units is 0: use an integer >= 1"),
        (lambda: Dense(2.0), "units is 2.0 of type float"),
        (lambda: Dense(True), "units is True"),
        (lambda: Dense(3, "rleu"), "did you mean 'relu'"),
        (lambda: Dense(3, initializer="he"), "initializer is 'he'"),
        (lambda: Dense(3, use_bias=1), "use_bias is 1 of type int: use True or False"),
        (lambda: Dense(3, l1=-0.1), "l1 is -0.1"),
        (lambda: Dense(3, l2=float("nan")), "l2 is nan"),
        (lambda: Dense(3, name=""), "name is ''"),
        (lambda: Dense(3, name=7), "name is 7 of type int"),
        (lambda: Activation("nope"), "activation is 'nope'"),
        (lambda: Dropout(1.0), r"rate is 1.0: use a number in \[0, 1\)"),
        (lambda: Dropout(-0.1), "rate is -0.1"),
        (lambda: Dropout("half"), "rate is 'half' of type str"),
        (lambda: BatchNorm(momentum=1.0), "momentum is 1.0"),
        (lambda: BatchNorm(epsilon=0.0), "epsilon is 0.0"),
        (lambda: LayerNorm(epsilon=-1e-5), "epsilon is -1e-05"),
        (lambda: Rescaling(0.0), "scale is 0.0"),
        (lambda: Rescaling(1.0, float("inf")), "offset is inf"),
    ],
)
def test_unusable_arguments(make, message):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        Dense(7, "relu", initializer="normal", bias_initializer=Constant(0.1), use_bias=True, l1=0.5, l2=1),
        Dense(7, initializer=np.ones((2, 7))),
        Activation("tanh"),
        Dropout(0.25),
        BatchNorm(0.5, 1e-3),
        LayerNorm(1e-3),
        Rescaling(2, 1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_makes_the_layer_again(layer):
    assert type(layer)(**layer.config()).config() == layer.config() | (
        {"initializer": "glorot_uniform"} if layer.config().get("initializer", "") is None else {}
    )


def test_an_incomplete_custom_layer_cannot_be_made():
    class NoBackward(Layer):
        def forward(self, x, context):
            return x

    with pytest.raises(TypeError, match="backward"):
        NoBackward()


def test_a_custom_layer_need_not_call_the_base_constructor():
    class Times(Layer):
        def __init__(self, factor):
            self.factor = factor

        def forward(self, x, context):
            return x * self.factor

        def backward(self, dy):
            return dy * self.factor

    y, network = run(Times(3.0), np.ones((2, 2)))
    assert y.sum() == 12.0
    assert network.layers[0].name == "times_1"
