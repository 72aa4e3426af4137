"""Copies on disk: complete, the same behind it, and without anything that belongs to a device or a process."""

from __future__ import annotations

import copy
import io
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy.sparse import csr_array

from accelnn import Adam, EarlyStopping, MLPClassifier, __version__, schedules
from accelnn.errors import AccelnnWarning
from tests.estimators.oracle import KINDS, check_same, fitted_pair, pair, quietly, rows, targets
from tests.training.own_process import output_of

WAYS: dict[str, Any] = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "pickle protocol 2": lambda estimator: pickle.loads(pickle.dumps(estimator, protocol=2)),
    "deepcopy": copy.deepcopy,
}


def names_in(pickled: bytes) -> set[str]:
    """Return every text in a pickle: among them the modules of all classes in it."""
    return {str(argument) for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_copies_predict_the_same(way: str, kind: str) -> None:
    estimator = fitted_pair(kind, max_iter=3)[0]
    copied = WAYS[way](estimator)
    check_same(copied, estimator, rtol=0.0, atol=0.0)
    np.testing.assert_array_equal(copied.predict(rows()), estimator.predict(rows()))


def test_joblib(tmp_path: Path) -> None:
    estimator = fitted_pair("multiclass", max_iter=3)[0]
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    loaded = joblib.load(tmp_path / "estimator.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(rows()), estimator.predict_proba(rows()))


@pytest.mark.parametrize(("version", "shown"), [("0.0.7", "0.0.7"), (None, "of unknown number")])
def test_a_pickle_of_another_version(version: str | None, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its warning names both, and where it is loaded."""
    estimator = fitted_pair("multiclass", max_iter=3)[0]
    state = estimator.__getstate__()
    assert state.pop("_accelnn_version") == __version__
    other = state if version is None else {**state, "_accelnn_version": version}
    monkeypatch.setattr(MLPClassifier, "__getstate__", lambda _: other)
    message = f"this MLPClassifier was pickled by accelnn {shown} and is loaded by {__version__}: "
    with pytest.warns(AccelnnWarning, match=re.escape(message)) as told:
        loaded = pickle.loads(pickle.dumps(estimator))
    assert told[0].filename == __file__
    assert "_accelnn_version" not in vars(loaded)
    np.testing.assert_array_equal(loaded.predict_proba(rows()), estimator.predict_proba(rows()))


def test_weights_that_are_mapped_from_a_file(tmp_path: Path) -> None:
    """They cannot be written to, which predictions do not need and trainings copy."""
    estimator = fitted_pair("regression", max_iter=3, warm_start=True)[0]
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    loaded = joblib.load(tmp_path / "estimator.joblib", mmap_mode="r")
    np.testing.assert_array_equal(loaded.predict(rows()), estimator.predict(rows()))
    for one in (loaded, estimator):
        quietly(one.fit, rows(), targets("regression"))
    check_same(loaded, estimator, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_nothing_of_a_device_or_of_machine_code_is_in_a_pickle(solver: str) -> None:
    estimator = fitted_pair("multiclass", max_iter=3, solver=solver)[0]
    estimator.predict_proba(rows())
    estimator.predict(csr_array(rows()))
    if solver != "lbfgs":
        estimator.partial_fit(rows(), targets("multiclass"))
    names = names_in(pickle.dumps(estimator))
    foreign = ("numba", "cupy", "cuda", "ctypes", "accelnn_kernels", "accelnn.network", "accelnn.arrays", "runner")
    assert [name for name in names if any(word in name for word in foreign)] == []
    modules = {name for name in names if name.startswith("accelnn.")}
    assert {name.rpartition(".")[0] for name in modules} <= {"accelnn.estimators", "accelnn.training", "accelnn"}


def test_a_pickle_is_not_larger_than_what_it_has_to_hold() -> None:
    """The weights, and for Adam two moments of each; no data and no network."""
    estimator = MLPClassifier((200,), max_iter=2, random_state=0)
    quietly(estimator.fit, rows(5000), targets("multiclass", 5000))
    weights_bytes = sum(array.nbytes for array in (*estimator.coefs_, *estimator.intercepts_))
    assert len(pickle.dumps(estimator)) < 4 * weights_bytes + 10_000


def test_an_estimator_that_is_not_fitted() -> None:
    estimator = MLPClassifier((3,), optimizer=Adam(0.1), schedule=schedules.Cosine(0.1), callbacks=[EarlyStopping()])
    copied = pickle.loads(pickle.dumps(estimator))
    assert copied.get_params().keys() == estimator.get_params().keys()
    assert copied.optimizer == estimator.optimizer


def test_a_model_trained_on_a_gpu_predicts_on_a_machine_without() -> None:
    """The backend of the constructor cannot be had there: the CPU takes its place, with a warning that says so."""
    estimator = fitted_pair("multiclass", max_iter=3)[0]
    expected = estimator.predict_proba(rows())
    moved = pickle.loads(pickle.dumps(estimator.set_params(backend="cuda:99")))
    with pytest.warns(AccelnnWarning, match="predicting on the CPU"):
        np.testing.assert_array_equal(moved.predict_proba(rows()), expected)
    np.testing.assert_array_equal(moved.predict_proba(rows()), expected)  # said once


@pytest.mark.slow
def test_another_process_goes_on_from_a_pickle(tmp_path: Path) -> None:
    estimator, _ = pair("multiclass", batch_size="auto")
    estimator.partial_fit(rows(), targets("multiclass"), classes=["red", "green", "blue"])
    path = tmp_path / "estimator.pickle"
    path.write_bytes(pickle.dumps((estimator, rows(), targets("multiclass"))))
    code = f"""
        import pickle, sys
        from pathlib import Path
        path = Path({str(path)!r})
        estimator, x, y = pickle.loads(path.read_bytes())
        assert "numba" not in sys.modules
        estimator.partial_fit(x, y)
        path.write_bytes(pickle.dumps(estimator))
    """
    output_of(code)
    estimator.partial_fit(rows(), targets("multiclass"))
    check_same(pickle.loads(path.read_bytes()), estimator, rtol=1e-12, atol=1e-15)


def test_the_original_goes_on_after_pickling() -> None:
    estimator, other = (pair("multiclass", batch_size="auto")[0] for _ in range(2))
    for one in (estimator, other):
        one.partial_fit(rows(), targets("multiclass"), classes=["red", "green", "blue"])
    pickle.dump(estimator, io.BytesIO())
    for one in (estimator, other):
        one.partial_fit(rows(), targets("multiclass"))
    check_same(estimator, other, rtol=0.0, atol=0.0)
