"""The captured runner on a simulated device: the numbers of the plain runner, and in a graph only what is legal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from accelnn_kernels.cuda.simulated_accesses import to_bfloat16
from captured_training import (
    BATCH_SIZE,
    FORMS,
    N_IN,
    N_ROWS,
    check_agrees,
    dense,
    inputs,
    labels,
    targets,
    trained,
)
from simulated_device import SimulatedDevice

from accelnn import (
    SGD,
    Activation,
    Adam,
    BatchNorm,
    Callback,
    Dropout,
    LayerNorm,
    Normal,
    Rescaling,
    RMSprop,
    Sequential,
)
from accelnn.errors import AccelnnWarning, BackendError
from accelnn.training import fit
from accelnn.training.callbacks import CallbackList
from accelnn.training.data import TrainingData
from accelnn.training.objective import Objective
from accelnn.training.row_orders import OrderAhead
from accelnn.training.runners import captured, captured_graphs

NODES = {
    "fused": [
        "dense_forward_gathered.relu.float64", "dense_forward.identity", "loss.cross_entropy", "dense_backward.relu",
        "dense_backward_gathered.float64", "update.sgd",
    ],
    "products": [
        "gather_rows.float64", "gemm", "bias_activation.relu", "gemm", "bias_activation.identity",
        "loss.cross_entropy", "activation_gradient.identity", "gemm", "activation_gradient.relu",
        "gemm", "gemm", "update.sgd",
    ],
}  # fmt: skip


def every_layer():
    return [
        Rescaling(0.5, 0.1),
        BatchNorm(),
        dense(6, "gelu", l1=0.01, l2=0.01),
        Dropout(0.3),
        LayerNorm(),
        Activation("tanh"),
        dense(4, "relu", use_bias=False),
        Rescaling(2.0, 0.1),
        dense(3, "softmax"),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": SGD(0.05, momentum=0.9, nesterov=True, clip_norm=0.5)},
        {"optimizer": Adam(0.01, clip_value=0.1), "sample_weight": np.linspace(0, 1, N_ROWS)},
        {"optimizer": RMSprop(0.01), "y": np.eye(3)[labels()]},
        {"optimizer": SGD(0.05), "y": np.eye(3)[labels()], "loss": "mse"},
    ],
    ids=["clip_norm", "weights", "rows", "mse"],
)
def test_every_layer(on_device, options):
    check_agrees(on_device, every_layer, **{"y": labels()} | options)


ACTIVATIONS = (
    *("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "silu", "gelu"),
    *("hard_sigmoid", "exponential"),
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_layers(on_device, activation, form, use_form):
    """All positions of an activation: behind the inputs, between two layers, and at the output."""
    use_form(form)
    layers = lambda: [Rescaling(0.5, 0.1), *(dense(n, activation, initializer=Normal(0.2)) for n in (4, 5, 3))]  # noqa: E731
    device = check_agrees(on_device, layers, epochs=1, loss="mse", optimizer=SGD(0.001))
    assert any(entry.startswith("dense_forward") for entry in device.log) == (form == "fused")
    assert any(entry.startswith("persistent_steps") for entry in device.log) == (form == "persistent")


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": SGD(0.05, momentum=0.9, clip_norm=0.5)},
        {"optimizer": Adam(0.01, clip_value=0.1), "sample_weight": np.linspace(0, 1, N_ROWS)},
        {"optimizer": SGD(0.05), "x": (40 * inputs() + 128).clip(0, 255).astype(np.uint8)},
    ],
    ids=["clip_norm", "weights", "bytes"],
)
def test_fused_layers_with_options(on_device, options):
    layers = lambda: [Rescaling(0.01), dense(6, "gelu", l2=0.01), dense(5, "relu", use_bias=False), dense(3, "softmax")]  # noqa: E731
    check_agrees(on_device, layers, **{"y": labels(), "epochs": 1} | options)


def test_a_last_single_row_and_batch_norm(on_device):
    x, y = inputs()[:9], labels()[:9]
    with pytest.warns(AccelnnWarning, match="batches have 5 rows instead of 4: of 9 rows"):
        check_agrees(on_device, every_layer, x, y, batch_size=4, optimizer=Adam(0.01))


def test_a_chunk_of_one_step_is_the_same(on_device, monkeypatch):
    monkeypatch.setattr(captured, "TABLE_STEPS", 2)
    check_agrees(on_device, lambda: [dense(4, "tanh"), Dropout(0.5), dense(3)])


def test_a_rate_that_a_callback_sets(on_device):
    class Halves(Callback):
        def on_epoch_end(self, model, epoch, record):
            self.set_learning_rate(self.get_learning_rate() / 2)

    check_agrees(on_device, lambda: [dense(4, "tanh"), dense(3)], optimizer=Adam(0.1), callbacks=Halves())


def test_graphs_of_several_steps(on_device, monkeypatch):
    monkeypatch.setattr(captured_graphs, "STEPS_OF_GRAPHS", (3, 1))
    device = check_agrees(
        on_device, lambda: [dense(4, "tanh"), Dropout(0.5), dense(3)], batch_size=3, optimizer=Adam(0.1)
    )
    # An epoch has 7 full batches: two graphs of 3 steps, one of 1, and one for the partial batch.
    assert device.log.count("replay") == 2 * 4


def test_bfloat16_products_keep_float32_weights(on_device):
    check_agrees(
        on_device, lambda: [dense(8, "relu"), dense(3, "softmax")], inputs().astype(np.float32), labels(),
        dtype="float32", precision="bf16", tolerance=2e-2, epochs=1,
    )  # fmt: skip


def test_a_graph_that_is_recorded_in_the_middle_of_an_epoch_leaves_no_trace():
    model = Sequential([dense(8, "relu"), dense(3, "softmax")], n_in=N_IN, dtype="float32", seed=0, backend="cpu")
    state = fit.OptimizerState.fresh(Adam(0.5), model)
    data = TrainingData(inputs().astype(np.float32), labels())
    runner = captured.CapturedRunner(
        model, data, "cross_entropy", state.optimizer, state.moments, 8, precision="bf16", device=SimulatedDevice()
    )
    runner.train(0, 1, np.full((1, 6), 0.5), np.zeros((1, 0, 2), np.uint32))
    before = [array.copy() for array in (model.arena.values, *state.moments)]
    runner.steps.run_once()
    for array, kept in zip((model.arena.values, *state.moments), before, strict=True):
        np.testing.assert_array_equal(array, kept)
    copy = runner.net.memory.array_at(runner.net.memory.copy)
    np.testing.assert_array_equal(copy, to_bfloat16(model.arena.values))


@pytest.mark.parametrize("objective", [Objective(2.5), Objective(0.5, penalty_per_row=True)])
def test_other_objectives(on_device, objective):
    data, values = TrainingData(inputs(), targets()), []
    for runner in ("plain", "captured"):
        if runner == "captured":
            on_device()
        model = Sequential([dense(4, "tanh", l2=0.3), dense(3, l1=0.1)], n_in=N_IN, dtype="float64", seed=0)
        settings = fit.Settings("mse", 2, BATCH_SIZE, None, runner, np.arange(N_ROWS), objective=objective)
        state = fit.OptimizerState.fresh(SGD(0.1), model)
        history = fit.Training(model, data, settings, state, CallbackList()).run()
        values.append((model.arena.values, history["loss"]))
    np.testing.assert_allclose(values[1][0], values[0][0], rtol=1e-11)
    np.testing.assert_allclose(values[1][1], values[0][1], rtol=1e-11)


def test_penalties_are_not_shared_out_over_weighted_rows():
    model, objective = Sequential([dense(3, l2=0.3)], n_in=N_IN, dtype="float64"), Objective(penalty_per_row=True)
    data = TrainingData(inputs(), targets(), np.ones(N_ROWS))
    with pytest.raises(BackendError, match="weighted rows"):
        captured.CapturedRunner(model, data, "mse", SGD(), (), 8, device=SimulatedDevice(), objective=objective)


def test_data_larger_than_the_device_is_streamed(on_device, monkeypatch):
    monkeypatch.setattr(captured, "RESIDENT_SHARE", 1.0)
    x = inputs()
    layers = lambda: [dense(4, "tanh"), dense(3)]  # noqa: E731
    expected, _ = trained(layers, x, targets(), batch_size=4, runner="plain")
    device = on_device(capacity_bytes=x.nbytes - 1)
    model, _ = trained(layers, x, targets(), batch_size=4)
    assert device.log.count("send") == 2 * 6  # a quarter of the memory holds one batch of four rows
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11)


@pytest.mark.parametrize("nodes", NODES)
def test_a_step_starts_what_it_needs_and_nothing_else(on_device, nodes, use_form):
    use_form(nodes)
    device = on_device()
    trained(lambda: [dense(4, "relu"), dense(3, "softmax")], inputs(), labels(), epochs=1, batch_size=11)
    replays = [i for i, entry in enumerate(device.log) if entry == "replay"]
    between = device.log[replays[0] + 1 : replays[1]]
    assert between == []  # one graph after the other, without a word from the host
    first_step = list(itertools.takewhile(lambda entry: not entry.startswith("advance"), step_of(device.log)))
    assert [name.removesuffix(".float64") for name in first_step] == NODES[nodes]


def step_of(log):
    return itertools.dropwhile(lambda entry: "gather" not in entry, log)


def test_waiting_or_allocating_inside_a_graph_is_caught():
    device = SimulatedDevice()
    for forbidden in (device.synchronize, lambda: device.zeros(1, "float32")):
        with pytest.raises(RuntimeError, match="while a graph was recorded"):
            device.record(forbidden)


def test_predictions(on_device):
    model, _ = trained(every_layer, inputs(), labels(), epochs=1, runner="plain")
    x = inputs()
    predictor = captured.CapturedPredictor(model, "float64", 8, scores=False, device=SimulatedDevice())
    np.testing.assert_allclose(predictor.predict(x), model.predict_proba(x), rtol=1e-12)
    np.testing.assert_allclose(predictor.predict_on_backend(x), model.predict_proba(x), rtol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_the_next_order_is_drawn_while_the_device_works(on_device, use_form, form, monkeypatch):
    use_form(form)
    device, prepare = on_device(), OrderAhead.prepare
    monkeypatch.setattr(OrderAhead, "prepare", lambda *arguments: (device.log.append("order"), prepare(*arguments)))
    trained(lambda: [dense(4, "relu"), dense(3)], inputs(), targets(), epochs=2)
    drawn = [i for i, entry in enumerate(device.log) if entry == "order"]
    assert len(drawn) == 2
    for i in drawn:
        assert device.log[i - 1].startswith("replay" if form != "persistent" else "persistent_steps")
        assert device.log[i + 1] == "download"


def test_repeated_training_allocates_the_same_again(on_device):
    counts = []
    for _ in range(3):
        device = on_device()
        trained(lambda: [dense(3)], inputs(), targets(), epochs=1)
        counts.append(device.log.count("zeros"))
    assert len(set(counts)) == 1
