"""``partial_fit`` and ``predict`` on chunks from an iterator: as on the rows of all of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from accelnn import SGD, Dense, Sequential
from accelnn.errors import ArgumentError, ArgumentTypeError, ShapeError
from accelnn.training import fit as training_loop

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 4))
LABELS = RNG.integers(0, 3, 100)
TARGETS = RNG.normal(size=(100, 3))
WEIGHTS = RNG.random(100)


def model(output: str = "softmax") -> Sequential:
    return Sequential([Dense(6, "tanh"), Dense(3, output)], seed=0, dtype="float64", n_in=4)


def chunks(*arrays: np.ndarray, n: int = 30):
    for i in range(0, len(X), n):
        yield tuple(array[i : i + n] for array in arrays)


@pytest.mark.parametrize(
    ("loss", "arrays"),
    [("cross_entropy", (X, LABELS)), ("cross_entropy", (X, LABELS, WEIGHTS)), ("sse", (X, TARGETS))],
    ids=["mean", "weights", "sum"],
)
def test_chunks_train_as_the_rows_do(loss, arrays):
    output = "softmax" if loss == "cross_entropy" else "identity"
    options = {"loss": loss, "optimizer": SGD(0.01, momentum=0.9), "shuffle": False, "batch_size": 10}
    one, whole = model(output), model(output)
    for _ in range(2):
        total = one.partial_fit(chunks(*arrays), **options)
        expected = whole.partial_fit(*arrays[:2], sample_weight=arrays[2] if len(arrays) == 3 else None, **options)
        assert total == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(one.arena.values, whole.arena.values)


def test_a_small_last_chunk_is_no_surprise():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model().partial_fit(chunks(X, LABELS, n=33), batch_size=16)


@pytest.mark.parametrize("output", ["softmax", "identity"])
def test_predictions_follow_one_another(output):
    net = model(output)
    np.testing.assert_array_equal(net.predict(x for (x,) in chunks(X)), net.predict(X))
    np.testing.assert_array_equal(net.predict(iter([X])), net.predict(X))


def test_probabilities_too():
    np.testing.assert_array_equal(model().predict_proba(x for (x,) in chunks(X)), model().predict_proba(X))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda net: net.partial_fit(iter([])), ArgumentError, "use an iterator that has a chunk left"),
        (lambda net: net.predict(iter([])), ArgumentError, "use an iterator that has a chunk left"),
        (
            lambda net: net.partial_fit(iter([X])),
            ArgumentTypeError,
            r"chunk 1 of x is array.*use \(x, y\) or",
        ),
        (lambda net: net.partial_fit(iter([(X, LABELS), (X, LABELS[:3])])), ShapeError, "chunk 2 of x: y has 3 rows"),
        (lambda net: net.partial_fit(chunks(X, LABELS), LABELS), ArgumentError, "y is array.*its chunks are"),
        (
            lambda net: net.partial_fit(chunks(X, LABELS), sample_weight=WEIGHTS),
            ArgumentError,
            "sample_weight is array",
        ),
        (lambda net: net.fit(chunks(X, LABELS), LABELS), ArgumentTypeError, "only partial_fit and predict take chunks"),
        (lambda net: net.evaluate(chunks(X), LABELS), ArgumentTypeError, "only partial_fit and predict take chunks"),
    ],
)
def test_what_is_wrong_is_said_with_the_chunk(call, error, message):
    with pytest.raises(error, match=message):
        call(model())


def test_chunks_before_a_wrong_one_count():
    one, other = model(), model()
    with pytest.raises(ArgumentTypeError):
        one.partial_fit(iter([(X, LABELS), 3]))
    other.partial_fit(X, LABELS)
    np.testing.assert_array_equal(one.arena.values, other.arena.values)


def test_ctrl_c_ends_the_pass(monkeypatch):
    taken = []

    def counted():
        for chunk in chunks(X, LABELS):
            taken.append(chunk)
            yield chunk

    def interrupt(*arguments):
        raise KeyboardInterrupt

    net = model()
    monkeypatch.setattr(training_loop.Training, "_run_chunk", interrupt)
    with pytest.warns(UserWarning, match="training was interrupted"):
        assert np.isnan(net.partial_fit(counted()))
    assert len(taken) == 1


def test_a_list_of_chunks_is_answered():
    with pytest.raises(
        ArgumentTypeError, match=r"^y is None .*: give the targets of x, or .* iter\(chunks\) of a list"
    ):
        model().partial_fit([(X, LABELS), (X, LABELS)])
