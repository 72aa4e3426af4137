"""``accelnn.warmup``: after it, no training and no prediction has to wait for the compiler."""

from __future__ import annotations

import pytest
from accelnn_kernels import compiler, inventory, notice

import accelnn
from accelnn.errors import AccelnnError, ArgumentError
from tests.training.own_process import output_of

FEW = [("copy", "", "float32"), ("update", "sgd", "float32")]

EVERYTHING = """
    import itertools
    import numpy as np
    import accelnn
    from accelnn import SGD, Activation, Adam, BatchNorm, Dense, Dropout, LayerNorm, Rescaling, Sequential
    from accelnn.network import ACTIVATION_ENTRIES
    from accelnn.training import OPTIMIZERS
    from accelnn_kernels import compiler

    def train(*layers, x=None, y=None, runner="compiled", **options):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(12, 5)).astype(np.float32) if x is None else x
        model = Sequential(layers, backend="cpu", seed=0)
        y = np.arange(12) % 3 if y is None else y
        options = {"epochs": 2, "batch_size": 5, "verbose": 0} | options
        model.fit(x, y, runner=runner, metrics=options.pop("metrics", ()), validation_data=(x, y), **options)
        model.predict(x)

    class Own(Dense):
        "A layer without a compiled form: its operations are kernels all the same."

    rows = np.abs(np.random.default_rng(1).normal(size=(12, 3)))
    for name in ACTIVATION_ENTRIES:
        train(Dense(4, name), Activation(name), Dense(3, "softmax"), metrics="accuracy")
        train(Dense(3, name), y=rows, loss="mse", metrics="r2")
    for loss, output in [
        ("mse", "identity"), ("sse", "identity"), ("mae", "identity"), ("huber", "identity"),
        ("binary_cross_entropy", "sigmoid"), ("poisson", "exponential"), ("cross_entropy", "softmax"),
    ]:
        train(Dense(3, output), y=rows / rows.sum(axis=1, keepdims=True), loss=loss)
    for optimizer in (*OPTIMIZERS, SGD(0.1, clip_norm=1.0), Adam(clip_value=1.0)):
        train(Dense(4, "relu", l1=0.1, l2=0.1), Dense(3, "softmax"), optimizer=optimizer)
        train(Dense(4, "relu"), Dense(3, "softmax"), optimizer=optimizer)
    for dtype in ("uint8", "float32", "float64"):
        x = np.arange(60).reshape(12, 5).astype(dtype)
        train(Rescaling(1 / 60), Dense(3, "softmax"), x=x, sample_weight=np.arange(12.0))
    normalized = Rescaling(2.0), Dense(6, use_bias=False), BatchNorm(), Activation("relu"), Dropout(0.2), LayerNorm()
    train(*normalized, Rescaling(0.5), Dense(3, "softmax"))
    train(Own(6, "gelu"), BatchNorm(), LayerNorm(), Dropout(0.2), Dense(3, "softmax"), runner="auto")
    print(sorted(compiler.compiled_names))
"""


@pytest.mark.slow
def test_after_a_warm_up_another_process_compiles_nothing(tmp_path):
    counts = output_of("import accelnn; done = accelnn.warmup(); print(done.n_compiled, done.n_kernels)", tmp_path)
    n_compiled, n_kernels = map(int, counts.split())
    assert n_compiled == n_kernels == len(list(inventory.kernel_names(["float32"]))) + 2
    assert output_of(EVERYTHING, tmp_path) == "[]\n"


@pytest.fixture
def few(monkeypatch):
    """Let there be two kernels; all others have tests of their own."""
    asked = []

    def kernel_names(dtypes):
        asked.extend(dtypes)
        return iter(FEW)

    monkeypatch.setattr(inventory, "kernel_names", kernel_names)
    return asked


@pytest.mark.parametrize(
    ("dtype", "dtypes"),
    [("float32", ["float32"]), ("float64", ["float64"]), ("all", ["float32", "float64"])],
)
def test_the_dtype_says_which_kernels(few, dtype, dtypes):
    seen = []
    done = accelnn.warmup(dtype, progress=lambda done, total: seen.append((done, total)))
    assert few == dtypes
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert done.n_kernels == 4
    assert 0 <= done.n_compiled <= 4
    assert done.seconds > 0.0
    assert done.cache_directory == compiler.cache_directory()


@pytest.mark.usefixtures("few")
def test_what_was_loaded_is_not_counted_as_compiled():
    accelnn.warmup()
    assert accelnn.warmup().n_compiled == 0


@pytest.mark.usefixtures("few")
def test_nobody_is_told_to_warm_up_while_warming_up(capsys, caplog):
    notice.forget()
    with caplog.at_level("INFO", "accelnn"):
        accelnn.warmup(progress=lambda done, total: notice.announce())
    notice.forget()
    assert notice.MESSAGE not in caplog.text + capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["float16", "", None, 32])
def test_another_dtype_is_an_error(dtype):
    with pytest.raises(ArgumentError, match=r"dtype is .*all, float32, float64"):
        accelnn.warmup(dtype)


def test_where_nothing_can_be_kept_there_is_nothing_to_warm_up(monkeypatch):
    monkeypatch.setattr(compiler, "cache_directory", lambda: None)
    with pytest.raises(AccelnnError, match="set ACCELNN_CACHE_DIR to a directory that can be written"):
        accelnn.warmup()
