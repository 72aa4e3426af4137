"""Training that ends early: by a callback, by Ctrl-C, by an error. The model and its history stay usable."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from accelnn import SGD, BatchNorm, EarlyStopping, Sequential, StopOnTarget
from accelnn.errors import AccelnnWarning, ArgumentError, DivergenceError
from accelnn.training import evaluation, fit, pace
from accelnn.training.callbacks import Callback
from accelnn.training.runners import compiled
from accelnn.training.schedules import Schedule
from tests.training.parity import dense, inputs, labels, small_net, targets

QUIET = {"verbose": 0, "batch_size": 16}


def model_of(*layers, **options) -> Sequential:
    return Sequential(layers or small_net(), dtype="float64", seed=0, **options)


class Diary(Callback):
    """Writes down what happened, and raises ``error`` at the event called ``when``."""

    def __init__(self, when="", error=None, every_step=False):
        self.when, self.error = when, error
        self.events = []

    def note(self, event, *details):
        self.events.append((event, *details))
        if event == self.when:
            raise self.error

    def on_train_begin(self, model, plan):
        self.note("train begin", plan.epochs, plan.steps_per_epoch, plan.n_samples, plan.batch_size, plan.runner)

    def on_epoch_begin(self, model, epoch):
        self.note("epoch begin", epoch)

    def on_chunk_end(self, model, epoch, steps_done, steps_total, loss):
        self.note("chunk end", epoch, steps_done, steps_total)
        assert np.isfinite(loss)

    def on_epoch_end(self, model, epoch, record):
        self.note("epoch end", epoch)
        assert record is model.history.epochs[-1]

    def on_train_end(self, model, history):
        self.note("train end", history.interrupted)
        assert history is model.history


@pytest.fixture
def every_step_a_chunk(monkeypatch):
    monkeypatch.setattr(pace, "CHUNK_S", 0.0)


def test_callbacks_are_called_in_order(every_step_a_chunk):
    diary = Diary()
    model_of().fit(inputs(n=20), targets(n=20), epochs=2, callbacks=diary, runner="plain", **QUIET)
    assert diary.events == [
        ("train begin", 2, 2, 20, 16, "plain"),
        ("epoch begin", 0),
        ("chunk end", 0, 1, 2),
        ("chunk end", 0, 2, 2),
        ("epoch end", 0),
        ("epoch begin", 1),
        ("chunk end", 1, 1, 2),
        ("chunk end", 1, 2, 2),
        ("epoch end", 1),
        ("train end", False),
    ]


def test_chunks_grow_until_they_last_long_enough(monkeypatch):
    monkeypatch.setattr(pace, "CHUNK_S", 1e9)
    diary = Diary()
    model_of().fit(inputs(), targets(), epochs=2, callbacks=[diary], **QUIET)
    assert [event[2] for event in diary.events if event[0] == "chunk end"] == [1, 4, 4]


@pytest.mark.parametrize("when", ["train begin", "epoch begin", "chunk end", "epoch end"])
@pytest.mark.parametrize("runner", ["plain", "compiled"])
def test_ctrl_c_between_two_chunks(when, runner):
    diary = Diary(when, KeyboardInterrupt())
    model = model_of()
    with pytest.warns(AccelnnWarning, match="interrupted") as caught:
        history = model.fit(inputs(), targets(), epochs=5, callbacks=[diary], runner=runner, **QUIET)
    assert caught[0].filename == __file__
    assert history.interrupted
    assert history.stopped_because is None
    assert model.history is history
    assert len(history) == (1 if when == "epoch end" else 0)
    assert diary.events[-1] == ("train end", True)
    before = model.evaluate(inputs(), targets())["loss"]
    assert model.fit(inputs(), targets(), epochs=20, **QUIET)["loss"][-1] < before


@pytest.mark.parametrize(("module", "chooser"), [(fit, "choose_runner"), (evaluation, "choose_predictor")])
def test_ctrl_c_while_the_training_is_prepared(module, chooser, monkeypatch):
    """As while kernels are compiled, for steps or for what is measured."""

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    model, diary = model_of(), Diary()
    with monkeypatch.context() as patch:
        patch.setattr(module, chooser, interrupted)
        with pytest.warns(AccelnnWarning, match="interrupted") as caught:
            history = model.fit(inputs(), targets(), validation_split=0.2, callbacks=diary, **QUIET)
    assert caught[0].filename == __file__
    assert history.interrupted
    assert len(history) == 0
    assert model.history is history
    assert diary.events[-1:] in ([], [("train end", True)])  # callbacks that heard of the beginning hear of the end
    assert not model.fit(inputs(), targets(), epochs=1, **QUIET).interrupted


def test_ctrl_c_restores_the_best_weights_too():
    """The second epoch takes a step that is far too large."""
    stopping, diary = EarlyStopping("loss"), Diary()

    class Spoil(Callback):
        def on_epoch_end(self, model, epoch, record):
            if epoch == 0:
                self.kept = model.get_weights()
                model.set_weights([w + 100.0 for w in self.kept])
            else:
                raise KeyboardInterrupt

    spoil, model = Spoil(), model_of()
    with pytest.warns(AccelnnWarning, match="interrupted"):
        model.fit(inputs(), targets(), epochs=5, callbacks=[stopping, spoil, diary], **QUIET)
    assert stopping.best_epoch == 0
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), spoil.kept, strict=True))


def test_partial_fit_after_ctrl_c(monkeypatch):
    model = model_of()
    assert np.isfinite(model.partial_fit(inputs(), targets()))

    def interrupted(self, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(compiled.CompiledRunner, "train", interrupted)
        with pytest.warns(AccelnnWarning, match="interrupted"):
            assert np.isnan(model.partial_fit(inputs(), targets()))
    assert np.isfinite(model.partial_fit(inputs(), targets()))


@pytest.mark.parametrize("when", ["train begin", "epoch begin", "chunk end", "epoch end", "train end"])
def test_an_error_in_a_callback_ends_the_training_and_is_seen(when):
    diary, last = Diary(when, OSError("disk full")), Diary()
    model = model_of()
    with pytest.raises(OSError, match="disk full"):
        model.fit(inputs(), targets(), epochs=5, callbacks=[diary, last], **QUIET)
    assert last.events[-1] == ("train end", False)
    model.fit(inputs(), targets(), epochs=1, **QUIET)


def test_early_stopping_goes_back_to_the_best_epoch():
    x, y = inputs(), labels()
    model = model_of(BatchNorm(), dense(30, "relu"), dense(3, "softmax"))
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, model, epoch, record):
            seen.append(model.get_weights())

    stopping = EarlyStopping(patience=3)
    history = model.fit(
        x, y, epochs=500, validation_split=0.4, learning_rate=0.02, callbacks=[Watch(), stopping], **QUIET
    )
    assert len(history) < 500  # these labels are noise: learning them by heart makes the validation loss grow
    assert history.stopped_because.startswith("val_loss did not improve for 3 epochs")
    best = int(np.argmin(history["val_loss"]))
    assert (stopping.best_epoch, len(history)) == (best, best + 4)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), seen[best], strict=True))


def test_training_stops_at_a_target():
    history = model_of(dense(3, "softmax")).fit(
        inputs(), labels(), epochs=50, metrics="accuracy", callbacks=StopOnTarget("accuracy", 0.01), **QUIET
    )
    assert len(history) == 1
    assert "accuracy reached" in history.stopped_because


def test_a_metric_that_is_not_recorded_is_refused_before_the_first_step():
    model = model_of(n_in=5)
    before = model.get_weights()
    with pytest.raises(ArgumentError, match=r"metric is 'val_loss': give validation_data or validation_split"):
        model.fit(inputs(), targets(), callbacks=EarlyStopping(), **QUIET)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


class Rising(Schedule):
    """A rate that is far too high from epoch ``begin`` on."""

    def __init__(self, begin):
        self.begin = begin

    def curve(self, epochs, total_epochs):
        return np.where(epochs < self.begin, 1e-3, 1e200)


def diverging(begin, *callbacks):
    model = model_of(dense(3, "tanh"), dense(3))
    optimizer = SGD(Rising(begin), momentum=0.9)
    return model, lambda: model.fit(inputs(), targets(), epochs=9, optimizer=optimizer, callbacks=callbacks, **QUIET)


def test_divergence_after_a_good_epoch_ends_at_the_best_weights():
    diary, stopping = Diary(), EarlyStopping("loss")
    model, train = diverging(3, diary, stopping)
    with pytest.warns(
        AccelnnWarning, match=r"goes back to its best weights: the loss is \w+ in epoch 4, step 2"
    ) as seen:
        history = train()
    assert seen[0].filename == __file__
    assert (len(history), stopping.best_epoch) == (3, 2)
    assert history.stopped_because.startswith("the loss is ")
    assert diary.events[-1] == ("train end", False)
    assert model.evaluate(inputs(), targets())["loss"] < history["loss"][-1]
    assert model._state.steps == 0
    assert all(not moment.any() for moment in model._state.moments)


@pytest.mark.parametrize(
    ("begin", "stopping"), [(0, EarlyStopping("loss")), (3, EarlyStopping("loss", restore_best=False)), (3, Diary())]
)
def test_divergence_without_weights_to_go_back_to_is_an_error(begin, stopping):
    model, train = diverging(begin, stopping)
    with pytest.raises(DivergenceError, match=f"in epoch {begin + 1}, step 2"):
        train()
    assert all(not moment.any() for moment in model._state.moments)


LONG_CHUNKS = """
import json, sys, warnings
import numpy as np
from accelnn import Dense, Sequential
from accelnn.training import evaluation, fit, pace
from accelnn.training.runners import compiled
from accelnn.training.callbacks import Callback

