"""The network as a whole: building, seeds, passes, weights, summary, copies."""

from __future__ import annotations

import copy
import pickle

import array_api_strict
import numpy as np
import pytest

from accelnn.errors import ArgumentError, ArgumentTypeError, NotBuiltError, ShapeError
from accelnn.network import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm, Network


def make(n_in=4, **options):
    layers = [Dense(5, "relu"), BatchNorm(), Dropout(0.5), Dense(3, "softmax")]
    return Network(layers, n_in=n_in, **{"backend": "cpu", "seed": 1, **options})


@pytest.fixture
def x():
    return np.random.default_rng(2).standard_normal((6, 4)).astype(np.float32)


def predict(network, x):
    return network.forward(x, network.context())


def test_sizes():
    network = make()
    assert network.units == [4, 5, 3]
    assert (network.n_in, network.n_out) == (4, 3)
    assert network.count_parameters() == 4 * 5 + 5 + 2 * 5 + 5 * 3 + 3
    assert [layer.name for layer in network.layers] == ["dense_1", "batchnorm_1", "dropout_1", "dense_2"]
    assert repr(network) == "<Network 4-5-3, float32, cpu>"


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([Dense(2, "softmax")], "softmax"),
        ([Dense(2), Activation("sigmoid")], "sigmoid"),
        ([Dense(2, "relu"), LayerNorm()], "identity"),
        ([Dense(2)], "identity"),
    ],
)
def test_output_activation(layers, expected):
    assert Network(layers, backend="cpu").output_activation == expected


def test_generated_names_avoid_given_ones():
    network = Network([Dense(2, name="dense_1"), Dense(2), Dense(2, name="dense_2")], backend="cpu")
    assert [layer.name for layer in network.layers] == ["dense_1", "dense_3", "dense_2"]


def test_building_twice():
    network = make()
    values = network.arena.values
    network.build(4)
    assert network.arena.values is values
    with pytest.raises(ShapeError, match="n_in is 5: this network is built for 4"):
        network.build(5)


@pytest.mark.parametrize(
    "use",
    [
        lambda n: n.n_in,
        lambda n: n.units,
        lambda n: n.count_parameters(),
        lambda n: n.summary(),
        lambda n: n.get_weights(),
        lambda n: n.set_weights([]),
        lambda n: n.forward(np.ones((1, 4)), n.context()),
    ],
)
def test_before_the_build(use):
    network = make(n_in=None)
    assert repr(network) == "<Network not built, float32, cpu>"
    with pytest.raises(NotBuiltError, match="call build"):
        use(network)


def test_the_seed_decides_weights_shuffling_and_dropout():
    one, same, other = make(seed=1), make(seed=1), make(seed=2)
    np.testing.assert_array_equal(one.arena.values, same.arena.values)
    assert one.dropout_seed == same.dropout_seed
    assert 0 <= one.dropout_seed < 2**63
    np.testing.assert_array_equal(one.shuffle_rng.permutation(50), same.shuffle_rng.permutation(50))
    assert (one.arena.values != other.arena.values).any()
    assert one.dropout_seed != other.dropout_seed
    np.testing.assert_array_equal(one.arena.values, make(seed=1, dtype="float64").arena.values.astype(np.float32))


def test_without_a_seed_networks_differ():
    assert (make(seed=None).arena.values != make(seed=None).arena.values).any()


def test_weights_of_dense_layers_are_drawn_independently():
    network = Network([Dense(9), Dense(9)], n_in=9, backend="cpu", seed=0)
    assert (network.layers[0].W != network.layers[1].W).all()


