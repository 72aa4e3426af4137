"""``precision=`` is a permission for CUDA devices: a CPU takes it and computes as ever."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import Sequential
from accelnn.errors import ArgumentError
from accelnn.training.runners.precision import checked_precision
from tests.training.parity import inputs, small_net, targets


def weights(dtype: str, **options) -> np.ndarray:
    model = Sequential(small_net(), seed=0, dtype=dtype, backend="cpu")
    model.fit(inputs(), targets(), epochs=2, batch_size=16, verbose=0, **options)
    model.partial_fit(inputs(), targets(), batch_size=16, **options)
    return model.arena.values.copy()


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", "float32"), ("tf32", "float32"), ("bf16", "float32"), ("float64", "float64")]
)
def test_a_cpu_computes_in_the_dtype_of_the_model(precision, dtype):
    np.testing.assert_array_equal(weights(dtype, precision=precision), weights(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_default_is_that_of_the_dtype(dtype):
    assert checked_precision(None, dtype) == dtype


@pytest.mark.parametrize(
    ("precision", "dtype", "message"),
    [
        ("half", "float32", "precision is 'half'"),
        ("float64", "float32", "a float32 model takes 'float32', 'tf32' or 'bf16'"),
        ("tf32", "float64", "a float64 model takes 'float64'"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_wrong_precisions(precision, dtype, message, method):
    model = Sequential(small_net(), dtype=dtype, backend="cpu")
    with pytest.raises(ArgumentError, match=message):
        getattr(model, method)(inputs(), targets(), precision=precision)
