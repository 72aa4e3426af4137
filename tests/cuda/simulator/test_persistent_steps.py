"""The persistent kernel on a simulated device, where it has one block: the numbers of the plain runner."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from captured_training import BATCH_SIZE, N_IN, N_ROWS, check_agrees, dense, inputs, labels, targets, trained
from simulated_device import SimulatedDevice

from accelnn import SGD, Adam, Dropout, Rescaling, RMSprop, Sequential
from accelnn.training import fit
from accelnn.training.callbacks import CallbackList
from accelnn.training.data import TrainingData
from accelnn.training.objective import Objective
from accelnn.training.runners import captured, captured_graphs, persistent
from benchmarks.gpu_check import persistent_phases


def layers(hidden="relu", output="softmax", **options):
    return lambda: [Rescaling(0.01), dense(6, hidden, **options), dense(5, hidden, use_bias=False), dense(3, output)]


def launches(device):
    return sum(entry.startswith("persistent_steps") for entry in device.log)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": Adam(0.01, clip_value=0.1), "sample_weight": np.linspace(0, 1, N_ROWS)},
        {"optimizer": SGD(0.05, momentum=0.9, nesterov=True), "y": np.eye(3)[labels()]},
        {"optimizer": RMSprop(0.05), "x": (40 * inputs() + 128).clip(0, 255).astype(np.uint8)},
        {"y": targets(), "loss": "mae", "sample_weight": np.linspace(0, 1, N_ROWS)},
        {"y": np.abs(targets()), "loss": "sse"},
        {"y": (targets() > 0).astype(float), "loss": "binary_cross_entropy"},
    ],
    ids=["adam", "nesterov", "bytes", "weights", "sums", "binary"],
)
def test_losses_optimizers_and_data(on_device, options):
    output = {"mae": "gelu", "sse": "tanh", "binary_cross_entropy": "sigmoid"}.get(options.get("loss"), "softmax")
    device = check_agrees(on_device, layers("tanh", output, l2=0.01, l1=0.02), **{"y": labels()} | options)
    assert launches(device) == 1 + 2 * 2, "one to load it; in each epoch the full batches and the partial one"


def test_rows_and_columns_of_many_tiles(on_device):
    """More rows than a tile has, wide and odd layers, and inputs that can be read 16 bytes at a time."""
    for sizes in ((24, 20, 3), (23, 9, 1)):
        wide = lambda: [dense(n, "gelu") for n in sizes[:2]] + [dense(sizes[2])]  # noqa: B023, E731
        check_agrees(on_device, wide, inputs(12), targets(sizes[2]), batch_size=18, loss="mse")


@pytest.mark.parametrize(("n_in", "n_out"), [(40, 20), (37, 13), (16, 8)])
def test_a_first_layer_of_several_tiles(on_device, n_in, n_out):
    """Of 16 inputs and 8 outputs each; the last ones are partial, or there is one for the bias alone."""
    layers = lambda: [dense(n_out, "tanh"), dense(3, "softmax")]  # noqa: E731
    check_agrees(on_device, layers, inputs(n_in), labels(), batch_size=N_ROWS)


@pytest.mark.parametrize("output", ["softmax", "sigmoid", "gelu"])
def test_one_layer(on_device, output):
    options = {"y": labels()} if output == "softmax" else {"y": targets(), "loss": "mse"}
    device = check_agrees(on_device, lambda: [dense(3, output, l2=0.1)], **options)
    assert launches(device) > 0


def test_as_many_layers_as_there_may_be(on_device):
    check_agrees(on_device, lambda: [*(dense(4, "tanh") for _ in range(7)), dense(3, "softmax")], y=labels(), epochs=1)


@pytest.mark.parametrize("batch_size", [1, 5, N_ROWS])
def test_batches_of_any_size(on_device, batch_size):
    check_agrees(on_device, layers("sigmoid"), y=labels(), batch_size=batch_size, epochs=1)


def test_float32(on_device):
    check_agrees(on_device, layers(), inputs().astype(np.float32), labels(), dtype="float32", tolerance=2e-6)


def test_a_long_epoch_is_several_launches(on_device, monkeypatch):
    monkeypatch.setattr(persistent, "STEPS_OF_A_LAUNCH", 3)
    monkeypatch.setattr(captured, "TABLE_STEPS", 5)
    device = check_agrees(on_device, layers("elu"), y=labels(), batch_size=3, optimizer=Adam(0.1), epochs=2)
    # An epoch has 7 full batches and a partial one: tables of 5 and 3 steps, launches of 3, 2, 2 and 1.
    assert launches(device) == 1 + 2 * 4


def test_streamed_rows(on_device, monkeypatch):
    monkeypatch.setattr(captured, "RESIDENT_SHARE", 1.0)
    x = inputs()
    expected, _ = trained(layers(), x, labels(), batch_size=4, runner="plain")
    device = on_device(capacity_bytes=x.nbytes - 1)
    model, _ = trained(layers(), x, labels(), batch_size=4)
    assert device.log.count("send") == 2 * 6
    assert launches(device) > 0
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11)


@pytest.mark.parametrize("objective", [Objective(2.5), Objective(0.5, penalty_per_row=True)])
def test_other_objectives(on_device, objective):
    data, values = TrainingData(inputs(), targets()), []
    for runner in ("plain", "captured"):
        if runner == "captured":
            on_device()
        model = Sequential([dense(4, "tanh", l2=0.3), dense(3, l1=0.1)], n_in=N_IN, dtype="float64", seed=0)
        settings = fit.Settings("mse", 2, BATCH_SIZE, None, runner, np.arange(N_ROWS), objective=objective)
        history = fit.Training(model, data, settings, fit.OptimizerState.fresh(SGD(0.1), model), CallbackList()).run()
        values.append((model.arena.values, history["loss"]))
    np.testing.assert_allclose(values[1][0], values[0][0], rtol=1e-11)
    np.testing.assert_allclose(values[1][1], values[0][1], rtol=1e-11)


def test_nan_is_not_hidden():
    x = inputs()
    x[3, 2] = np.nan
    model, state = Sequential([dense(4, "relu"), dense(3, "softmax")], n_in=N_IN, dtype="float64"), SGD(0.1)
    runner = captured.CapturedRunner(
        model, TrainingData(x, labels()), "cross_entropy", state, (), 8, precision="float64", device=SimulatedDevice()
    )
    runner.begin_epoch(np.arange(N_ROWS))
    losses = runner.train(0, 2, np.full((2, 6), 0.1), np.zeros((2, 0, 2), np.uint32))
    assert np.isnan(losses).all()
    assert np.isnan(model.layers[0].W[2]).all()


@pytest.mark.parametrize("name", persistent_phases.STEPS)
def test_steps_without_some_parts(name):
    """They are timed by the GPU check; what they leave out shows in losses and weights."""
    model, optimizer = Sequential([dense(4, "relu"), dense(3, "softmax")], n_in=N_IN, dtype="float64"), SGD(0.1)
    before = model.get_weights()
    arguments = (model, TrainingData(inputs(), labels()), "cross_entropy", optimizer, (), 8)
    with persistent_phases.made_of(persistent_phases.STEPS[name]):
        runner = captured.CapturedRunner(*arguments, precision="float64", device=SimulatedDevice())
    runner.begin_epoch(np.arange(N_ROWS))
    losses = runner.train(0, 2, np.full((2, 6), 0.1), np.zeros((2, 0, 2), np.uint32))
    assert (losses > 0).all() == (name in ("whole", "without_update"))
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(changed) if name == "whole" else not any(changed)


def steps_of(layers, batch_size=8, device=None, optimizer=None):
    model = Sequential(layers, n_in=N_IN, dtype="float32", seed=0, backend="cpu")
    state = fit.OptimizerState.fresh(optimizer or SGD(0.1), model)
    data = TrainingData(np.zeros((600, N_IN), np.float32), labels(n=600))
    arguments = (model, data, "cross_entropy", state.optimizer, state.moments, batch_size)
    return captured.CapturedRunner(*arguments, precision="float32", device=device or SimulatedDevice()).steps


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("layers are not all small", {"layers": [dense(4, "relu"), Dropout(0.5), dense(3, "softmax")]}),
        ("9 layers", {"layers": [*(dense(4, "relu") for _ in range(8)), dense(3, "softmax")]}),
        ("different activations", {"layers": [dense(4, "relu"), dense(4, "tanh"), dense(3, "softmax")]}),
        ("more than 16 rows", {"layers": [dense(4, "relu"), dense(3, "softmax")], "batch_size": 17}),
        ("inner layers", {"layers": [dense(29, "relu"), dense(29, "relu"), dense(3, "softmax")]}),
        ("norm", {"layers": [dense(4, "relu"), dense(3, "softmax")], "optimizer": SGD(0.1, clip_norm=1.0)}),
    ],
)
def test_what_is_left_to_graphs_and_why(reason, options, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG, "accelnn")
    monkeypatch.setattr(persistent, "MAX_ROWS", 16)
    monkeypatch.setattr(persistent, "MAX_INNER_WEIGHTS", 900)
    assert isinstance(steps_of(**options), captured_graphs.GraphSteps)
    assert reason in caplog.text


def test_units_that_find_no_room_are_left_to_graphs(caplog):
    """The only block of the simulator has four quads of rows to do, for which it needs more memory than it has."""
    caplog.set_level(logging.DEBUG, "accelnn")
    network = lambda: [dense(150, "relu"), dense(3, "softmax")]  # noqa: E731
    assert isinstance(steps_of(network(), batch_size=16), captured_graphs.GraphSteps)
    assert "room in the shared memory" in caplog.text
    assert isinstance(steps_of(network(), batch_size=12), persistent.PersistentSteps)


class WithoutCooperation(SimulatedDevice):
    def cooperative_shape(self, threads):
        return 0, threads


def test_a_device_whose_blocks_cannot_wait_for_each_other_takes_graphs(caplog):
    caplog.set_level(logging.DEBUG, "accelnn")
    network = lambda: [dense(4, "relu"), dense(3, "softmax")]  # noqa: E731
    assert isinstance(steps_of(network(), device=WithoutCooperation()), captured_graphs.GraphSteps)
    assert "cooperative" in caplog.text
    assert isinstance(steps_of(network()), persistent.PersistentSteps)
