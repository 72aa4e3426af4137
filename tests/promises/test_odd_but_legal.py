"""Calls that are odd and legal give what the plain, ordinary call gives.

Each row of the table: an odd call, and the ordinary one that has to give the same numbers. What arrays may look like
in ``fit`` is in ``tests/training/test_odd_inputs.py``; here are all the other doors.
"""

from __future__ import annotations

import decimal
import fractions
import warnings
from collections import OrderedDict, UserString, deque
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from accelnn import SGD, Dense, Dropout, EarlyStopping, History, Sequential, get_backend, schedules
from accelnn.data import encode_targets, load_dataset
from accelnn.errors import AccelnnWarning, ArgumentTypeError
from accelnn.training import METRICS
from accelnn.training.callbacks import Callback

N = 10
X = np.random.default_rng(0).integers(0, 200, (N, 3)).astype(np.float64)
LABELS = np.arange(N) % 3
T = np.random.default_rng(1).integers(0, 5, (N, 2)).astype(np.float64)


def trained(x: Any = X, y: Any = LABELS, output: str = "softmax", units: Any = 3, **options: Any) -> list[np.ndarray]:
    """Return the weights after two epochs."""
    model = Sequential([Dense(4, "tanh"), Dense(units, output)], seed=0, dtype="float64")
    model.fit(x, y, **{"epochs": 2, "batch_size": 4, "verbose": 0, "learning_rate": 1e-3, **options})
    return model.get_weights()


def fixed(output: str = "softmax", **options: Any) -> Sequential:
    """Return a model with weights."""
    return Sequential([Dense(4, "tanh"), Dense(3, output)], **{"seed": 0, "n_in": 3, "dtype": "float64", **options})


def weights(*layers: Any, **options: Any) -> list[np.ndarray]:
    return Sequential(layers, **{"n_in": 3, "seed": 0, "dtype": "float64", **options}).get_weights()


def read_only(array: np.ndarray) -> np.ndarray:
    result = array.copy()
    result.flags.writeable = False
    return result


def copied(weights: Any) -> list[np.ndarray]:
    """Return the weights of a model that was given these."""
    model = fixed(seed=5)
    model.set_weights(weights)
    return model.get_weights()


def partial(x: Any = X, y: Any = LABELS, **options: Any) -> list[np.ndarray]:
    model = fixed()
    model.partial_fit(x, y, **{"batch_size": 4, **options})
    return model.get_weights()


GIVEN = np.arange(12.0).reshape(3, 4)
BIG = X.astype(">f4")
PLAIN = fixed()
WEIGHTS = PLAIN.get_weights()

