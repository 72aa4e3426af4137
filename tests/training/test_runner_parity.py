"""The compiled runner gives the numbers of the plain one: every layer, activation, loss and optimizer, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import (
    SGD,
    Activation,
    Adam,
    AdamW,
    BatchNorm,
    Dropout,
    LayerNorm,
    Normal,
    Rescaling,
    RMSprop,
    schedules,
)
from accelnn.arrays.reference import ACTIVATIONS
from accelnn.training.runners import compiled
from tests.training.parity import (
    activation_everywhere,
    check_runners_agree,
    dense,
    inputs,
    labels,
    one_hot,
    small_net,
    targets,
)

STEADY = {"optimizer": SGD(0.02, momentum=0.5)}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_in_every_position(activation, use_threads):
    gently = {"loss": "mse", "optimizer": SGD(0.02)}
    check_runners_agree(use_threads, lambda: activation_everywhere(activation), 0.5 * inputs(), **gently)


LAYERS = {
    "one dense layer": lambda: [dense(3)],
    "dense without bias": lambda: [dense(7, "tanh", use_bias=False), dense(3, use_bias=False)],
    "deep": lambda: [*(dense(n, "tanh") for n in (9, 8, 7, 6, 5, 4)), dense(3)],
    "one unit wide": lambda: [dense(1, "tanh"), dense(3)],
    "wider than a tile": lambda: [dense(67, "tanh"), dense(130, "tanh"), dense(3)],
    "dropout": lambda: [dense(7, "relu"), Dropout(0.3), dense(3)],
    "dropout first": lambda: [Dropout(0.4), dense(7, "tanh"), dense(3)],
    "dropout last": lambda: [dense(7, "tanh"), dense(3), Dropout(0.2)],
    "idle dropout": lambda: [Dropout(0.1), dense(7), Dropout(0.0), Activation("tanh"), Dropout(0.5), dense(3)],
    "batch norm": lambda: [dense(7, "relu", use_bias=False), BatchNorm(), dense(3)],
    "batch norm first": lambda: [BatchNorm(), dense(3)],
    "batch norm last": lambda: [dense(3, use_bias=False), BatchNorm()],
    "two batch norms": lambda: [BatchNorm(0.5), dense(6, "tanh"), BatchNorm(0.0, 1e-3), dense(3)],
    "layer norm": lambda: [dense(7, "relu"), LayerNorm(), dense(3)],
    "layer norm first": lambda: [LayerNorm(1e-3), dense(3)],
    "layer norm last": lambda: [dense(3), LayerNorm()],
    "rescaling first": lambda: [Rescaling(0.5, -0.1), dense(7, "tanh"), dense(3)],
    "rescaling in the middle": lambda: [dense(7, "tanh"), Rescaling(2.0, 0.3), dense(3)],
    "rescaling twice, then last": lambda: [Rescaling(0.5), Rescaling(0.5, 1.0), dense(3, "tanh"), Rescaling(3.0)],
    "everything": lambda: [
        Rescaling(0.7, 0.1),
        BatchNorm(),
        dense(8, "silu"),
        Dropout(0.2),
        LayerNorm(),
        dense(6),
        Activation("gelu"),
        Rescaling(1.5),
        Dropout(0.1),
        dense(3),
    ],
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_every_layer(layers, use_threads):
    check_runners_agree(use_threads, layers, loss="mse", **STEADY)


def test_a_bias_that_batch_norm_takes_away_again(use_threads):
    layers = lambda: [dense(7), BatchNorm(), Activation("relu"), dense(3)]  # noqa: E731
    check_runners_agree(use_threads, layers, all_move=False, **STEADY)


@pytest.mark.parametrize("n_last", [1, 2])
def test_a_last_batch_with_fewer_rows_than_threads(n_last, use_threads):
    n = 48 + n_last
    left_out = BatchNorm if n_last == 1 else ()  # it takes no single row
    layers = lambda: [layer for layer in LAYERS["everything"]() if not isinstance(layer, left_out)]  # noqa: E731
    check_runners_agree(use_threads, layers, inputs(n=n), targets(n=n), **STEADY)


def test_full_batches_of_one_input_and_one_output(use_threads):
    x, y = inputs(n_in=1), targets(1)
    check_runners_agree(use_threads, lambda: small_net(dense(1)), x, y, batch_size=None, epochs=200, **STEADY)


def test_batches_of_one_row(use_threads):
    layers = lambda: [dense(7, "tanh"), LayerNorm(), dense(3)]  # noqa: E731
    check_runners_agree(use_threads, layers, batch_size=1, epochs=4, **STEADY)


@pytest.mark.parametrize("rows", [1, 4, 16])
@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(0.01, clip_norm=0.5)], ids=["sgd", "adam"])
def test_inputs_in_bands_and_blocks_of_rows(rows, optimizer, use_threads, monkeypatch):
    monkeypatch.setattr(compiled, "bands_pay", lambda *_: True)
    monkeypatch.setattr(compiled, "rows_of_a_block", lambda *_: rows)
    check_runners_agree(use_threads, small_net, optimizer=optimizer)


def test_more_inputs_than_an_inner_block_of_the_matrix_product(use_threads):
    check_runners_agree(use_threads, small_net, inputs(n_in=300), optimizer=SGD(0.002), epochs=50)


LOSSES = {
    "cross_entropy, labels": ("cross_entropy", "softmax", labels()),
    "cross_entropy, labels in a column": ("cross_entropy", "softmax", labels().reshape(-1, 1)),
    "cross_entropy, one-hot": ("cross_entropy", "softmax", one_hot()),
    "cross_entropy, shares": ("cross_entropy", "softmax", np.random.default_rng(5).dirichlet([1, 2, 3], 53)),
    "cross_entropy, rows that do not sum to 1": ("cross_entropy", "softmax", np.random.default_rng(6).random((53, 3))),
    "binary_cross_entropy, one output": ("binary_cross_entropy", "sigmoid", labels(2)),
    "binary_cross_entropy, one-hot": ("binary_cross_entropy", "sigmoid", one_hot()),
    "poisson": ("poisson", "exponential", labels(5).reshape(-1, 1) + np.arange(3)),
    "mse": ("mse", "identity", targets()),
    "mse on softmax": ("mse", "softmax", one_hot()),
    "sse": ("sse", "tanh", targets()),
    "mae": ("mae", "identity", targets()),
    "huber": ("huber", "identity", 2.0 * targets()),
}
WEIGHTS = {
    "unweighted": {},
    "sample_weight": {"sample_weight": np.random.default_rng(7).random(53)},
    "batches of weight 0": {"sample_weight": np.repeat([1.0, 0.0], [16, 37]), "shuffle": False},
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize(("loss", "output", "y"), LOSSES.values(), ids=LOSSES)
def test_every_loss(loss, output, y, weights, use_threads):
    n_out = 1 if loss == "binary_cross_entropy" and y.ndim == 1 else 3
    layers = lambda: small_net(dense(n_out, output, initializer=Normal(0.3)))  # noqa: E731
    rate = 0.002 if loss == "sse" else 0.02
    check_runners_agree(use_threads, layers, y=y, loss=loss, optimizer=SGD(rate, momentum=0.5), **weights)


def test_the_loss_takes_the_output_activation_of_a_separate_layer(use_threads):
    layers = lambda: [dense(7, "tanh"), dense(3), LayerNorm(), Activation("softmax")]  # noqa: E731
    check_runners_agree(use_threads, layers, y=labels(), loss="cross_entropy", **STEADY)
    layers = lambda: [dense(7, "tanh"), dense(3), Activation("softmax")]  # noqa: E731
    check_runners_agree(use_threads, layers, y=labels(), loss="cross_entropy", **STEADY)


@pytest.mark.parametrize("class_weight", [{0: 2.0, 2: 0.5}, {1: 0}, "balanced"])
@pytest.mark.parametrize("sample_weight", [None, np.linspace(0.0, 3.0, 53)])
@pytest.mark.parametrize("y", [labels(), one_hot()], ids=["labels", "one-hot"])
def test_class_weights(class_weight, sample_weight, y, use_threads):
    layers = lambda: small_net(dense(3, "softmax"))  # noqa: E731
    weights = {"class_weight": class_weight, "sample_weight": sample_weight}
    check_runners_agree(use_threads, layers, y=y, teams=(1, 2), **weights, **STEADY)


@pytest.mark.parametrize("class_weight", [{1: 3.0}, "balanced"])
def test_class_weights_of_one_sigmoid_output(class_weight, use_threads):
    layers = lambda: small_net(dense(1, "sigmoid"))  # noqa: E731
    check_runners_agree(use_threads, layers, y=labels(2), teams=(1, 2), class_weight=class_weight, **STEADY)


OPTIMIZERS = {
    "sgd": SGD(0.02),
    "sgd of large weights": SGD(0.02, clip_norm=1e9),
    "momentum": SGD(0.02, momentum=0.9),
    "nesterov": SGD(0.02, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(0.002),
    "rmsprop, other numbers": RMSprop(0.002, rho=0.5, epsilon=1e-3),
    "adam": Adam(0.003),
    "adam, other numbers": Adam(0.003, beta_1=0.5, beta_2=0.9, epsilon=1e-4),
    "adam without memory": Adam(0.003, beta_1=0.0, beta_2=0.0),
    "adamw": AdamW(0.003, weight_decay=0.1),
    **{f"clip_norm {name}": kind(0.01, clip_norm=0.3) for name, kind in (("sgd", SGD), ("adam", Adam))},
    **{f"clip_value {name}": kind(0.01, clip_value=0.02) for name, kind in (("sgd", SGD), ("adamw", AdamW))},
}


@pytest.mark.parametrize("penalty", [{}, {"l1": 0.01}, {"l2": 0.1}, {"l1": 0.02, "l2": 0.03}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_optimizer_with_every_penalty(optimizer, penalty, use_threads):
    layers = lambda: [dense(7, "tanh", **penalty), LayerNorm(), dense(3)]  # noqa: E731
    check_runners_agree(use_threads, layers, optimizer=optimizer)


SCHEDULES = {
    "step": schedules.StepDecay(0.05, 0.5, every=10),
    "exponential": schedules.ExponentialDecay(0.05),
    "cosine": schedules.Cosine(0.05, 0.001),
    "inverse_scaling": schedules.InverseScaling(0.05),
    "one_cycle": schedules.OneCycle(0.05),
    "warmup": schedules.Warmup(2.5, schedules.Cosine(0.05)),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_every_schedule(schedule, use_threads):
    check_runners_agree(use_threads, small_net, optimizer=SGD(schedule, momentum=0.9), teams=(1, 2))


def test_without_shuffling(use_threads):
    check_runners_agree(use_threads, small_net, shuffle=False, **STEADY)


def test_rows_left_out_for_validation_are_not_trained_on(use_threads):
    check_runners_agree(use_threads, small_net, validation_split=0.3, **STEADY)
