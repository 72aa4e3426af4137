"""What tells two runs apart, and what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn import SGD, Adam, get_backend, schedules
from accelnn.training.checkpoints import fingerprint
from accelnn.training.checkpoints.fingerprint import array_fingerprint, differences, value_fingerprint

CPU = get_backend("cpu")


def hash_of(array: Any) -> str:
    digest = array_fingerprint(array, CPU)["sha256"]
    assert isinstance(digest, str)
    return digest


def test_the_same_numbers_have_the_same_hash_however_they_lie(tmp_path: Path) -> None:
    table = np.arange(60.0).reshape(12, 5)
    np.save(tmp_path / "table.npy", table)
    others = [
        np.asfortranarray(table),
        np.hstack([table, table])[:, :5],
        np.load(tmp_path / "table.npy", mmap_mode="r"),
    ]
    assert {hash_of(table)} == {hash_of(other) for other in others}
    assert hash_of(table[:, ::-1]) != hash_of(table)
    assert array_fingerprint(table, CPU) == {"shape": [12, 5], "dtype": "float64", "sha256": hash_of(table)}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_every_number_counts(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SAMPLED_ROWS", 2)
    rows = np.zeros((150, 7), dtype)
    before = hash_of(rows)
    for position in range(rows.size):
        rows.flat[position] = 1
        assert hash_of(rows) != before
        rows.flat[position] = 0


def test_the_order_of_rows_and_columns_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SAMPLED_ROWS", 2)
    rows = np.random.default_rng(0).integers(0, 256, (1000, 64), np.uint8)
    moved = rows.copy()
    moved[1:-1] = np.roll(rows[1:-1], 8, axis=1)  # whole words
    exchanged = rows.copy()
    exchanged[[400, 401]] = exchanged[[401, 400]]
    assert len({hash_of(array) for array in (rows, moved, exchanged)}) == 3


def test_of_a_large_array_the_first_and_the_last_row_and_some_between_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SUMMED_BYTES", 1000)
    monkeypatch.setattr(fingerprint, "SAMPLED_ROWS", 50)
    rows = np.zeros((1000, 3), np.uint8)
    before, noticed = hash_of(rows), []
    for position in range(1000):
        rows[position] = 1
        noticed.append(hash_of(rows) != before)
        rows[position] = 0
    assert noticed[0]
    assert noticed[-1]
    assert sum(noticed) == 50
    assert max(np.diff(np.flatnonzero(noticed))) <= 21


def test_sparse_rows_have_the_hash_of_dense_ones() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    from accelnn.arrays.sparse_rows import SparseRows

    dense = np.eye(20, 7)
    assert hash_of(SparseRows(sparse.csr_array(dense))) == hash_of(dense)


class Sawtooth(schedules.Schedule):
    """A schedule of one's own."""

    def __init__(self, rate: float) -> None:
        self.rate, self._calls, self.owner = rate, 0, self

    def curve(self, epochs: Any, total_epochs: int) -> Any:
        return np.full_like(epochs, self.rate)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SGD(0.5).learning_rate, 0.5),
        (schedules.Warmup(2, 0.1), {
            "class": "Warmup", "epochs": 2.0, "then": {"class": "Constant", "rate": 0.1}, "start_factor": 25.0,
        }),
        (Sawtooth(0.2), {"class": "Sawtooth", "rate": 0.2}),
        (np.float64(0.5), 0.5),
        ((1, [True, None]), [1, [True, None]]),
        ({"a": np.mean}, {"a": "mean"}),
        ({3: "x"}, {"3": "x"}),
    ],
)  # fmt: skip
def test_values_in_words(value: Any, expected: Any) -> None:
    assert value_fingerprint(value) == expected


def test_arrays_in_words() -> None:
    one, two = value_fingerprint({"w": np.zeros(3)}), value_fingerprint({"w": np.ones(3)})
    assert differences(one, two) == ["the values of w have changed"]
    json.dumps(one)


def test_differences_are_named_by_their_place() -> None:
    before = {"optimizer": value_fingerprint(Adam(0.1)), "list": [1, {"a": 2}], "gone": 3, "same": [1, 2]}
    now = {"optimizer": value_fingerprint(Adam(0.2)), "list": [1, {"a": 4}], "new": [1], "same": [1, 2]}
    assert differences(before, now) == [
        "optimizer.learning_rate was 0.1 and is 0.2",
        "list[1].a was 2 and is 4",
        "gone was 3 and is None",
        "new was None and is [1]",
    ]
    assert differences([1], [1, 2], "x") == ["x was [1] and is [1, 2]"]
    assert differences(before, before) == []