SAME = {
    # Numbers of other kinds
    "epochs a NumPy integer": (lambda: trained(epochs=np.uint8(2)), lambda: trained(epochs=2)),
    "batch_size a NumPy integer": (lambda: trained(batch_size=np.int16(4)), trained),
    "learning_rate a NumPy number": (lambda: trained(learning_rate=np.float64(1e-3)), trained),
    "learning_rate a fraction": (lambda: trained(learning_rate=fractions.Fraction(1, 1000)), trained),
    "learning_rate an integer": (lambda: trained(learning_rate=1), lambda: trained(learning_rate=1.0)),
    "learning_rate a constant schedule": (lambda: trained(learning_rate=schedules.Constant(1e-3)), trained),
    "validation_split 0 as an integer": (lambda: trained(validation_split=0), trained),
    "shuffle a NumPy bool": (lambda: trained(shuffle=np.False_), lambda: trained(shuffle=False)),
    "verbose False": (lambda: trained(verbose=False), trained),
    "threads a NumPy integer": (lambda: trained(threads=np.int64(1)), lambda: trained(threads=1)),
    "more threads than processors": (lambda: trained(threads=10**6), trained),
    "units a NumPy integer": (lambda: trained(units=np.int32(3)), trained),
    "seed a NumPy integer": (lambda: weights(Dense(2), seed=np.uint64(7)), lambda: weights(Dense(2), seed=7)),
    "seed of a hundred digits": (lambda: weights(Dense(2), seed=10**100), lambda: weights(Dense(2), seed=10**100)),
    "n_in a NumPy integer": (lambda: weights(Dense(2), n_in=np.int8(3)), lambda: weights(Dense(2))),
    "dtype a NumPy type": (lambda: weights(Dense(2), dtype=np.float64), lambda: weights(Dense(2))),
    "dtype a NumPy dtype": (lambda: weights(Dense(2), dtype=np.dtype("f8")), lambda: weights(Dense(2))),
    "backend an object": (lambda: weights(Dense(2), backend=get_backend("cpu")), lambda: weights(Dense(2))),
    "l2 an integer 0": (lambda: weights(Dense(2, l2=0)), lambda: weights(Dense(2))),
    "dropout of nothing": (lambda: weights(Dropout(0), Dense(2)), lambda: weights(Dense(2))),
    "momentum 0": (lambda: trained(optimizer=SGD(momentum=0)), lambda: trained(optimizer="sgd")),
    # Containers of other kinds
    "layers a tuple": (lambda: weights(*(Dense(2), Dense(1))), lambda: weights(Dense(2), Dense(1))),
    "layers a generator": (lambda: Sequential((Dense(2) for _ in "ab"), n_in=3, seed=0).get_weights(),
                           lambda: Sequential([Dense(2), Dense(2)], n_in=3, seed=0).get_weights()),
    "layers the values of a mapping": (lambda: Sequential(OrderedDict(a=Dense(2)).values(), n_in=3, seed=0).units,
                                       lambda: [3, 2]),
    "callbacks empty": (lambda: trained(callbacks=[]), trained),
    "callbacks one, no list": (lambda: trained(callbacks=Callback()), trained),
    "callbacks a generator": (lambda: trained(callbacks=(Callback() for _ in range(2))), trained),
    "metrics None": (lambda: trained(metrics=None), trained),
    "metrics a set": (lambda: trained(metrics={"accuracy"}), trained),
    "validation_data a list": (lambda: trained(validation_data=[X, LABELS]), trained),
    "validation_data without weights": (lambda: trained(validation_data=(X, LABELS, None)), trained),
    "class_weight empty": (lambda: trained(class_weight={}), lambda: trained(sample_weight=np.ones(N))),
    "class_weight read-only": (lambda: trained(class_weight=MappingProxyType({0: 2})),
                               lambda: trained(class_weight={0: 2.0})),
    "weights a tuple": (lambda: copied(tuple(WEIGHTS)), lambda: WEIGHTS),
    "weights nested lists": (lambda: copied([w.tolist() for w in WEIGHTS]), lambda: WEIGHTS),
    "weights in Fortran order": (lambda: copied([np.asfortranarray(w) for w in WEIGHTS]), lambda: WEIGHTS),
    "weights big-endian": (lambda: copied([w.astype(">f8") for w in WEIGHTS]), lambda: WEIGHTS),
    "weights read-only": (lambda: copied([read_only(w) for w in WEIGHTS]), lambda: WEIGHTS),
    "weights of integers": (lambda: copied([np.ones(w.shape, np.int8) for w in WEIGHTS]),
                            lambda: copied([np.ones(w.shape) for w in WEIGHTS])),
    "initializer nested lists": (lambda: weights(Dense(4, initializer=GIVEN.tolist())), lambda: [GIVEN, np.zeros(4)]),
    "initializer of bytes": (lambda: weights(Dense(4, initializer=GIVEN.astype(np.uint8))),
                             lambda: [GIVEN, np.zeros(4)]),
    "initializer transposed": (lambda: weights(Dense(4, initializer=GIVEN.T.copy().T)), lambda: [GIVEN, np.zeros(4)]),
    # Data at the other doors
    "one row": (lambda: trained(X[:1], LABELS[:1], batch_size=1),
                lambda: trained(X[:1].tolist(), [0], batch_size=None)),
    "one column": (lambda: trained(X[:, :1]), lambda: trained(X[:, :1].copy())),
    "labels as floats": (lambda: trained(y=LABELS.astype(float)), trained),
    "a last batch of one row": (lambda: trained(batch_size=9, shuffle=False),
                                lambda: trained(X.tolist(), batch_size=9, shuffle=False)),
    "no epochs": (lambda: trained(epochs=0), lambda: weights(Dense(4, "tanh"), Dense(3, "softmax"))),
    "partial_fit of a list": (lambda: partial(X.tolist(), LABELS.tolist()), partial),
    "partial_fit backwards": (lambda: partial(X[::-1].copy()[::-1], LABELS[::-1].copy()[::-1]), partial),
    "predict from a list": (lambda: PLAIN.predict(X.tolist()), lambda: PLAIN.predict(X)),
    "predict from a tuple": (lambda: PLAIN.predict(tuple(map(tuple, X))), lambda: PLAIN.predict(X)),
    "predict one row": (lambda: PLAIN.predict_proba(X[3:4]), lambda: PLAIN.predict_proba(X)[3:4]),
    "predict half precision": (lambda: PLAIN.predict_proba(X.astype(np.float16)), lambda: PLAIN.predict_proba(X)),
    "predict big-endian": (lambda: PLAIN.predict_proba(BIG), lambda: PLAIN.predict_proba(BIG.astype(float))),
    "predict read-only bytes": (lambda: PLAIN.predict_proba(read_only(X.astype(np.uint8))),
                                lambda: PLAIN.predict_proba(X)),
    "predict every second row": (lambda: PLAIN.predict_proba(X[::2]), lambda: PLAIN.predict_proba(X)[::2]),
    "predict rows twice": (lambda: PLAIN.predict_proba(np.broadcast_to(X[0], (4, 3))),
                           lambda: PLAIN.predict_proba(np.tile(X[0], (4, 1)))),
    "evaluate lists": (lambda: PLAIN.evaluate(X.tolist(), LABELS.tolist()), lambda: PLAIN.evaluate(X, LABELS)),
    "evaluate one row": (lambda: PLAIN.evaluate(X[:1], LABELS[:1]), lambda: PLAIN.evaluate(X[:1].tolist(), [[0]])),
    "evaluate weights of bytes": (lambda: PLAIN.evaluate(X, LABELS, sample_weight=np.full(N, 2, np.uint8)),
                                  lambda: PLAIN.evaluate(X, LABELS)),
    "targets in a column": (lambda: trained(y=T[:, 0], output="identity", units=1),
                            lambda: trained(y=T[:, :1], output="identity", units=1)),
    "targets of bool": (lambda: trained(y=T > 2, output="sigmoid", units=2),
                        lambda: trained(y=(T > 2).astype(float), output="sigmoid", units=2)),
    "a metric of lists": (lambda: METRICS["mse"]([1, 2], [1, 4]), lambda: 2.0),
    "a metric of bools": (lambda: METRICS["accuracy"](np.array([0.9, 0.1]), np.array([True, True])), lambda: 0.5),
    "targets encoded from bool": (lambda: encode_targets([LABELS > 0], "here").parts[0],
                                  lambda: (LABELS > 0).astype(int)),
    "targets encoded from bytes": (lambda: encode_targets([np.array([b"b", b"a"])], "here").class_names,
                                   lambda: ("a", "b")),
    "rates at one number": (lambda: schedules.Cosine(1).rates(0.0, 1), lambda: 1.0),
    "rates at integers": (lambda: schedules.StepDecay(1, 0.5, 1).rates([0, 1], 2), lambda: [1.0, 0.5]),
    "test_fraction an integer": (lambda: load_dataset("moons", test_fraction=0).x_train.shape, lambda: (400, 2)),
    "a seed of NumPy": (lambda: load_dataset("moons", seed=np.int64(3)).x_train,
                        lambda: load_dataset("moons", seed=3).x_train),
}  # fmt: skip


