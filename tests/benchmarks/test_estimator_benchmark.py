"""Estimators beside scikit-learn's: short runs of what measures, and what is made of the measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import estimator_cases, estimators, interleave
from benchmarks.estimator_cases import CLASSIFIER, REGRESSOR, ScoreCase, SpeedCase, score_cases, speed_cases
from benchmarks.work import synthetic_rows

TINY = {"hidden_layer_sizes": (3,), "max_iter": 2}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleave, "SETTLE_S", 0.0)


def few_rows() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(60, 4))
    return x, (x[:, 0] > 0).astype(int)


def turn(fit_s: float, loss: float = 0.5, n_iter: int = 9) -> dict[str, Any]:
    return {"fit_s": fit_s, "loss": loss, "n_iter": n_iter}


def turns(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {"accelnn": ours, "scikit-learn": theirs}


def test_fits_are_compared_round_by_round() -> None:
    measured = turns([turn(1.0), turn(2.0), turn(1.0)], [turn(4.0), turn(6.0), turn(8.0)])
    summary = estimators.speed_summary(SpeedCase(few_rows, goal=5.0), measured)
    assert summary["ratio"] == (4.0, 3.0, 8.0)
    assert summary["fit_s"] == {"accelnn": (1.0, 1.0, 2.0), "scikit-learn": (6.0, 4.0, 8.0)}
    assert not summary["reached"]
    assert summary["agree"]
    line = estimators.speed_lines({"mnist": summary})[-1]
    assert line.split() == ["mnist", "1.0000", "6.0000", "4.00", "(3.00..8.00)", "5.00", "NO", "agree"]


def test_where_nothing_was_promised_nothing_is_missed() -> None:
    summary = estimators.speed_summary(SpeedCase(few_rows, goal=None), turns([turn(1.0)], [turn(0.5)]))
    assert summary["reached"] is None
    assert estimators.speed_lines({"wine": summary})[-1].split()[-2:] == ["-", "agree"]


@pytest.mark.parametrize("other", [turn(1.0, loss=0.6), turn(1.0, n_iter=8)])
def test_trainings_that_differ_are_told(other: dict[str, Any]) -> None:
    summary = estimators.speed_summary(SpeedCase(few_rows), turns([turn(1.0)], [other]))
    assert estimators.speed_lines({"iris": summary})[-1].endswith("DIFFER")


@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR])
def test_fits_take_their_time_and_agree(estimator: str) -> None:
    case = SpeedCase(few_rows, TINY, fits=2, estimator=estimator)
    measured = estimators.timed_fits(case, rounds=2)
    assert [len(kept) for kept in measured.values()] == [2, 2]
    summary = estimators.speed_summary(case, measured)
    assert summary["agree"]
    assert min(summary["fit_s"]["accelnn"]) > 0.0


@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR])
def test_scores_are_compared_seed_by_seed(estimator: str) -> None:
    scores = estimators.seed_scores(ScoreCase(few_rows, TINY, estimator), seeds=2)
    np.testing.assert_allclose(scores["accelnn"], scores["scikit-learn"])


def test_means_and_deviations_of_scores() -> None:
    summary = estimators.score_summary({"accelnn": [0.5, 0.75, 1.0], "scikit-learn": [0.5, 0.75, 0.75]})
    assert summary["mean"] == {"accelnn": 0.75, "scikit-learn": pytest.approx(2 / 3)}
    assert summary["std"]["accelnn"] == 0.25
    assert summary["largest_difference"] == 0.25
    line = estimators.score_lines({"digits": summary})[-1]
    assert line.split() == ["digits", "0.7500", "+-", "0.2500", "0.6667", "+-", "0.1443", "0.2500", "3"]


def test_one_seed_has_no_deviation() -> None:
    assert estimators.score_summary({"accelnn": [0.5], "scikit-learn": [0.5]})["std"] == {
        "accelnn": 0.0,
        "scikit-learn": 0.0,
    }


def test_the_program_prints_tables_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "estimators.json"
    only = "iris,scores-wine"
    estimators.main(["--only", only, "--rounds", "1", "--seeds", "1", "--data", "synthetic", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "times as fast" in printed
    assert "score of held-out rows" in printed
    document = json.loads(out.read_text())
    assert document["command"] == (
        f"python -m benchmarks.estimators --only {only} --rounds 1 --seeds 1 --data synthetic"
    )
    assert list(document["results"]["speed"]) == ["iris"]
    assert list(document["results"]["scores"]) == ["wine"]
    assert document["peers"]["scikit-learn"]


def test_all_works_are_there() -> None:
    sizes = {f"mnist-{batch_size}-float{bits}" for batch_size in (10, 200) for bits in (32, 64)}
    small = {"iris", "wine", "breast-cancer", "digits", "diabetes"}
    assert set(speed_cases()) == sizes | small | {"made-up", "digits-lbfgs"}
    assert set(score_cases()) == small - {"iris"} | {"made-up"}
    goals = {name: case.goal for name, case in speed_cases().items()}
    assert goals["mnist-10-float64"] == 10.0
    assert goals["mnist-200-float32"] == 5.0
    assert goals["made-up"] == 1.0


@pytest.mark.parametrize("name", [name for name in speed_cases() if name.startswith("mnist")])
def test_images_are_held_in_the_type_to_compute_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimator_cases, "load_rows", lambda data: synthetic_rows(4))
    x, _ = speed_cases("four random images")[name].load()
    assert x.dtype.name == name.rpartition("-")[2]
    assert x.shape == (4, 784)
    assert 0.9 < x.max() <= 1.0


@pytest.mark.parametrize("arguments", [["--only", "irish"], ["--rounds", "0"], ["--seeds", "-1"]])
def test_wrong_flags(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        estimators.main(arguments)
    assert left.value.code == 2
    assert arguments[1] in capsys.readouterr().err
