"""The arena: what lies where, and that views and buffers are the same memory."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn.errors import ArgumentError, ShapeError
from accelnn.network import BatchNorm, Dense, Layer, Network


def make(**options):
    layers = [Dense(4, "relu", l1=0.1, l2=0.2), BatchNorm(), Dense(2)]
    return Network(layers, n_in=3, backend="cpu", seed=0, **options)


def test_layout_is_dense_and_in_order():
    arena = make().arena
    found = [(p.layer_name, p.name, p.shape, p.offset) for p in arena.parameters]
    assert found == [
        ("dense_1", "W", (3, 4), 0),
        ("dense_1", "b", (4,), 12),
        ("batchnorm_1", "gamma", (4,), 16),
        ("batchnorm_1", "beta", (4,), 20),
        ("dense_2", "W", (4, 2), 24),
        ("dense_2", "b", (2,), 32),
    ]
    assert [(s.name, s.offset) for s in arena.states] == [("running_mean", 0), ("running_var", 4)]
    assert arena.values.shape == arena.gradients.shape == (34,)
    assert arena.state.shape == (8,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_buffers_are_flat_contiguous_and_of_the_model_dtype(dtype):
    arena = make(dtype=dtype).arena
    for buffer in (arena.values, arena.gradients, arena.state):
        assert buffer.dtype == dtype
        assert buffer.flags.c_contiguous
    assert not arena.gradients.any()


def test_penalties_belong_to_w_only():
    penalties = {(p.layer_name, p.name): (p.l1, p.l2) for p in make().arena.parameters}
    assert penalties["dense_1", "W"] == (0.1, 0.2)
    assert {v for k, v in penalties.items() if k != ("dense_1", "W")} == {(0.0, 0.0)}


def test_views_and_buffers_are_one_memory():
    network = make()
    dense, norm = network.layers[0], network.layers[1]
    network.arena.values[:16] = np.arange(16)
    np.testing.assert_array_equal(dense.W, np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(dense.b, np.arange(12, 16))
    dense.dW[...] = 1.0
    dense.db[...] = 2.0
    np.testing.assert_array_equal(network.arena.gradients[:17], [1.0] * 12 + [2.0] * 4 + [0.0])
    norm.running_var[...] = 5.0
    np.testing.assert_array_equal(network.arena.state, [0.0] * 4 + [5.0] * 4)


class Peculiar(Layer):
    """A layer whose declarations the test chooses."""

    def __init__(self, declare):
        super().__init__()
        self.declare = declare

    def build(self, n_in):
        return self.declare(self) or n_in

    def forward(self, x, context):
        return x

    def backward(self, dy):
        return dy


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda s: s.add_parameter("W", (2, 2), np.ones((3, 2))), ShapeError, r"it needs shape \(2, 2\)"),
        (lambda s: s.add_parameter("W", (2,), lambda *_: [np.nan, 1]), ArgumentError, "peculiar_1"),
        (lambda s: s.add_parameter("W", (2,), lambda *_: np.ones(5)), ShapeError, "initializer of W"),
        (lambda s: s.add_parameter("W", (), "zeros"), ArgumentError, "shape"),
        (lambda s: s.add_parameter("W", (0,), "zeros"), ArgumentError, "shape is 0"),
        (lambda s: s.add_parameter("W", (2,), "zeros", l2=-1.0), ArgumentError, "l2 is -1.0"),
        (lambda s: s.add_parameter("forward", (2,), "zeros"), ArgumentError, "identifier"),
        (lambda s: s.add_parameter("a b", (2,), "zeros"), ArgumentError, "identifier"),
        (lambda s: s.add_state("name", (2,)), ArgumentError, "identifier"),
        (lambda s: (s.add_parameter("b", (2,), "zeros"), s.add_state("db", (2,)))[0], ArgumentError, "db"),
        (lambda s: (s.add_state("b", (2,)), s.add_parameter("b", (2,), "zeros"))[0], ArgumentError, "is 'b'"),
        (lambda s: s.add_state("m", (2,), float("nan")), ArgumentError, "value is nan"),
        (lambda s: -3, ArgumentError, r"result of build\(\) of layer peculiar_1 is -3"),
    ],
)  # fmt: skip
def test_unusable_declarations(declare, error, message):
    with pytest.raises(error, match=message):
        Network([Peculiar(declare)], n_in=2, backend="cpu")


def test_a_network_without_parameters_has_empty_buffers():
    network = Network([Peculiar(lambda s: None)], n_in=2, backend="cpu")
    assert network.count_parameters() == 0
    assert network.get_weights() == []
    network.set_weights([])
    x = np.ones((3, 2), dtype=np.float32)
    assert network.forward(x, network.context()) is x
    np.testing.assert_array_equal(network.backward(x), x)
    network.backward_parameters(x)