def test_forward_by_hand(x):
    network = Network([Dense(5, "relu"), Dense(3, "softmax")], n_in=4, backend="cpu", seed=1)
    w1, b1, w2, b2 = network.get_weights()
    scores = np.maximum(x @ w1 + b1, 0.0) @ w2 + b2
    powers = np.exp(scores)
    np.testing.assert_allclose(predict(network, x), powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(network.forward(x, network.context(), scores=True), scores, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", ["uint8", "int64", "float32", "float64", "bool"])
def test_inputs_and_gradients_of_any_dtype_become_the_model_dtype(given, dtype):
    network = make(dtype=dtype)
    x = np.ones((2, 4), dtype=given)
    y = predict(network, x)
    assert y.dtype == dtype
    assert network.backward(np.ones((2, 3), dtype="float64")).dtype == dtype
    assert network.arena.gradients.dtype == dtype


def test_inputs_are_not_modified_and_strides_do_not_matter(x):
    network = make()
    wide = np.asfortranarray(np.repeat(x, 2, axis=1))[:, ::2]
    before = wide.copy()
    np.testing.assert_allclose(predict(network, wide), predict(network, x), rtol=1e-6)
    upstream = np.ones((6, 3), dtype=np.float32)
    network.backward(upstream)
    np.testing.assert_array_equal(wide, before)
    np.testing.assert_array_equal(upstream, 1.0)


@pytest.mark.parametrize("shape", [(4,), (6, 5), (2, 4, 1)])
def test_wrong_input_shape(shape):
    with pytest.raises(ShapeError, match=r"use an array of shape \(batch, 4\)"):
        predict(make(), np.ones(shape))


@pytest.mark.parametrize("x", [[[1.0] * 4], array_api_strict.ones((2, 4))], ids=["list", "other library"])
def test_input_that_is_no_array_of_the_backend(x):
    with pytest.raises(ArgumentTypeError):
        predict(make(), x)


def test_backward_needs_a_forward_of_the_same_shape(x):
    network = make()
    with pytest.raises(ShapeError, match="call forward first"):
        network.backward(np.ones((6, 3)))
    predict(network, x)
    with pytest.raises(ShapeError, match=r"d_output has shape \(5, 3\)"):
        network.backward_parameters(np.ones((5, 3)))


def test_weights_go_out_and_in(x):
    network, other = make(seed=1), make(seed=2)
    network.layers[1].running_mean[...] = 3.0
    weights = network.get_weights()
    assert [w.shape for w in weights] == [(4, 5), (5,), (5,), (5,), (5, 3), (3,), (5,), (5,)]
    other.set_weights(weights)
    np.testing.assert_array_equal(predict(other, x), predict(network, x))
    weights[0][...] = 0.0
    assert network.layers[0].W.all()


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda w: w[:-1], ShapeError, "weights has 7 arrays: this network takes 8"),
        (lambda w: [w[0].T, *w[1:]], ShapeError, r"weights\[0\] has shape \(5, 4\)"),
        (lambda w: [*w[:-1], w[-1] * np.nan], ArgumentError, r"weights\[7\].*finite"),
        (lambda w: [*w[:-1], np.full(5, 1e300)], ArgumentError, "finite in float32"),
        (lambda w: [*w[:-1], None], ArgumentTypeError, r"weights\[7\] is None"),
        (lambda w: [*w[:-1], np.ones(5) + 1j], ArgumentTypeError, "real numbers"),
    ],
)
def test_unusable_weights_change_nothing(spoil, error, message):
    network = make()
    before = network.arena.values.copy()
    weights = [w + 1 for w in network.get_weights()]
    with pytest.raises(error, match=message):
        network.set_weights(spoil(weights))
    np.testing.assert_array_equal(network.arena.values, before)


def test_summary():
    assert make().summary().splitlines() == [
        "layer                    output shape  parameters",
        "-------------------------------------------------",
        "dense_1 (Dense)          (batch, 5)            25",
        "batchnorm_1 (BatchNorm)  (batch, 5)            10",
        "dropout_1 (Dropout)      (batch, 5)             0",
        "dense_2 (Dense)          (batch, 3)            18",
        "-------------------------------------------------",
        "53 parameters, float32, on cpu; 10 more numbers not trained",
    ]


def test_a_layer_is_used_once():
    layer = Dense(2)
    with pytest.raises(ArgumentError, match=r"layers\[1\].*occurs twice"):
        Network([layer, layer], backend="cpu")
    Network([layer], n_in=3, backend="cpu")
    with pytest.raises(ArgumentError, match="belongs to another network"):
        Network([layer], backend="cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": []}, "layers is .*: use one layer or more"),
        ({"layers": "Dense"}, "layers is 'Dense' of type str"),
        ({"layers": 5}, "layers is 5"),
        ({"layers": [Dense(2), 3]}, r"layers\[1\] is 3 of type int"),
        ({"layers": [Dense]}, r"use an instance, Dense\(\.\.\.\), not the class"),
        ({"layers": [Dense(2, name="a"), Dense(2, name="a")]}, "another layer has this name"),
        ({"n_in": 0}, "n_in is 0"),
        ({"n_in": 2.5}, "n_in is 2.5 of type float"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"dtype": "flaot32"}, "did you mean 'float32'"),
        ({"dtype": None}, "dtype is None"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.0}, "seed is 1.0 of type float"),
        ({"backend": "gpu"}, "backend is 'gpu'"),
    ],
)
def test_unusable_arguments(options, message):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        Network(**{"layers": [Dense(2)], "backend": "cpu", **options})


def test_dtype_may_be_a_numpy_dtype():
    assert make(dtype=np.float64).dtype == make(dtype=np.dtype("float64")).dtype == "float64"


class Remembering(Layer):
    """Keeps an array module after ``forward``, which cannot be pickled."""

    def build(self, n_in):
        self.add_parameter("s", (n_in,), "ones")
        return n_in

    def forward(self, x, context):
        self.x, self.xp = x, context.xp
        return x * self.s

    def backward(self, dy):
        self.ds[...] = self.xp.sum(dy * self.x, axis=0)
        return dy * self.s


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_a_copy_is_whole_and_independent(copied, x):
    network = Network([Dense(5), BatchNorm(), Remembering(), Dense(3)], n_in=4, backend="cpu", seed=1)
    network.forward(x, network.context(training=True))
    expected = predict(network, x)
    other = copied(network)
    np.testing.assert_array_equal(predict(other, x), expected)
    np.testing.assert_array_equal(other.shuffle_rng.permutation(9), network.shuffle_rng.permutation(9))

    other.arena.values[...] = 0.0  # the layers of the copy look into the arena of the copy
    assert not predict(other, x).any()
    np.testing.assert_array_equal(predict(network, x), expected)


def test_a_copy_of_a_network_that_is_not_built():
    network = copy.deepcopy(make(n_in=None))
    network.build(4)
    np.testing.assert_array_equal(network.arena.values, make().arena.values)
