"""Peak memory: sparse rows are made dense a block at a time, and predictions stream, whatever the number of rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.own_process import output_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]

PROGRAM = """
import warnings
import numpy as np, scipy.sparse
from accelnn import MLPClassifier
warnings.simplefilter("ignore")

def peak_bytes():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

def train(X, y, **options):
    return MLPClassifier((4,), max_iter=1, random_state=0, backend="cpu", **options).fit(X, y)

rng = np.random.default_rng(0)
"""

SPARSE = """
    def matrix(n):
        data, columns = np.ones(10 * n, dtype), rng.integers(0, 5000, 10 * n)
        return scipy.sparse.csr_array((data, columns, np.arange(0, 10 * n + 1, 10)), shape=(n, 5000)).{form}()

    y = rng.integers(0, 3, 20_000)
    train(matrix(400), y[:400], {options}).predict(matrix(400))  # imports, and loads or compiles the kernels
    x = matrix(20_000)
    before = peak_bytes()
    train(x, y, {options}).predict_proba(x)
    print(peak_bytes() - before, 20_000 * 5000 * x.dtype.itemsize)
"""

DENSE = """
    x = np.zeros((300_000, 784), dtype)
    y = rng.integers(0, 3, 300)
    estimator = train(x[:300], y)
    estimator.predict(x[:30_000])
    x[:, 0] = 1  # every page of it is there
    before = peak_bytes()
    assert len(estimator.predict(x)) == 300_000
    assert len(estimator.predict_proba(x)) == 300_000
    print(peak_bytes() - before, x.size * 8)
"""


def growth_of(text: str, dtype: str, **parts: str) -> tuple[int, int]:
    """Return by how many bytes the peak has grown, and how many a dense copy in the type of computation has."""
    code = PROGRAM + f"dtype = np.{dtype}\n" + "\n".join(line[4:] for line in text.format(**parts).splitlines())
    growth, dense = (int(word) for word in output_of(code).split())
    return growth, dense


@pytest.mark.parametrize(
    ("dtype", "form", "options"),
    [
        ("float64", "tocsr", "batch_size=200"),
        ("float32", "tocsr", "batch_size=200, early_stopping=True"),
        ("float64", "tocsc", "batch_size=200"),
        ("float64", "tocsr", "solver='lbfgs'"),
    ],
)
def test_large_sparse_rows(dtype: str, form: str, options: str) -> None:
    growth, dense = growth_of(SPARSE, dtype, form=form, options=options)
    assert growth < dense / 6


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_predictions_stream(dtype: str) -> None:
    growth, dense = growth_of(DENSE, dtype)
    assert growth < dense / 40
