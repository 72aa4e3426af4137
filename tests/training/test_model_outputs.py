"""``evaluate``, ``predict`` and ``predict_proba``, compiled and plain."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from accelnn import Activation, BatchNorm, Dense, Dropout, LayerNorm, Rescaling, Sequential
from accelnn.arrays import reference
from accelnn.errors import ArgumentError, NotBuiltError
from accelnn.network.network import Network
from accelnn.training import pace
from accelnn.training.metrics import METRICS
from accelnn.training.runners import choice, compiled
from accelnn.training.runners.plain import PlainPredictor
from tests.training.parity import dense, inputs, labels, targets


def model_of(*layers, dtype="float64", n_in=5) -> Sequential:
    return Sequential(layers, dtype=dtype, seed=0, n_in=n_in)


def every_layer(output: str) -> list:
    return [
        Rescaling(0.5, 0.1),
        BatchNorm(),
        dense(9, "gelu"),
        Dropout(0.3),
        LayerNorm(),
        Activation("elu"),
        Rescaling(2.0),
        dense(7, "silu", use_bias=False),
        BatchNorm(),
        Activation("tanh"),
        dense(3, output),
    ]


NETS = {
    "everything": lambda: every_layer("identity"),
    "everything, softmax": lambda: every_layer("softmax"),
    "one dense layer": lambda: [dense(3, "sigmoid")],
    "an activation apart": lambda: [dense(3), Activation("softmax")],
    "an activation behind another": lambda: [dense(3, "tanh"), Activation("softmax")],
    "dropout last": lambda: [dense(3, "relu"), Dropout(0.9)],
    "nothing but dropout": lambda: [Dropout(0.9)],
    "nothing but rescaling": lambda: [Rescaling(3.0, 1.0)],
    "nothing but normalization": lambda: [BatchNorm(), LayerNorm()],
}


def plain_output(model: Network, x: np.ndarray, *, scores: bool = False) -> np.ndarray:
    x = x.astype(model.dtype)
    return PlainPredictor(model, 16, reference_ops(), scores=scores).predict(x)


def reference_ops():
    from accelnn.arrays import PlainOps

    return PlainOps()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("layers", NETS.values(), ids=NETS)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 49])
def test_compiled_outputs_are_the_plain_ones(n, layers, threads, use_threads, monkeypatch):
    """Forty-nine rows in pieces of sixteen: the last piece has one row and is shared out otherwise."""
    use_threads(threads)
    monkeypatch.setattr(choice, "PREDICTION_ROWS", 16)
    model, x = model_of(*layers()), inputs(n=n)
    model.arena.state[...] = np.random.default_rng(0).random(model.arena.state.size) + 0.5
    for scores in (False, True):
        predictor = choice.choose_predictor(model, x, scores=scores)
        assert predictor.name == "compiled"
        np.testing.assert_allclose(predictor.predict(x), plain_output(model, x, scores=scores), rtol=1e-12, atol=1e-14)


def test_a_last_piece_that_is_shared_out_otherwise_does_not_disturb_the_one_before(use_threads, monkeypatch):
    """Three threads have rows 0-21, 22-43, 44-63 of a whole piece and 0-19, 20-39, 40-57 of the last one."""
    use_threads(3)
    monkeypatch.setattr(choice, "PREDICTION_ROWS", 64)
    model, x = model_of(dense(400, "gelu"), dense(400, "gelu"), dense(3)), inputs(n=64 + 58)
    predictor = choice.choose_predictor(model, x)
    expected = plain_output(model, x)
    for _ in range(40):
        np.testing.assert_allclose(predictor.predict(x), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_inputs_of_every_dtype(dtype):
    x = np.random.default_rng(0).integers(0, 256, (20, 5)).astype(dtype)
    model = model_of(Rescaling(1 / 255), dense(3), dtype="float32")
    assert model.predict(x).dtype == np.float32
    np.testing.assert_allclose(model.predict(x), plain_output(model, x), rtol=1e-5)


def test_predictions_in_chunks(use_threads, monkeypatch):
    use_threads(2)
    monkeypatch.setattr(choice, "PREDICTION_ROWS", 16)
    monkeypatch.setattr(compiled, "FIRST_PREDICTIONS", 1)
    monkeypatch.setattr(pace, "GROWTH", 2)
    model, x, run, chunks = model_of(*every_layer("softmax")), inputs(n=200), compiled.Machine.run, []

    def spy(machine, function, first, last, *outputs):
        chunks.append((first, last))
        run(machine, function, first, last, *outputs)

    with monkeypatch.context() as patch:
        patch.setattr(compiled.Machine, "run", spy)
        output = choice.choose_predictor(model, x).predict(x)
    assert chunks == [(0, 1), (1, 3), (3, 7), (7, 13)]
    np.testing.assert_allclose(output, plain_output(model, x), rtol=1e-12, atol=1e-14)


def test_ctrl_c_between_two_chunks_leaves_the_model_as_it_was(monkeypatch):
    monkeypatch.setattr(compiled, "FIRST_PREDICTIONS", 1)
    model, x, run, seen = model_of(*every_layer("softmax")), inputs(n=3000), compiled.Machine.run, []

    def interrupted(machine, function, first, last, *outputs):
        if seen:
            signal.raise_signal(signal.SIGINT)
        seen.append(run(machine, function, first, last, *outputs))

    expected = model.predict_proba(x)
    with monkeypatch.context() as patch:
        patch.setattr(compiled.Machine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.predict_proba(x)
    assert len(seen) == 1
    np.testing.assert_array_equal(model.predict_proba(x), expected)


def test_many_rows():
    x = inputs(n=3000)
    model = model_of(dense(70, "relu"), dense(3))
    np.testing.assert_allclose(model.predict(x), plain_output(model, x), rtol=1e-11, atol=1e-13)


def test_softmax_predicts_labels_and_probabilities():
    model, x = model_of(dense(3, "softmax")), inputs()
    shares = model.predict_proba(x)
    assert (shares.shape, shares.dtype) == ((53, 3), np.float64)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-14)
    predicted = model.predict(x)
    assert (predicted.shape, predicted.dtype) == ((53,), np.int64)
    np.testing.assert_array_equal(predicted, shares.argmax(axis=1))
    assert set(predicted) == {0, 1, 2}


def test_one_sigmoid_output_predicts_0_or_1():
    model, x = model_of(dense(1, "sigmoid")), inputs()
    shares = model.predict_proba(x)
    assert shares.shape == (53, 1)
    predicted = model.predict(x)
    assert (predicted.shape, predicted.dtype) == ((53,), np.int64)
    np.testing.assert_array_equal(predicted, shares[:, 0] > 0.5)


def test_several_sigmoid_outputs_predict_rows_of_0_and_1():
    model, x = model_of(dense(4, "sigmoid"), dtype="float32"), inputs()
    predicted = model.predict(x)
    assert (predicted.shape, predicted.dtype) == ((53, 4), np.int64)
    np.testing.assert_array_equal(predicted, model.predict_proba(x) > 0.5)
    assert model.predict_proba(x).dtype == np.float32


@pytest.mark.parametrize("activation", ["identity", "tanh", "exponential"])
def test_other_outputs_are_predicted_as_they_are(activation):
    model = model_of(dense(2, activation), dtype="float32")
    assert model.predict(inputs()).shape == (53, 2)
    assert model.predict(inputs()).dtype == np.float32
    with pytest.raises(ArgumentError, match=f"the output activation is '{activation}': end the network"):
        model.predict_proba(inputs())


def test_predictions_are_new_arrays():
    model, x = model_of(dense(2)), inputs()
    first = model.predict(x)
    kept = first.copy()
    model.predict(x + 1.0)
    np.testing.assert_array_equal(first, kept)
    first[...] = 0.0
    np.testing.assert_array_equal(model.predict(x), kept)


@pytest.mark.parametrize("call", ["predict", "predict_proba", "evaluate"])
def test_a_model_without_weights_cannot_be_used(call):
    model = Sequential([Dense(3, "softmax")])
    arguments = (inputs(), labels()) if call == "evaluate" else (inputs(),)
    with pytest.raises(NotBuiltError, match=r"call build\(n_in\) or fit first"):
        getattr(model, call)(*arguments)
    assert not model.built


OUTPUTS = {
    "cross_entropy": ("softmax", labels()),
    "binary_cross_entropy": ("sigmoid", np.eye(3)[labels()]),
    "poisson": ("exponential", np.eye(3)[labels()]),
    "mse": ("identity", targets()),
    "sse": ("identity", targets()),
    "mae": ("softmax", np.eye(3)[labels()]),
    "huber": ("tanh", targets()),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", [None, np.arange(53)])
@pytest.mark.parametrize("loss", OUTPUTS)
def test_evaluate_gives_the_loss_of_all_rows(loss, weights, dtype, monkeypatch):
    monkeypatch.setattr(choice, "PREDICTION_ROWS", 16)
    activation, y = OUTPUTS[loss]
    model, x = model_of(*every_layer(activation), dtype=dtype), inputs()
    fused = reference.LOSSES[loss].fused_activation is not None
    output = plain_output(model, x, scores=fused).astype(np.float64)
    expected, _ = reference.loss_and_gradient(loss, output, y, weights)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(model.evaluate(x, y, loss=loss, sample_weight=weights)["loss"], expected, rtol=tolerance)


def test_evaluate_gives_metrics_of_the_activations():
    model, x, y = model_of(dense(3, "softmax")), inputs(), np.eye(3)[labels()]
    values = model.evaluate(x, y, metrics=["accuracy", "binary_accuracy", "mse", "mae", "rmse", "r2"])
    assert list(values) == ["loss", "accuracy", "binary_accuracy", "mse", "mae", "rmse", "r2"]
    for name in METRICS:
        np.testing.assert_allclose(values[name], METRICS[name](model.predict_proba(x), y), rtol=1e-12)
    assert values["accuracy"] == np.mean(model.predict(x) == labels())


def test_evaluate_takes_the_loss_of_the_last_training_and_changes_nothing():
    model, x, y = model_of(dense(3), BatchNorm(), Dropout(0.5)), inputs(), targets()
    assert model.evaluate(x, y) == model.evaluate(x, y, loss="mse")
    model.fit(x, y, loss="mae", epochs=2, verbose=0)
    weights, history = model.get_weights(), model.history
    assert model.evaluate(x, y) == model.evaluate(x, y, loss="mae")
    model.evaluate(x, y, loss="huber")
    assert model.evaluate(x, y) == model.evaluate(x, y, loss="mae")
    assert model.history is history
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_an_overflow_is_returned_as_it_is():
    model = model_of(dense(3), n_in=5)
    assert model.evaluate(np.full((2, 5), 1e200), targets()[:2])["loss"] == np.inf
    model = model_of(Dense(2, initializer=np.full((1, 2), 1e30)), Activation("relu"), dtype="float32", n_in=1)
    assert np.isinf(model.predict([[1e30]])).all()
    assert np.isinf(plain_output(model, np.array([[1e30]]))).all()