pace.CHUNK_S, pace.GROWTH = 1.0, 10**9  # the chunk that is running when the signal comes lasts about a second
compiled.team_size = lambda *_: int(sys.argv[1])

class Tell(Callback):
    def on_chunk_end(self, model, epoch, steps_done, steps_total, loss):
        if steps_done > 1:
            print("in a long chunk", flush=True)

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
x, y = rng.normal(size=(400_000, 8)).astype(np.float32), rng.integers(0, 3, 400_000)
model = Sequential([Dense(64, "tanh"), Dense(3, "softmax")], seed=0)
history = model.fit(x, y, epochs=1000, batch_size=64, callbacks=Tell(), verbose=0)
finite = all(bool(np.isfinite(w).all()) for w in model.get_weights())
more = model.fit(x[:100], y[:100], epochs=1, verbose=0)
print(json.dumps({"interrupted": history.interrupted, "epochs": len(history), "finite": finite, "more": len(more)}))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process only")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_real_ctrl_c_during_a_long_chunk(threads):
    root = pathlib.Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "kernels")])}
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_CHUNKS, str(threads)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        # A shell that starts the tests in the background lets them, and so this process, ignore the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in a long chunk\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    result = json.loads(output.splitlines()[-1])
    assert result == {"interrupted": True, "epochs": result["epochs"], "finite": True, "more": 1}
    assert process.returncode == 0
