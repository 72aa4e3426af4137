"""A run whose numbers are no longer finite stops, says where it began, and does not leave garbage unnoticed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from accelnn import SGD, Adam, BatchNorm, Dense, Dropout, EarlyStopping, Rescaling, Sequential, schedules
from accelnn.errors import AccelnnWarning, ArgumentError, ArgumentTypeError, DivergenceError
from accelnn.network import Layer
from accelnn.training import divergence, pace
from accelnn.training.callbacks import Callback

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5))
T = RNG.normal(size=(64, 3))
LABELS = RNG.integers(0, 3, 64)
RUNNERS = ("plain", "compiled")


def message(layers: list[Layer], y: Any = T, **options: Any) -> str:
    """Return what is said about a run that fails."""
    model = Sequential(layers, seed=0, backend="cpu", dtype=options.pop("dtype", "float32"))
    settings = {"epochs": 200, "batch_size": 16, "verbose": 0, **options}
    with pytest.raises(DivergenceError) as caught:
        model.fit(X, y, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def two_layers() -> list[Layer]:
    return [Dense(4, "tanh", name="hidden"), Dense(3, name="output")]


@pytest.mark.parametrize("runner", RUNNERS)
class TestWhereItBegan:
    def test_a_step_too_far(self, runner: str) -> None:
        text = message([Dense(3, name="hidden"), Dense(3, name="output")], optimizer=SGD(1e3), runner=runner)
        assert re.match(r"the loss is inf in epoch 1, step 3 of 4, at the learning rate 1000; ", text)
        assert "the first result that is not finite is the loss mse" in text
        assert re.search(r"the largest gradient before it \d\.?\d*e\+\d\d, that of W of layer (hidden|output): ", text)
        assert text.endswith("(try values around -1..1)")

    def test_a_step_size_that_overflows(self, runner: str) -> None:
        text = message(two_layers(), optimizer="adam", learning_rate=1e308, runner=runner)
        assert "is W of layer hidden (update) in step 1, and the largest gradient" in text

    def test_an_update_that_overflows(self, runner: str) -> None:
        text = message(two_layers(), optimizer="adam", learning_rate=1e38, runner=runner)
        assert re.match(r"the loss is (nan|inf) in epoch 1, step 2 of 4, at the learning rate 1e\+38; ", text)
        assert "is W of layer hidden (update) in step 1, and the largest gradient" in text

    def test_a_layer_that_overflows(self, runner: str) -> None:
        text = message([Rescaling(1e300, name="scale"), BatchNorm(), Dense(3)], runner=runner)
        assert "in epoch 1, step 1 of 4" in text
        assert "the first result that is not finite is the output of layer scale (forward): likely" in text

    def test_the_last_update_of_all(self, runner: str) -> None:
        """No loss follows that could tell."""
        text = message(two_layers(), epochs=1, batch_size=None, learning_rate=1e38, runner=runner)
        assert text.startswith(
            "W of layer hidden (update) is not finite in epoch 1, step 1 of 1, at the learning rate 1e"
        )

    def test_the_last_update_before_a_callback_stops_the_run(self, runner: str) -> None:
        class Stop(Callback):
            def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> bool:
                return True

        options = {"batch_size": None, "learning_rate": 1e38, "callbacks": Stop(), "runner": runner}
        assert message(two_layers(), **options).startswith(
            "W of layer hidden (update) is not finite in epoch 1, step 1"
        )

    def test_what_the_optimizer_remembers(self, runner: str) -> None:
        """Its square is infinite, so this weight would never move again."""
        layers = [Rescaling(1e12), Dense(3, name="output")]
        text = message(layers, optimizer=Adam(1e-9), epochs=1, batch_size=None, runner=runner)
        assert text.startswith("what the optimizer remembers of W of layer output (update) is not finite in epoch 1")

    def test_the_rate_is_that_of_the_step(self, runner: str) -> None:
        class Jump(schedules.Schedule):
            def curve(self, epochs: Any, total_epochs: int) -> Any:
                return np.where(epochs < 2.5, 0.01, 1e30)

        text = message(two_layers(), optimizer=SGD(Jump()), runner=runner)
        assert "in epoch 3, step 4 of 4, at the learning rate 1e+30" in text
        assert "the first result that is not finite is the loss mse, and the largest gradient before it " in text

    def test_dropout_is_drawn_as_before(self, runner: str) -> None:
        layers = [Dense(8, "relu"), Dropout(0.5), Dense(3, name="output")]
        text = message(layers, optimizer=SGD(1e25), runner=runner)
        assert "the first result that is not finite is " in text

    def test_a_model_too_large_to_be_copied(self, runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(divergence, "LARGE_BYTES", 10)
        text = message(two_layers(), learning_rate=1e38, runner=runner)
        assert re.match(r"the loss is \w+ in epoch 1, step 2 of 4, at the learning rate 1e\+38 \(detect_anomaly=", text)
        text = message(two_layers(), learning_rate=1e38, runner=runner, epochs=1, batch_size=None)
        assert text.startswith("a number of W of layer hidden is not finite in epoch 1, step 1 of 1")
        layers = [Rescaling(1e12), Dense(3, name="output")]
        text = message(layers, optimizer=Adam(1e-9), epochs=1, batch_size=None, runner=runner)
        assert text.startswith("a number of the optimizer's memory is not finite in epoch 1")

    def test_copies_of_an_epoch_before(self, runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where copies are rare, more than the failing epoch is run again."""
        monkeypatch.setattr(divergence, "PAUSE", 10**9)

        class Late(schedules.Schedule):
            def curve(self, epochs: Any, total_epochs: int) -> Any:
                return np.where(epochs < 7, 1e-3, 3e38)

        text = message(two_layers(), optimizer=SGD(Late()), loss="sse", runner=runner)
        assert "in epoch 8, step 2 of 4" in text
        assert "is W of layer hidden (update) in step 1, and the largest gradient" in text