@pytest.mark.parametrize(("odd", "ordinary"), SAME.values(), ids=SAME)
def test_odd_but_legal(odd: Any, ordinary: Any) -> None:
    check_same(odd(), ordinary())


def check_same(odd: Any, ordinary: Any) -> None:
    if isinstance(ordinary, dict):
        assert odd.keys() == ordinary.keys()
        odd, ordinary = list(odd.values()), list(ordinary.values())
    if isinstance(ordinary, list):
        assert len(odd) == len(ordinary)
        for a, b in zip(odd, ordinary, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    else:
        np.testing.assert_array_equal(odd, ordinary)


def test_the_table_is_long_enough() -> None:
    assert len(SAME) >= 50


def test_a_batch_larger_than_the_data_in_partial_fit() -> None:
    with pytest.warns(AccelnnWarning, match="batch_size is 99 and there are only 10 rows"):
        check_same(partial(batch_size=99), partial(batch_size=None))


def test_no_epochs_leave_an_empty_history() -> None:
    model = fixed()
    history = model.fit(X, LABELS, epochs=0, batch_size=4, callbacks=EarlyStopping("loss"), verbose=0)
    assert len(history) == 0
    assert list(history) == []
    assert history.to_dict() == {}
    assert model.predict(X).shape == (N,)


def test_numbers_that_are_not_recorded_as_numbers() -> None:
    history = History()
    history.record(loss=np.float32(0.5), share=fractions.Fraction(1, 4), count=np.int8(3))
    assert history.to_dict() == {"loss": [0.5], "share": [0.25], "count": [3.0]}


def test_a_model_on_memory_mapped_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    check_same(trained(mapped), trained())
    check_same(PLAIN.predict_proba(mapped), PLAIN.predict_proba(X))
    assert PLAIN.evaluate(mapped, LABELS) == PLAIN.evaluate(X, LABELS)


def test_inputs_are_left_as_they_are() -> None:
    x, y, w = X.copy(), LABELS.copy(), np.ones(N)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(x, y, sample_weight=w)
    for array, before in ((x, X), (y, LABELS), (w, np.ones(N))):
        np.testing.assert_array_equal(array, before)


REFUSED = {
    "masked": np.ma.masked_less(X, 5.0),
    "structured": np.zeros(N, [("a", float), ("b", float)]),
    "objects": X.astype(object),
    "decimals": np.array([[decimal.Decimal(1)] * 3] * N),
    "complex": X.astype(complex),
    "dates": X.astype("datetime64[s]"),
    "times": X.astype("timedelta64[s]"),
    "text": X.astype(str),
    "raw bytes": np.zeros((N, 3), "V8"),
    "a deque of text": deque([["1", "2", "3"]] * N),
    "text of another kind": UserString("abc"),
}


@pytest.mark.parametrize("x", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "evaluate", "predict", "predict_proba"])
def test_no_guess_is_made_what_these_mean(method: str, x: Any) -> None:
    more = (LABELS,) if method in ("fit", "partial_fit", "evaluate") else ()
    options = {"verbose": 0, "epochs": 1} if method == "fit" else {}
    with pytest.raises(ArgumentTypeError, match=r"x is .*of type "):
        getattr(PLAIN, method)(x, *more, **options)
