"""Data frames of pandas and polars: they train as arrays do, and their columns are known by name."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from accelnn import Dense, Sequential, load_model
from accelnn.errors import AccelnnError, ArgumentError, ArgumentTypeError
from tests.training.parity import check_same_weights

N = 12
FLOATS, WHOLE = np.linspace(-1.0, 1.0, N), np.arange(N) % 5
TRUE = WHOLE > 2
LABELS = np.arange(N) % 3
COLUMNS = {"age": FLOATS, "n": WHOLE, "old": TRUE}
X = np.column_stack(list(COLUMNS.values()))

pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")


def net(output: str = "softmax") -> Sequential:
    return Sequential([Dense(4, "tanh"), Dense(3, output)], seed=0)


def trained(x: Any, y: Any = LABELS, output: str = "softmax", **options: Any) -> Sequential:
    model = net(output)
    model.fit(x, y, **{"epochs": 2, "batch_size": 5, "verbose": 0} | options)
    return model


frame = pandas.DataFrame(COLUMNS)
FRAMES = {
    "pandas": frame,
    "pandas, types with missing values": frame.convert_dtypes(),
    "pandas, an index of its own": frame.set_index(np.arange(N) + 7),
    "pandas, Python's numbers": frame.astype(object),
    "pandas, categories of numbers": frame.astype({"n": "category"}),
    "pandas, decimals": frame.assign(n=[Decimal(int(i)) for i in WHOLE]),
    "polars": polars.DataFrame(COLUMNS),
    "polars, decimals": polars.DataFrame(COLUMNS).with_columns(polars.col("n").cast(polars.Decimal(9, 1))),
}


@pytest.mark.parametrize("x", FRAMES.values(), ids=FRAMES)
def test_columns_of_numbers_and_truth_values(x: Any) -> None:
    model, other = trained(X), trained(x, validation_data=(x, LABELS))
    check_same_weights(model, other, 1e-15)
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(x))
    assert model.evaluate(X, LABELS) == other.evaluate(x, LABELS)
    assert (model.feature_names, other.feature_names) == (None, tuple(COLUMNS))


@pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "int8", "bool"])
def test_columns_of_one_type(kind: str) -> None:
    x = pandas.DataFrame({"a": WHOLE % 2, "b": (WHOLE + 1) % 2}).astype(kind)
    check_same_weights(trained(np.asarray(x, np.float64)), trained(x), 1e-15)


def test_dummies() -> None:
    x = pandas.get_dummies(frame.assign(city=["a", "b", "c"] * 4))
    check_same_weights(trained(np.column_stack([X, np.eye(3)[LABELS]])), trained(x), 1e-15)


LABEL_COLUMNS = [
    pandas.Series(LABELS, dtype="Int64"),
    pandas.Series(LABELS, dtype="category"),
    pandas.Series(LABELS, dtype=object),
    pandas.DataFrame({"y": LABELS}).convert_dtypes(),
    pandas.get_dummies(LABELS),
    polars.Series(LABELS),
]


@pytest.mark.parametrize("y", LABEL_COLUMNS)
def test_targets_and_weights_of_frames(y: Any) -> None:
    weights = np.arange(1.0, N + 1)
    model = trained(X, sample_weight=weights)
    check_same_weights(model, trained(X, y, sample_weight=pandas.Series(weights, dtype="Float64")), 1e-6)


MISSING = frame.convert_dtypes().where(frame["n"] > 0)
REFUSED = {
    "text": ("x", frame.assign(city="a"), r"x\[0, 'city'\] is 'a' of type str: encode text, categories and dates"),
    "categories": ("x", frame.assign(city="a").astype({"city": "category"}), r"x\[0, 'city'\] is 'a'"),
    "text after numbers": ("x", frame.assign(n=[1.0] * 11 + ["?"]), r"x\[11, 'n'\] is '\?' of type str"),
    "dates": ("x", frame.assign(day=np.datetime64("2020-01-01")), r"x\[0, 'day'\] is .*2020-01-01"),
    "complex": ("x", frame.assign(z=1j), r"x\[0, 'z'\] is .*1j"),
    "polars text": ("x", polars.DataFrame({**COLUMNS, "city": ["a"] * N}), r"x\[0, 'city'\] is 'a' of type str"),
    "polars lists": ("x", polars.DataFrame({**COLUMNS, "l": [[1, 2]] * N}), r"x\[0, 'l'\] is .*\[1, 2\]"),
    "polars lazy": ("x", polars.DataFrame(COLUMNS).lazy(), r"x is .* of type LazyFrame: use x\.collect\(\)"),
    "missing": ("x", MISSING[["n"]], r"x\[0, 'n'\] is nan: .*fill in or drop missing values"),
    "missing among others": ("x", MISSING, r"x\[0, 'age'\] is nan"),
    "missing truth": ("x", MISSING[["old"]], r"x\[0, 'old'\] is nan"),
    "missing in polars": ("x", polars.DataFrame({"a": [True] * 11 + [None]}), r"x\[11, 'a'\] is nan"),
    "numbers as names": ("x", frame.rename(columns={"n": 1}).assign(n="a"), r"x\[0, 'n'\] is 'a'"),
    "labels of text": ("y", pandas.Series(["a", "b", "c"] * 4), r"y\[0\] is 'a' of type str: number the classes 0, 1"),
    "list of text": ("y", ["a", "b", "c"] * 4, r"y is \['a', .* of type list: number the classes .*numpy\.unique"),
    "labels of text in a frame": ("y", pandas.DataFrame({"y": ["a", "b", "c"] * 4}), r"y\[0, 'y'\] is 'a'.*number the"),
    "missing labels": ("y", pandas.Series(LABELS, dtype="Int64").where(LABELS > 0), r"y\[0\] is nan"),
    "missing targets": ("y", MISSING[["age", "n", "old"]], r"y\[0, 'age'\] is nan"),
}  # fmt: skip


@pytest.mark.parametrize(("argument", "values", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_named(argument: str, values: Any, message: str) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message) as caught:
        trained(**{"x": X, "y": LABELS} | {argument: values})
    assert "object" not in str(caught.value)
    assert isinstance(caught.value, AccelnnError)


def moved(model: Sequential, tmp_path: Any) -> Sequential:
    model.save(tmp_path / "model.npz")
    return load_model(tmp_path / "model.npz")


@pytest.mark.parametrize("library", [pandas, polars], ids=["pandas", "polars"])
@pytest.mark.parametrize("how", ["as it is", "copied", "pickled", "saved"])
def test_the_order_of_columns_is_checked(library: Any, how: str, tmp_path: Any) -> None:
    x = library.DataFrame(COLUMNS)
    other = x[["n", "age", "old"]]
    copies = {"copied": copy.deepcopy, "pickled": lambda m: pickle.loads(pickle.dumps(m))}
    model = trained(x)
    model = moved(model, tmp_path) if how == "saved" else copies.get(how, lambda m: m)(model)
    calls = [
        model.predict, model.predict_proba, model.layer_outputs, lambda x: model.predict(iter([x])),
        lambda x: model.evaluate(x, LABELS), lambda x: model.fit(x, LABELS), lambda x: model.partial_fit(x, LABELS),
        lambda x: model.fit(X, LABELS, validation_data=(x, LABELS)),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(
            ArgumentError, match=r"column 1 of x is 'n' and the model was trained on 'age': use x\[list"
        ):
            call(other)
    np.testing.assert_array_equal(model.predict(other[list(model.feature_names or ())]), model.predict(x))
    np.testing.assert_array_equal(model.predict(X), model.predict(x))
    model.feature_names = None
    assert model.predict(other).shape == (N,)


def test_names_are_learned_by_the_first_frame_that_is_trained_on() -> None:
    model = trained(X)
    model.predict(frame)
    with pytest.raises(ArgumentError, match="y is 3"):
        model.fit(frame, LABELS + 1)
    assert model.feature_names is None
    model.partial_fit(iter([(X, LABELS), (frame, LABELS)]), batch_size=None)
    assert model.feature_names == tuple(COLUMNS)
    assert trained(frame.set_axis([0, 1, 2], axis=1)).feature_names is None


def test_neither_library_is_imported() -> None:
    program = (
        "import sys, numpy, accelnn; accelnn.Sequential([accelnn.Dense(1)]).fit(numpy.eye(2), [1, 2], verbose=0, "
        "runner='plain'); sys.exit(any(name in sys.modules for name in ('pandas', 'polars')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
