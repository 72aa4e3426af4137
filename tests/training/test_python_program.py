"""The program that the compiler translates gives the same numbers when Python runs it, for a team of one."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels.catalog import python_program_loop

from accelnn import SGD, Activation, Adam, AdamW, BatchNorm, Dropout, LayerNorm, Rescaling, Sequential
from accelnn.arrays import reference
from accelnn.training.data import TrainingData
from accelnn.training.runners import compiled, step
from tests.training.parity import check_same_weights, dense, inputs, labels, one_hot, small_net, targets, trained

TRAIN = python_program_loop(step.train_steps, step.train_step)
PREDICT = python_program_loop(step.predict_steps)


class Table:
    """An array of records whose fields are attributes, as they are to compiled code.

    (The attributes of NumPy's own records hide the fields called ``copy`` and ``itemsize``.)
    """

    def __init__(self, records):
        self.records, self.size = records, records.size

    def __getitem__(self, index):
        return Record(self.records, index)


class Record:
    def __init__(self, records, index):
        self.__dict__.update(records=records, index=index)

    def __getattr__(self, name):
        return self.records[name][self.index]

    def __setattr__(self, name, value):
        self.records[name][self.index] = value


def in_python(loop):
    """Return a compiled loop's stand-in, which runs the program as Python."""
    return lambda net, first, last, outputs: loop(
        compiled.CompiledNet(*(Table(records) for records in net)), first, last, *outputs
    )


@pytest.fixture
def python_program(monkeypatch, use_threads):
    """Return a function that makes the compiled runner run its program as Python from now on."""
    use_threads(1)

    def switch():
        monkeypatch.setattr(compiled, "_train_steps", lambda: in_python(TRAIN))
        monkeypatch.setattr(compiled, "_predict_steps", lambda: in_python(PREDICT))

    return switch


def every_layer():
    return [
        Rescaling(0.5, 0.1),
        BatchNorm(),
        dense(6, "relu"),
        Dropout(0.2),
        LayerNorm(),
        Activation("tanh"),
        Rescaling(1.5),
        dense(5, "silu", l1=1e-3, l2=1e-2),
        BatchNorm(),
        dense(3, "softmax"),
    ]


def layer_norm_first():
    return [LayerNorm(), dense(4, "gelu", use_bias=False), dense(3, "softmax")]


def last_activation_apart():
    return [Activation("tanh"), dense(3, "elu"), BatchNorm(), Activation("softmax")]


@pytest.mark.parametrize("layers", [every_layer, layer_norm_first, last_activation_apart])
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": SGD(0.05)},
        {"optimizer": SGD(0.05, momentum=0.9, nesterov=True, clip_norm=0.5)},
        {"optimizer": Adam(0.01, clip_value=0.1), "sample_weight": np.linspace(0, 2, 53)},
        {"optimizer": AdamW(0.01, clip_norm=100.0), "validation_split": 0.3, "metrics": "accuracy"},
        {"loss": "mse", "y": one_hot(), "optimizer": "rmsprop"},
        {"loss": "sse", "y": targets(), "optimizer": SGD(0.001)},
    ],
    ids=["sgd", "clip_norm", "clip_value, weights", "validation", "mse", "sse"],
)
def test_training_in_python(layers, options, python_program):
    options = {"y": labels(), "epochs": 2, **options}
    y = options.pop("y")
    model, history = trained(layers, inputs(), y, **options)
    python_program()
    other, other_history = trained(layers, inputs(), y, **options)
    check_same_weights(model, other, 1e-12)
    for column in set(history) - {"seconds", "samples_per_s"}:
        np.testing.assert_allclose(other_history[column], history[column], rtol=1e-11)


@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(0.01)], ids=["sgd", "adam"])
def test_bands_in_python(optimizer, python_program, monkeypatch):
    monkeypatch.setattr(compiled, "bands_pay", lambda *_: True)
    monkeypatch.setattr(compiled, "rows_of_a_block", lambda *_: 7)
    model, _ = trained(small_net, inputs(), targets(), optimizer=optimizer, epochs=2)
    python_program()
    other, _ = trained(small_net, inputs(), targets(), optimizer=optimizer, epochs=2)
    check_same_weights(model, other, 1e-12)


def test_prediction_in_python(python_program):
    model, _ = trained(every_layer, inputs(), labels(), epochs=1)
    expected = model.predict_proba(inputs())
    python_program()
    np.testing.assert_allclose(model.predict_proba(inputs()), expected, rtol=1e-13)


def test_a_thread_that_gave_up_leaves_after_its_step_without_an_update(python_program):
    model = Sequential(every_layer(), n_in=5, seed=0)
    runner = compiled.CompiledRunner(model, TrainingData(inputs(), labels()), "cross_entropy", SGD(0.1), (), 16)
    runner.begin_epoch(np.arange(53))
    runner.machine.set(abandoned=1)
    python_program()
    before = model.get_weights()
    losses = runner.train(0, 4, np.full((4, 1), 0.1), reference.dropout_keys(0, np.arange(4), 1))
    assert losses[0] > 0.0
    assert not losses[1:].any()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