def test_both_runners_say_the_same() -> None:
    for layers in (two_layers, lambda: [Dense(3), Dense(3)]):
        texts = {
            message(layers(), optimizer=SGD(1e20), runner=runner, dtype="float64").replace("nan", "inf")
            for runner in RUNNERS
        }
        assert len(texts) == 1


@pytest.mark.parametrize("chunk_s", [0.0, 1e9])
def test_the_length_of_chunks_does_not_matter(chunk_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "CHUNK_S", chunk_s)
    text = message(two_layers(), learning_rate=1e38, runner="compiled")
    assert "is W of layer hidden (update) in step 1, and the largest gradient" in text


def test_a_run_that_is_fine_is_not_changed_by_being_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    def weights(**options: Any) -> list[np.ndarray]:
        model = Sequential([Dense(8, "relu"), BatchNorm(), Dropout(0.3), Dense(3, "softmax")], seed=0, dtype="float64")
        model.fit(X, LABELS, epochs=3, batch_size=16, verbose=0, **options)
        return model.get_weights()

    ordinary = weights(runner="plain")
    for a, b in zip(ordinary, weights(detect_anomaly=True), strict=True):
        np.testing.assert_array_equal(a, b)
    compiled = weights(runner="compiled")
    monkeypatch.setattr(divergence, "LARGE_BYTES", 0)
    for a, b in zip(compiled, weights(runner="compiled"), strict=True):
        np.testing.assert_array_equal(a, b)


class TestDetectAnomaly:
    def test_it_names_the_first_operation(self) -> None:
        found = {
            "W of layer hidden (update) is -inf in epoch 1, step 1 of 4": (two_layers(), {"learning_rate": 1e38}),
            "the output of layer scale (forward) is inf in epoch 1, step 1 of 4": (
                [Rescaling(1e300, name="scale"), Dense(3)], {}),
            "the loss mse is inf in epoch 1, step 3 of 4": ([Dense(3), Dense(3)], {"optimizer": SGD(1e3)}),
            "the penalty of the weights is inf in epoch 1, step 3 of 4": (
                [Dense(3, l2=1e25)], {"optimizer": SGD(1e-18)}),
        }  # fmt: skip
        for begin, (layers, options) in found.items():
            text = message(layers, detect_anomaly=True, **options)
            assert text.startswith(begin.split(" in epoch")[0]), text

    @pytest.mark.parametrize("where", ["forward", "backward", "gradient"])
    def test_a_layer_of_ones_own(self, where: str) -> None:
        class Faulty(Layer):
            def build(self, n_in: int) -> int:
                self.add_parameter("s", (n_in,), "ones")
                return n_in

            def forward(self, x: Any, context: Any) -> Any:
                self.x = x
                return x / 0.0 if where == "forward" else x

            def backward(self, dy: Any) -> Any:
                self.ds[...] = np.inf if where == "gradient" else 0.0
                return dy * np.nan if where == "backward" else dy

        expected = {
            "forward": "the output of layer mine (forward) is ",
            "backward": "the gradient of the input of layer mine (backward) is nan",
            "gradient": "the gradient of s of layer mine (backward) is inf",
        }
        mine = Faulty()
        mine.name = "mine"
        layers = [Dense(4), mine, Dense(3)]
        assert message(layers, detect_anomaly=True).startswith(expected[where])

    def test_weights_are_left_as_they_were_before_the_step(self) -> None:
        model = Sequential([Rescaling(1e300, name="scale"), Dense(3)], seed=0, n_in=5)
        before = model.get_weights()
        with pytest.raises(DivergenceError, match="output of layer scale"):
            model.fit(X, T, detect_anomaly=True, verbose=0)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_arguments(self) -> None:
        with pytest.raises(ArgumentTypeError, match="detect_anomaly is 1"):
            Sequential(two_layers()).fit(X, T, detect_anomaly=1, verbose=0)  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="runner is 'compiled': leave it out: detect_anomaly=True takes"):
            Sequential(two_layers()).fit(X, T, detect_anomaly=True, runner="compiled", verbose=0)


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_best_weights_are_restored(runner: str) -> None:
    """The last step of the third epoch spoils the weights: its loss is the best one, its weights are not."""

    class Spoil(schedules.Schedule):
        def curve(self, epochs: Any, total_epochs: int) -> Any:
            return np.where(epochs < 2.7, 1e-3, 3e38)

    model = Sequential(two_layers(), seed=0)
    seen: list[list[np.ndarray]] = []

    class Watch(Callback):
        def on_epoch_end(self, model: Any, epoch: int, record: dict[str, float]) -> None:
            seen.append(model.get_weights())

    stopping = EarlyStopping("loss")
    options = {
        "loss": "sse",
        "optimizer": SGD(Spoil()),
        "callbacks": [stopping, Watch()],
        "batch_size": 16,
        "verbose": 0,
    }
    with pytest.warns(AccelnnWarning, match="goes back to its best weights: the loss is"):
        model.fit(X, T, epochs=9, runner=runner, **options)
    assert stopping.best_epoch == 1
    for a, b in zip(seen[1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
