"""Trained models on disk, pickled and copied: equal at first, independent from then on."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from accelnn import BatchNorm, Dropout, LayerNorm, Rescaling, Sequential, load_model
from accelnn.errors import ArgumentError, NotBuiltError
from tests.training.parity import check_same_weights, dense, inputs, labels

QUIET = {"verbose": 0, "epochs": 3}


def new_model(dtype="float32") -> Sequential:
    layers = [
        Rescaling(0.5), BatchNorm(), dense(6, "relu", l2=0.01), Dropout(0.2), LayerNorm(), dense(3, "softmax"),
    ]  # fmt: skip
    return Sequential(layers, dtype=dtype, seed=0)


def through_a_file(model, tmp_path):
    model.save(tmp_path / "model.npz", extra={"note": "hello"})
    return load_model(tmp_path / "model.npz")


WAYS = {
    "file": through_a_file,
    "pickle": lambda model, tmp_path: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, tmp_path: copy.deepcopy(model),
    "copy": lambda model, tmp_path: copy.copy(model),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_copy_is_equal_and_independent(way, dtype, tmp_path):
    x, y = inputs(), labels()
    model = new_model(dtype)
    model.fit(x, y, **QUIET)
    other = way(model, tmp_path)
    assert isinstance(other, Sequential)
    assert other.summary() == model.summary()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    np.testing.assert_array_equal(other.predict_proba(x), model.predict_proba(x))
    assert other.evaluate(x, y) == model.evaluate(x, y)
    before = model.get_weights()
    other.fit(x, y, **QUIET)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(before, other.get_weights(), strict=True))


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_a_copy_goes_on_as_the_original_does(way):
    """Shuffling and dropout go on where they were; the optimizer's memory is not copied."""
    x, y = inputs(), labels()
    model = new_model("float64")
    model.partial_fit(x, y, optimizer="sgd")
    other = WAYS[way](model, None)
    assert model._state is not None
    assert other._state is None
    model.fit(x, y, **QUIET)
    other.fit(x, y, **QUIET)
    check_same_weights(model, other, 1e-15)
    assert other.history.to_dict()["loss"] == model.history.to_dict()["loss"]


def test_history_and_loss_are_copied():
    model = Sequential([dense(3)], seed=0)
    model.fit(inputs(), inputs()[:, :3], loss="huber", **QUIET)
    other = pickle.loads(pickle.dumps(model))
    assert other.history.to_dict() == model.history.to_dict()
    assert other.evaluate(inputs(), inputs()[:, :3]) == model.evaluate(inputs(), inputs()[:, :3], loss="huber")


def test_a_model_that_is_not_built_can_be_copied_but_not_saved(tmp_path):
    model = new_model()
    with pytest.raises(NotBuiltError):
        model.save(tmp_path / "model.npz")
    other = copy.deepcopy(model)
    model.fit(inputs(), labels(), **QUIET)
    other.fit(inputs(), labels(), **QUIET)
    check_same_weights(model, other, 1e-7)


def test_a_loaded_model_has_no_history_and_keeps_what_was_stored_beside(tmp_path):
    model = new_model()
    model.fit(inputs(), labels(), **QUIET)
    loaded = through_a_file(model, tmp_path)
    assert loaded.history is None
    with np.load(tmp_path / "model.npz") as archive:
        description = json.loads(archive["description"].tobytes())
    assert description["extra"] == {"note": "hello"}


@pytest.mark.parametrize("runner", ["auto", "plain"])
@pytest.mark.parametrize("name", ["W", "db", "running_var"])
def test_arrays_that_are_replaced_or_read_only_are_refused(name, runner):
    """Machine code would go on with the old ones, or write where nobody expects it."""
    model = new_model()
    model.build(inputs().shape[1])
    layer = model.layers[1 if name == "running_var" else 2]
    own = getattr(layer, name)
    setattr(layer, name, np.ones(own.shape, np.int8))
    with pytest.raises(ArgumentError, match=rf"{name} of layer .* write into the array"):
        model.fit(inputs(), labels(), runner=runner, **QUIET)
    with pytest.raises(ArgumentError, match=rf"{name} of layer .* write into the array"):
        model.predict(inputs())
    setattr(layer, name, own)
    own.flags.writeable = False
    model.predict(inputs())
    with pytest.raises(ArgumentError, match=f"{name} of layer .* is read-only"):
        model.fit(inputs(), labels(), runner=runner, **QUIET)
