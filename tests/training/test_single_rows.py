"""BatchNorm is never trained on a single row: its variance is 0, which would spoil the running statistics."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import SGD, BatchNorm, Checkpoint, Dropout, LayerNorm, Sequential, schedules
from accelnn.errors import AccelnnWarning, ArgumentError, ShapeError
from tests.training.parity import dense, inputs, labels

RUNNERS = ["plain", "compiled"]


def grows():
    return pytest.warns(AccelnnWarning, match="batches have 5 rows instead of 4: of 9 rows")


def same(model, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


def model_of(norm=BatchNorm) -> Sequential:
    layers = [dense(6, "tanh"), norm(), Dropout(0.2), dense(3, "softmax")]
    return Sequential(layers, n_in=5, dtype="float64", seed=0, backend="cpu")


def fit(model, n=9, **options):
    usual = {"batch_size": 4, "epochs": 3, "optimizer": SGD(schedules.Cosine(0.1)), "verbose": 0}
    return model.fit(inputs(n=n), labels(n=n), **usual | options)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("train", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("n", "size", "error", "fix"),
    [
        (9, 1, ArgumentError, "batch_size is 1: use 2 or more, or LayerNorm"),
        (1, None, ShapeError, "train a network with BatchNorm on 2 rows or more"),
        (1, "auto", ShapeError, "train a network with BatchNorm on 2 rows or more"),
    ],
)
def test_a_single_row_is_an_error_that_changes_nothing(runner, train, n, size, error, fix):
    model = model_of()
    before = model.get_weights()
    options = {"batch_size": size, "runner": runner} | ({"verbose": 0} if train == "fit" else {})
    with pytest.raises(error, match=fix):
        getattr(model, train)(inputs(n=n), labels(n=n), **options)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_other_layers_take_single_rows():
    assert len(fit(model_of(LayerNorm), batch_size=1)["loss"]) == 3
    assert len(fit(model_of(LayerNorm), n=1, batch_size=None)["loss"]) == 3


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_last_single_row_is_trained_in_larger_batches(runner):
    """It is the training that the larger size gives: losses, schedule, dropout keys and statistics."""
    one, other = model_of(), model_of()
    with grows() as caught:
        history = fit(one, runner=runner)
    assert caught[0].filename == __file__
    assert history["loss"] == fit(other, runner=runner, batch_size=5)["loss"]
    assert same(one, other)
    assert (one.layers[1].running_var > 0.01).all()


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_chunk_that_leaves_a_single_row(runner):
    one, other = model_of(), model_of()
    with grows():
        loss = one.partial_fit(iter([(inputs(n=9), labels(n=9))]), batch_size=4, runner=runner)
    assert loss == other.partial_fit(inputs(n=9), labels(n=9), batch_size=5, runner=runner)
    assert same(one, other)


def test_a_run_with_larger_batches_is_resumed(tmp_path):
    whole, first, resumed = model_of(), model_of(), model_of()
    with grows():
        fit(whole, epochs=4, optimizer=SGD(0.1))
    with grows():
        fit(first, epochs=2, optimizer=SGD(0.1), checkpoint=Checkpoint(tmp_path / "run"))
    with grows():
        fit(resumed, epochs=4, optimizer=SGD(0.1), checkpoint=Checkpoint(tmp_path / "run"), resume=True)
    assert same(whole, resumed)


@pytest.mark.parametrize(("n", "size", "taken"), [(3, 2, 3), (7, 2, 4), (7, 3, 4), (33, 32, 33), (65, 32, 33)])
def test_the_next_size_that_leaves_none(n, size, taken):
    with pytest.warns(AccelnnWarning, match=f"batches have {taken} rows instead of {size}: of {n} rows"):
        fit(model_of(), n=n, batch_size=size, epochs=1, runner="plain")
