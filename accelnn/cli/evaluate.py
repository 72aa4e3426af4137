"""``accelnn evaluate``."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from accelnn.cli.datasets import TEST_FRACTION, is_same, labels_for, load
from accelnn.cli.files import print_json
from accelnn.cli.models import SavedModel, describe, load_saved
from accelnn.data import Dataset
from accelnn.errors import DataError, invalid


def run_evaluation(path: str, dataset: str | None, data_dir: str | None, backend: str, as_json: bool) -> None:
    """Test the model in ``path`` on rows that it was not trained on, and report on standard output."""
    saved = load_saved(path, backend)
    name = dataset or saved.dataset
    if name is None:
        raise invalid("--dataset", dataset, "name the data, this model does not say what it was trained on")
    # All rows of another file are new to the model; of its own file, those that training left out.
    data = load(name, data_dir, test_fraction=TEST_FRACTION if is_same(name, saved.dataset) else 1.0)
    x, y = _test_rows(saved, data)
    metric = "accuracy" if saved.classifies else "r2"
    start_s = time.perf_counter()
    scores = saved.model.evaluate(x, y, metrics=metric)
    elapsed_s = time.perf_counter() - start_s
    if as_json:
        print_json(_results(saved, data, len(x), scores, elapsed_s))
    else:
        print(f"data   {data.name}: {len(x):,} rows to test with")
        print(f"score  test {metric} {scores[metric]:.4f}, test loss {scores['loss']:.4g}, in {elapsed_s:.2f} s")


def _test_rows(saved: SavedModel, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    model = saved.model
    if data.n_features != model.n_in:
        raise DataError(f"{data.name}: it has {data.n_features} features, and this model takes {model.n_in}")
    if not len(data.x_test):
        raise DataError(f"{data.name}: it has no rows to test with")
    return data.x_test, labels_for(data, data.y_test, saved.class_names, model.n_out, saved.classifies)


def _results(saved: SavedModel, data: Dataset, rows: int, scores: dict[str, float], elapsed_s: float) -> dict[str, Any]:
    return {
        "dataset": data.name,
        **describe(saved),
        "rows": rows,
        "test_loss": scores["loss"],
        "test_accuracy": scores.get("accuracy"),
        "elapsed_s": elapsed_s,
    }
