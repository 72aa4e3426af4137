"""Calls that cannot work: each raises an error of accelnn's own that names the argument, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from accelnn import BatchNorm, Dense, EarlyStopping, Sequential, load_model
from accelnn.errors import ArgumentError, ArgumentTypeError, BackendError, ModelFileError, NotBuiltError, ShapeError

X = np.random.default_rng(0).normal(size=(12, 3))
LABELS = np.arange(12) % 3
ROWS = np.eye(3)[LABELS]
NAN = float("nan")

Call = Callable[[], Any]
Case = tuple[str, Call, type[Exception], str]


def net(output="softmax", units=3, **options) -> Sequential:
    return Sequential([Dense(4, "tanh"), Dense(units, output)], **{"seed": 0} | options)


def fit(model=None, x=X, y=LABELS, **options) -> Call:
    return lambda: (model or net()).fit(x, y, **{"epochs": 1, "verbose": 0, "batch_size": 4} | options)


def regression(y=ROWS, **options) -> Call:
    return fit(net("identity"), y=y, **options)


def spoiled(value, row=7, column=1, values=X) -> np.ndarray:
    changed = np.array(values, np.float64)
    changed[row, column] = value
    return changed


def named_loss(output, target):
    return 0.0


named_loss.__name__ = "loss"
SHARED = Dense(3)
USED = net(n_in=3).layers[0]

MODELS: list[Case] = [
    ("no layers", lambda: Sequential([]), ArgumentError, "layers is"),
    ("a name as layers", lambda: Sequential("dense"), ArgumentTypeError, "layers is 'dense'"),
    ("one layer, not a list", lambda: Sequential(Dense(3)), ArgumentTypeError, "layers is"),
    ("a class as layer", lambda: Sequential([Dense]), ArgumentTypeError, r"layers\[0\] is .*use an instance"),
    ("a number as layer", lambda: Sequential([Dense(3), 4]), ArgumentTypeError, r"layers\[1\] is 4"),
    ("a layer twice", lambda: Sequential([SHARED, SHARED]), ArgumentError, r"layers\[1\] .*occurs twice"),
    ("a layer of another model", lambda: Sequential([USED]), ArgumentError, r"layers\[0\] .*belongs to another"),
    ("a name twice", lambda: Sequential([Dense(3, name="a"), Dense(3, name="a")]), ArgumentError, "name of layers"),
    ("dtype", lambda: net(dtype="float16"), ArgumentError, "dtype is 'float16'.*float32, float64"),
    ("dtype of another kind", lambda: net(dtype=int), ArgumentError, "dtype is"),
    ("backend", lambda: net(backend="cpuu"), ArgumentError, "backend is 'cpuu': did you mean 'cpu'"),
    ("backend of a wrong type", lambda: net(backend=3), ArgumentTypeError, "backend is 3"),
    ("a device that is not there", lambda: net(backend="cuda:99"), BackendError, "backend 'cuda:99' cannot be used"),
    ("negative seed", lambda: net(seed=-1), ArgumentError, "seed is -1"),
    ("seed of a wrong type", lambda: net(seed="0"), ArgumentTypeError, "seed is '0'"),
    ("no inputs", lambda: net(n_in=0), ArgumentError, "n_in is 0"),
    ("another number of inputs", lambda: net(n_in=3).build(4), ShapeError, "n_in is 4.*built for 3"),
    ("weights before the build", lambda: net().get_weights(), NotBuiltError, "not known yet"),
    ("too few weights", lambda: net(n_in=3).set_weights([]), ShapeError, "weights has 0 arrays.*takes 4"),
    ("activation", lambda: Dense(3, "rellu"), ArgumentError, "activation is 'rellu': did you mean 'relu'"),
]

INPUTS: list[Case] = [
    ("x None", fit(x=None), ArgumentTypeError, "x is None"),
    ("x text", fit(x="abc"), ArgumentTypeError, "x is 'abc'"),
    ("x strings", fit(x=[["a", "b"]]), ArgumentTypeError, r"x is \[\['a'"),
    ("x ragged", fit(x=[[1.0, 2.0], [3.0]]), ArgumentTypeError, "x is .*rows of equal length"),
    ("x complex", fit(x=X * 1j), ArgumentTypeError, "x is .*complex128"),
    ("x objects", fit(x=np.array([[None, 1]])), ArgumentTypeError, "x is .*object"),
    ("x dates", fit(x=np.zeros((2, 3), "datetime64[s]")), ArgumentTypeError, "x is .*datetime64"),
    ("x a mapping", fit(x={"a": 1}), ArgumentTypeError, "x is {'a': 1}"),
    ("x masked", fit(x=np.ma.masked_less(X, 0.0)), ArgumentTypeError, "x is .*masked"),
    ("x sparse", fit(x=sparse.csr_matrix(X)), ArgumentTypeError, r"x is .*x\.toarray\(\)"),
    ("x one-dimensional", fit(x=X[:, 0]), ShapeError, r"x has shape \(12,\).*reshape\(1, -1\)"),
    ("x of images", fit(x=X.reshape(12, 3, 1)), ShapeError, r"x has shape \(12, 3, 1\).*reshape\(len\(x\), -1\)"),
    ("x a number", fit(x=3.0), ShapeError, r"x has shape \(\)"),
    ("x without rows", fit(x=X[:0]), ShapeError, r"x has shape \(0, 3\)"),
    ("x without columns", fit(x=X[:, :0]), ShapeError, r"x has shape \(12, 0\)"),
    ("x with other columns", fit(net(n_in=4)), ShapeError, "x has 3 columns: this model takes 4"),
    ("x NaN", fit(x=spoiled(NAN)), ArgumentError, r"x\[7, 1\] is nan: .*finite"),
    ("x infinite", fit(x=spoiled(-np.inf)), ArgumentError, r"x\[7, 1\] is -inf"),
    ("x too large for float32", fit(x=spoiled(1e39)), ArgumentError, r"x\[7, 1\] is 1e\+39: .*float32"),
    ("x half, infinite", fit(x=spoiled(np.inf).astype(np.float16)), ArgumentError, r"x\[7, 1\] is inf"),
    ("x long, too large", fit(x=X + np.longdouble("1e350")), ArgumentError, r"x\[0, 0\] is"),
    ("x big-endian, NaN", fit(x=spoiled(NAN).astype(">f8")), ArgumentError, r"x\[7, 1\] is nan"),
    ("y None", fit(y=None), ArgumentTypeError, "y is None"),
    ("y a number", fit(y=1), ShapeError, "y has no rows"),
    ("y too short", fit(y=LABELS[:5]), ShapeError, "y has 5 rows: x has 12"),
    ("y strings", fit(y=["cat"] * 12), ArgumentTypeError, "y is"),
    ("y complex", regression(ROWS * 1j), ArgumentTypeError, "y is .*complex"),
    ("y masked", fit(y=np.ma.masked_equal(LABELS, 1)), ArgumentTypeError, "y is .*masked"),
    ("label too large", fit(y=LABELS + 1), ArgumentError, r"y is 3: labels lie in 0\.\.2 .*3 units"),
    ("label negative", fit(y=LABELS - 1), ArgumentError, r"y is -1: labels lie in 0\.\.2"),
    ("label far too large", fit(y=LABELS + 1e300), ArgumentError, "y is 1000.*labels lie in"),
    ("label beyond int64", fit(y=np.full(12, 2**63, np.uint64)), ArgumentError, "y is 9223372036854775808: labels"),
    ("label fractional", fit(y=LABELS + 0.5), ArgumentError, "y is 0.5: labels are whole numbers.*loss='mse'"),
    ("label NaN", fit(y=np.where(LABELS == 2, NAN, 0.0)), ArgumentError, r"y\[2\] is nan"),
    ("label infinite", fit(y=np.where(LABELS == 2, np.inf, 0.0)), ArgumentError, r"y\[2\] is inf"),
    ("labels for a softmax of one", fit(net(units=1)), ArgumentError, "loss is 'cross_entropy': .*2 outputs or more"),
    ("labels for sigmoids", fit(net("sigmoid")), ShapeError, r"y has shape \(12, 1\).*numpy\.eye\(3\)\[labels\]"),
    ("too few targets", regression(ROWS[:, :2]), ShapeError, r"y has shape \(12, 2\): this model has 3 outputs"),
    ("one-hot rows of 4 classes", fit(y=np.eye(4)[LABELS]), ShapeError, r"y has shape \(12, 4\).*one-hot rows"),
    ("targets of three dimensions", regression(ROWS[:, :, None]), ShapeError, r"y has shape \(12, 3, 1\)"),
    ("target NaN", regression(spoiled(NAN, values=ROWS)), ArgumentError, r"y\[7, 1\] is nan"),
    ("target too large for float32", regression(spoiled(1e39, values=ROWS)), ArgumentError, r"y\[7, 1\] is 1e\+39"),
    ("share above 1", fit(y=2.0 * ROWS), ArgumentError, r"y is 2\.0: targets of cross_entropy lie in \[0, 1\]"),
    ("share below 0", fit(net("sigmoid"), y=-ROWS), ArgumentError, r"y is -1\.0: targets of binary_cross_entropy"),
    ("negative count", fit(net("exponential"), y=-ROWS), ArgumentError, r"y is -1\.0: targets of poisson"),
]

OPTIONS: list[Case] = [
    ("loss", fit(loss="cross_entropi"), ArgumentError, "loss is 'cross_entropi': did you mean 'cross_entropy'"),
    ("loss empty", fit(loss=""), ArgumentError, "loss is ''"),
    ("loss of a wrong type", fit(loss=0), ArgumentTypeError, "loss is 0"),
    ("sigmoid loss on softmax", fit(loss="binary_cross_entropy"), ArgumentError, "loss is .*use loss='cross_entropy'"),
    ("softmax loss on sigmoid", fit(net("sigmoid"), loss="cross_entropy"), ArgumentError, "use loss='binary_cross_ent"),
    ("softmax loss on identity", regression(loss="cross_entropy"), ArgumentError, "end the network in 'softmax'"),
    ("poisson on identity", regression(loss="poisson"), ArgumentError, "loss is 'poisson'.*'exponential'"),
    ("optimizer", fit(optimizer="adamm"), ArgumentError, "optimizer is 'adamm': did you mean 'adam'"),
    ("optimizer of a wrong type", fit(optimizer=0.1), ArgumentTypeError, "optimizer is 0.1"),
    ("learning rate 0", fit(learning_rate=0.0), ArgumentError, r"learning_rate is 0\.0"),
    ("learning rate NaN", fit(learning_rate=NAN), ArgumentError, "learning_rate is nan"),
    ("learning rate of a wrong type", fit(learning_rate="0.1"), ArgumentTypeError, "learning_rate is '0.1'"),
    ("epochs negative", fit(epochs=-1), ArgumentError, "epochs is -1"),
    ("epochs fractional", fit(epochs=1.5), ArgumentTypeError, "epochs is 1.5"),
    ("epochs true", fit(epochs=True), ArgumentTypeError, "epochs is True"),
    ("epochs None", fit(epochs=None), ArgumentTypeError, "epochs is None"),
    ("batch_size 0", fit(batch_size=0), ArgumentError, "batch_size is 0"),
    ("batch_size negative", fit(batch_size=-4), ArgumentError, "batch_size is -4"),
    ("batch_size by another name", fit(batch_size="all"), ArgumentTypeError, "batch_size is 'all'.*use an integer"),
    ("batch_size fractional", fit(batch_size=4.0), ArgumentTypeError, "batch_size is 4.0"),
    ("shuffle", fit(shuffle="yes"), ArgumentTypeError, "shuffle is 'yes'"),
    ("shuffle None", fit(shuffle=None), ArgumentTypeError, "shuffle is None"),
    ("runner", fit(runner="compield"), ArgumentError, "runner is 'compield': did you mean 'compiled'"),
    ("runner of a wrong type", fit(runner=None), ArgumentError, "runner is None"),
    ("verbose", fit(verbose=3), ArgumentError, "verbose is 3"),
    ("verbose of a wrong type", fit(verbose="no"), ArgumentTypeError, "verbose is 'no'"),
    ("callbacks a class", fit(callbacks=[EarlyStopping]), ArgumentTypeError, "callbacks is .*use instances"),
    ("callbacks a function", fit(callbacks=[print]), ArgumentTypeError, "callbacks is"),
    ("callbacks a number", fit(callbacks=3), ArgumentTypeError, "callbacks is 3"),
    ("callback on what is not recorded", fit(callbacks=EarlyStopping()), ArgumentError, "metric is 'val_loss'"),
    ("metrics", fit(metrics="acuracy"), ArgumentError, "metric is 'acuracy': did you mean 'accuracy'"),
    ("metrics twice", fit(metrics=["mse", "mse"]), ArgumentError, "metrics is 'mse'.*once"),
    ("metrics without a name", fit(metrics=lambda a, y: 0.0), ArgumentError, "metric is .*write it with def"),
    ("metrics with a taken name", fit(metrics=[named_loss]), ArgumentError, "metric .* is called 'loss'"),
    ("metrics a number", fit(metrics=3), ArgumentTypeError, "metrics? is 3"),
    ("validation_split below 0", fit(validation_split=-0.1), ArgumentError, "validation_split is -0.1"),
    ("validation_split 1", fit(validation_split=1.0), ArgumentError, "validation_split is 1.0"),
    ("validation_split true", fit(validation_split=True), ArgumentTypeError, "validation_split is True"),
    ("validation_split of nothing", fit(validation_split=0.01), ArgumentError, "validation_split is 0.01.*12 rows"),
    ("validation_split of all", fit(validation_split=0.99), ArgumentError, "validation_split is 0.99.*12 rows"),
    ("validation twice", fit(validation_split=0.5, validation_data=(X, LABELS)), ArgumentError, "validation_split is"),
    ("validation_data x only", fit(validation_data=X), ArgumentTypeError, "validation_data is"),
    ("validation_data of one", fit(validation_data=(X,)), ArgumentTypeError, "validation_data is"),
    ("validation_data of four", fit(validation_data=(X,) * 4), ArgumentTypeError, "validation_data is"),
    ("validation x columns", fit(validation_data=(X[:, :2], LABELS)), ShapeError, "validation_data: x has 2 columns"),
    ("validation x None", fit(validation_data=(None, LABELS)), ArgumentTypeError, "validation_data: x is None"),
    ("validation y", fit(validation_data=(X, LABELS + 1)), ArgumentError, "validation_data: y is 3"),
    ("validation weights", fit(validation_data=(X, LABELS, [1])), ShapeError, "validation_data: sample_weight has"),
]

WEIGHTS: list[Case] = [
    ("too few weights", fit(sample_weight=[1.0, 2.0]), ShapeError, r"sample_weight has shape \(2,\): use \(12,\)"),
    ("weights in a column", fit(sample_weight=np.ones((12, 1))), ShapeError, r"sample_weight has shape \(12, 1\)"),
    ("one weight", fit(sample_weight=1.0), ShapeError, r"sample_weight has shape \(\)"),
    ("negative weight", fit(sample_weight=np.arange(12.0) - 1), ArgumentError, "sample_weight is -1.0"),
    ("weight NaN", fit(sample_weight=np.full(12, NAN)), ArgumentError, "sample_weight is nan"),
    ("weight infinite", fit(sample_weight=np.full(12, np.inf)), ArgumentError, "sample_weight is inf"),
    ("weights text", fit(sample_weight="balanced"), ArgumentTypeError, "sample_weight is 'balanced'"),
    ("weights masked", fit(sample_weight=np.ma.ones(12)), ArgumentTypeError, "sample_weight is .*masked"),
    ("weights all 0", fit(sample_weight=np.zeros(12)), ArgumentError, "sample_weight is 0.0: all weights are 0"),
    ("class weights all 0", fit(class_weight=dict.fromkeys(range(3), 0)), ArgumentError, "class_weight is 0.0: all"),
    ("class weights by a wrong name", fit(class_weight="balance"), ArgumentTypeError, "class_weight is 'balance'"),
    ("class weights a list", fit(class_weight=[1, 2, 3]), ArgumentTypeError, "class_weight is .*use a mapping"),
    ("class weight negative", fit(class_weight={0: -1.0}), ArgumentError, r"class_weight\[0\] is -1"),
    ("class weight NaN", fit(class_weight={1: NAN}), ArgumentError, r"class_weight\[1\] is nan"),
    ("class weight text", fit(class_weight={1: "2"}), ArgumentTypeError, r"class_weight\[1\] is '2'"),
    ("class weight None", fit(class_weight={1: None}), ArgumentTypeError, r"class_weight\[1\] is None"),
    ("class that does not exist", fit(class_weight={3: 1.0}), ArgumentError, r"class_weight is 3: .*0\.\.2"),
    ("half a class", fit(class_weight={np.float64(0.5): 1.0}), ArgumentError, r"class_weight is np.float64\(0.5\)"),
    ("class by name", fit(class_weight={"cat": 1.0}), ArgumentError, "class_weight is 'cat'"),
    ("class true", fit(class_weight={True: 1.0}), ArgumentError, "class_weight is True"),
    ("classes of a regression", regression(X, class_weight={0: 1.0}), ArgumentError, "class_weight .*not classes"),
    ("class weights of rows with several classes", fit(net("sigmoid"), y=np.ones((12, 3)), class_weight="balanced"),
     ArgumentError, "class_weight is .*several classes"),
]  # fmt: skip


def built(output="softmax") -> Sequential:
    return net(output, n_in=3)


OTHER_METHODS: list[Case] = [
    ("partial_fit x", lambda: built().partial_fit(X[0], LABELS), ShapeError, "x has shape"),
    ("partial_fit y", lambda: built().partial_fit(X, LABELS + 9), ArgumentError, "y is 11"),
    ("partial_fit loss", lambda: built().partial_fit(X, LABELS, loss=""), ArgumentError, "loss is ''"),
    ("partial_fit optimizer", lambda: built().partial_fit(X, LABELS, optimizer="sdg"), ArgumentError, "mean 'sgd'"),
    ("partial_fit batch_size", lambda: built().partial_fit(X, LABELS, batch_size=0), ArgumentError, "batch_size is 0"),
    ("partial_fit shuffle", lambda: built().partial_fit(X, LABELS, shuffle=1), ArgumentTypeError, "shuffle is 1"),
    ("partial_fit runner", lambda: built().partial_fit(X, LABELS, runner="x"), ArgumentError, "runner is 'x'"),
    ("partial_fit weights", lambda: built().partial_fit(X, LABELS, sample_weight=[1]), ShapeError, "sample_weight has"),
    ("evaluate x", lambda: built().evaluate(X[:, :2], LABELS), ShapeError, "x has 2 columns"),
    ("evaluate y", lambda: built().evaluate(X, LABELS[:3]), ShapeError, "y has 3 rows"),
    ("evaluate loss", lambda: built().evaluate(X, LABELS, loss="poisson"), ArgumentError, "loss is 'poisson'"),
    ("evaluate metrics", lambda: built().evaluate(X, LABELS, metrics="r3"), ArgumentError, "metric is 'r3'"),
    ("evaluate mse of labels", lambda: built().evaluate(X, LABELS, metrics="mse"), ShapeError, "output has"),
    ("evaluate weights", lambda: built().evaluate(X, LABELS, sample_weight=-X[:, 0]), ArgumentError, "sample_weight"),
    ("predict columns", lambda: built().predict(X[:, :1]), ShapeError, "x has 1 columns: this model takes 3"),
    ("predict one row", lambda: built().predict(X[0]), ShapeError, r"x has shape \(3,\)"),
    ("predict nothing", lambda: built().predict(X[:0]), ShapeError, r"x has shape \(0, 3\)"),
    ("predict NaN", lambda: built().predict(spoiled(NAN)), ArgumentError, r"x\[7, 1\] is nan"),
    ("predict_proba", lambda: built("identity").predict_proba(X), ArgumentError, "the output activation is 'identity'"),
    ("predict_proba x", lambda: built().predict_proba(None), ArgumentTypeError, "x is None"),
    ("save to a folder", lambda: built().save("."), ArgumentError, "path"),
    ("save a set", lambda: built().save("never.npz", extra={"a": {1}}), ArgumentError, "extra is"),
    ("load nothing", lambda: load_model("/not/here.npz"), ModelFileError, "here.npz"),
    ("load another file", lambda: load_model(__file__), ModelFileError, "test_wrong_calls"),
]  # fmt: skip

CASES = MODELS + INPUTS + OPTIONS + WEIGHTS + OTHER_METHODS


@pytest.mark.parametrize(("call", "error", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_wrong_call(call, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        call()
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_failed_fit_leaves_the_model_as_it_was():
    model = Sequential([BatchNorm(), Dense(3, "softmax")], seed=0, n_in=3)
    model.fit(X, LABELS, epochs=1, verbose=0, batch_size=4)
    weights, history, state = model.get_weights(), model.history, model._state
    wrong = ({"x": spoiled(NAN)}, {"y": LABELS + 1}, {"batch_size": 0}, {"metrics": "x"}, {"validation_split": 2})
    for options in wrong:
        with pytest.raises((ArgumentError, ArgumentTypeError)):
            fit(model, **options)()
    assert (model.history, model._state) == (history, state)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
