"""Legal but unusual data: every layout, dtype and container gives the numbers of a plain float64 array."""

from __future__ import annotations

import warnings

import array_api_strict
import numpy as np
import pytest

from accelnn import SGD, Dense, Sequential
from accelnn.errors import AccelnnWarning, ArgumentError, ArgumentTypeError
from accelnn.training import inputs
from tests.training.parity import check_same_weights, dense

N, N_IN = 21, 4
WHOLE = np.random.default_rng(0).integers(-5, 6, (N, N_IN))
"""Whole numbers, which all dtypes can hold."""
POSITIVE = WHOLE + 5
LABELS = np.random.default_rng(1).integers(0, 3, N)
OPTIONS = {"epochs": 3, "batch_size": 8, "verbose": 0, "optimizer": SGD(0.01)}


def trained(x, y=LABELS, output="softmax", **options) -> Sequential:
    model = Sequential([dense(5, "tanh"), dense(3, output)], dtype="float64", seed=0)
    model.fit(x, y, **OPTIONS | options)
    return model


def unaligned(array):
    buffer = bytearray(array.nbytes + 1)
    result = np.frombuffer(buffer, array.dtype, array.size, offset=1).reshape(array.shape)
    result[...] = array
    assert not result.flags.aligned
    return result


def field_of_records(array):
    records = np.zeros(array.shape, [("flag", np.int8), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


def read_only(array):
    result = array.copy()
    result.flags.writeable = False
    return result


def mapped(array, tmp_path):
    path = tmp_path / "x.dat"
    array.tofile(path)
    return np.memmap(path, array.dtype, "r", shape=array.shape)


class OwnContainer:
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


F = WHOLE.astype(np.float64)
CONTAINERS = {
    "Fortran order": np.asfortranarray(F),
    "Fortran order, uint8": np.asfortranarray(POSITIVE.astype(np.uint8)),
    "rows backwards": F[::-1].copy()[::-1],
    "columns backwards": F[:, ::-1].copy()[:, ::-1],
    "transposed": F.T.copy().T,
    "every third row": np.repeat(F, 3, axis=0)[::3],
    "every second column": np.repeat(F, 2, axis=1)[:, ::2],
    "read-only": read_only(F),
    "read-only bytes": read_only(POSITIVE.astype(np.uint8)),
    "unaligned": unaligned(F),
    "unaligned float32": unaligned(F.astype(np.float32)),
    "field of records": field_of_records(F),
    "big-endian": F.astype(">f8"),
    "big-endian float32": F.astype(">f4"),
    "big-endian integers": WHOLE.astype(">i4"),
    "list of lists": WHOLE.tolist(),
    "tuple of tuples": tuple(map(tuple, F.tolist())),
    "list of rows": list(F),
    "an object with __array__": OwnContainer(F),
    "another array library": array_api_strict.asarray(F),
    "bool": WHOLE > 0,
    **{name: WHOLE.astype(name) for name in ("int8", "int16", "int32", "int64", "float16", "float32", "longdouble")},
    **{name: POSITIVE.astype(name) for name in ("uint8", "uint16", "uint32", "uint64")},
}


@pytest.mark.parametrize("x", CONTAINERS.values(), ids=CONTAINERS)
def test_inputs(x):
    expected = np.array(np.asarray(x), np.float64, order="C")
    model, other = trained(x), trained(expected)
    check_same_weights(other, model, 1e-15)
    np.testing.assert_array_equal(model.predict_proba(x), other.predict_proba(expected))
    assert model.evaluate(x, LABELS) == other.evaluate(expected, LABELS)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16"])
def test_a_file_in_memory(dtype, tmp_path):
    x = mapped(POSITIVE.astype(dtype), tmp_path)
    check_same_weights(trained(POSITIVE.astype(np.float64)), trained(x), 1e-15)


Y = {
    "list": LABELS.tolist(),
    "column": LABELS.reshape(-1, 1),
    "list of lists": LABELS.reshape(-1, 1).tolist(),
    "backwards": LABELS[::-1].copy()[::-1],
    "unaligned": unaligned(LABELS),
    "big-endian": LABELS.astype(">i8"),
    "one-hot": np.eye(3)[LABELS],
    "one-hot bool": np.eye(3)[LABELS] > 0,
    "one-hot list": np.eye(3, dtype=int)[LABELS].tolist(),
    **{name: LABELS.astype(name) for name in ("int8", "uint8", "int32", "uint64", "float16", "float32", "float64")},
}


@pytest.mark.parametrize("y", Y.values(), ids=Y)
def test_labels(y):
    check_same_weights(trained(F), trained(F, y), 1e-14)


def test_bool_labels():
    check_same_weights(trained(F, (LABELS > 0).astype(int)), trained(F, LABELS > 0), 1e-15)


T = WHOLE[:, :3].astype(np.float64)
TARGETS = {
    "list": T.tolist(),
    "integers": WHOLE[:, :3],
    "int8": WHOLE[:, :3].astype(np.int8),
    "float32": T.astype(np.float32),
    "Fortran order": np.asfortranarray(T),
    "backwards": T[::-1, ::-1].copy()[::-1, ::-1],
    "unaligned": unaligned(T),
    "big-endian": T.astype(">f4"),
    "read-only": read_only(T),
}


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_targets(y, loss):
    check_same_weights(trained(F, T, "identity", loss=loss), trained(F, y, "identity", loss=loss), 1e-15)


W = np.arange(N) % 3.0
WEIGHTS = {
    "list": W.tolist(),
    "integers": W.astype(int),
    "uint8": W.astype(np.uint8),
    "float32": W.astype(np.float32),
    "backwards": W[::-1].copy()[::-1],
    "unaligned": unaligned(W),
    "big-endian": W.astype(">f8"),
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_sample_weights(weights):
    check_same_weights(trained(F, sample_weight=W), trained(F, sample_weight=weights), 1e-15)


def test_weights_may_be_true_or_false():
    check_same_weights(trained(F, sample_weight=1.0 * (W > 0)), trained(F, sample_weight=W > 0), 1e-15)


@pytest.mark.parametrize(("zero", "one"), [(np.int8, np.uint64), (np.float32, float), (np.bool_, np.bool_)])
def test_class_weights_may_be_numpy_numbers(zero, one):
    weights = {zero(0): np.float32(2.0), one(1): np.int16(3)}
    check_same_weights(trained(F, class_weight={0: 2.0, 1: 3}), trained(F, class_weight=weights), 1e-15)


@pytest.mark.parametrize(("n", "n_in"), [(1, 4), (1, 1), (21, 1), (2, 300)])
@pytest.mark.parametrize("batch_size", [None, 1])
def test_few_rows_and_columns(n, n_in, batch_size):
    x = np.random.default_rng(2).normal(size=(n, n_in))
    model = trained(x, LABELS[:n], batch_size=batch_size)
    assert model.predict(x).shape == (n,)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_one_unit_and_one_row_backwards():
    x = np.array([[1.0, 2.0]])[::-1, ::-1]
    model = Sequential([Dense(1)], seed=0)
    assert np.isfinite(model.fit(x, [1.0], **OPTIONS | {"batch_size": None})["loss"]).all()
    np.testing.assert_allclose(model.predict(x), model.predict(x.copy()))


@pytest.mark.parametrize("batch_size", [22, 1000, 10**30])
def test_a_batch_larger_than_the_data(batch_size):
    with pytest.warns(AccelnnWarning, match="there are only 21 rows"):
        model = trained(F, batch_size=batch_size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_same_weights(trained(F, batch_size=21), model, 1e-15)


@pytest.mark.parametrize("n", [1, 21, 40])
def test_who_gave_no_batch_size_hears_nothing_of_it(n):
    x, y = np.resize(F, (n, F.shape[1])), np.resize(LABELS, n)
    model, other = Sequential([Dense(3, "softmax")], seed=0), Sequential([Dense(3, "softmax")], seed=0)
    assert (
        model.fit(x, y, epochs=1, verbose=0)["loss"]
        == other.fit(x, y, epochs=1, batch_size=min(n, 32), verbose=0)["loss"]
    )
    model.partial_fit(x, y)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_compact_inputs_are_not_copied(dtype):
    model = Sequential([Dense(3)], n_in=4)
    x = np.zeros((50, 6), dtype)
    for view in (x[:, :4], x[::2, 1:5], x[10:20, 2:], x[::-1, :4]):
        checked = inputs.checked_x(view, model)
        assert np.shares_memory(checked, x)
        assert checked.strides == view.strides


def test_kernels_get_aligned_numbers():
    model = Sequential([Dense(4, "softmax")], n_in=4, dtype="float64")
    data = inputs.checked_data(unaligned(F), unaligned(F.clip(0, 1)), model, "mse", unaligned(W))
    assert all(array.flags.aligned for array in (data.x, data.y, data.weights))
    assert inputs.checked_data(F, unaligned(LABELS), model, "cross_entropy").y.flags.aligned


def test_a_missing_value_is_found_in_a_large_array():
    x = np.zeros((3 * inputs.ROWS_PER_CHECK + 5, 2))
    x[-1, 1] = np.nan
    with pytest.raises(ArgumentError, match=rf"x\[{len(x) - 1}, 1\] is nan"):
        inputs.checked_x(x, Sequential([Dense(3)]))


def test_integers_are_not_looked_through_for_missing_values():
    assert inputs.checked_x(np.full((2, 2), 2**62), Sequential([Dense(3)])).dtype == np.float32


class OnDevice:
    """An array in the memory of a GPU, which NumPy cannot read."""

    def __dlpack__(self):
        raise AssertionError("nobody should ask")

    def __dlpack_device__(self):
        return (2, 0)


def test_an_array_on_another_device_is_refused():
    with pytest.raises(ArgumentTypeError, match=r"x, of type OnDevice, lies on cuda:0 and the model on cpu: copy it"):
        trained(OnDevice())


class Tensor:
    """A tensor of another library on the host, which has DLPack and nothing else."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return (1, 0)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_tensors_on_the_host_are_not_copied(dtype):
    x = POSITIVE.astype(dtype)
    assert np.shares_memory(inputs.checked_x(Tensor(x), Sequential([Dense(3)])), x)
    model = trained(Tensor(x), Tensor(LABELS), sample_weight=Tensor(W))
    check_same_weights(trained(x, LABELS, sample_weight=W), model, 1e-15)
    np.testing.assert_array_equal(model.predict(Tensor(x)), model.predict(x))
