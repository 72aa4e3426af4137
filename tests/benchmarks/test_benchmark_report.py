"""What is made of the rounds: ratios, agreement of the losses, tables, pages and charts."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.cases import device_of, integers, known_contenders
from benchmarks.charts import draw_bars, draw_comparison, draw_scaling
from benchmarks.record import Record, this_command

ABOUT = {
    "date": "2026-01-02",
    "revision": "abc1234",
    "peers": {"jax": "1.0", "torch": None},
    "environment": {
        "accelnn": "0.1",
        "python": "3.11",
        "packages": {"numpy": "2.0", "cupy": None},
        "cpu": {"model": "A Processor", "cores": 4, "usable_threads": 2},
        "blas": [{"name": "openblas", "version": "0.3", "architecture": "Zen", "threads": 2}],
        "numba": {"threading_layer": "default"},
        "backends": {"cuda": {"usable": False, "cause": "no driver"}},
    },
}


def test_spread_is_median_and_ends() -> None:
    assert report.spread([5.0, 1.0, 2.0]) == (2.0, 1.0, 5.0)


def test_ratios_are_those_within_a_round(contender: Any) -> None:
    assert report.ratios(contender("a", [4.0, 9.0]), contender("b", [2.0, 3.0])) == [2.0, 3.0]


def test_summary(cases: dict[str, report.Case]) -> None:
    case = cases["10"]
    assert case["results"]["jax_scan"]["samples_per_s"] == (100.0, 100.0, 100.0)
    assert case["results"]["jax_scan"]["ratio"] == (2.0, 1.0, 3.0)
    assert case["results"]["jax_scan"]["mean_loss"] == [0.5, 0.1, 0.1, 0.1]
    assert case["skipped"] == {"thinc_mlp": "thinc is not installed"}
    assert case["disagreeing"] == {}
    assert json.loads(json.dumps(case))["results"].keys() == case["results"].keys()


def test_summary_without_accelnn_has_no_ratios(contender: Any) -> None:
    case = report.summary([contender("jax_scan", [1.0])])
    assert case["results"]["jax_scan"]["ratio"] is None
    assert "accelnn is" not in "\n".join(report.case_lines("batch 1", case))
    assert "| jax_scan | 1 |" in report.table({"1": case}, "batch")


def test_a_loss_that_is_off_is_named() -> None:
    assert report.disagreeing({"a": 1.0, "b": 1.01, "c": 1.0}) == {}
    assert report.disagreeing({"a": 1.0, "b": 1.03, "c": 1.0}) == {"b": pytest.approx(0.03)}
    assert report.disagreeing({"a": 1.0, "b": math.nan, "c": 1.0}).keys() == {"b"}
    assert report.disagreeing({"a": math.nan}).keys() == {"a"}
    assert report.disagreeing({}) == {}
    assert report.disagreeing({"a": 0.0, "b": 0.5, "c": 0.0}) == {"b": 0.5}


def test_disagreement_is_written_everywhere(cases: dict[str, report.Case]) -> None:
    assert report.agreement(cases["10"]) == "losses agree"
    assert report.agreement(cases["32"]) == "losses DIFFER: torch_eager by 20.0%"
    assert report.case_lines("batch 32", cases["32"])[0] == "batch 32: losses DIFFER: torch_eager by 20.0%"
    notes = report.notes(cases, "batch")
    assert "- batch 32: losses DIFFER: torch_eager by 20.0%." in notes
    assert "- thinc_mlp was skipped: thinc is not installed." in notes
    assert "agree in every column" in report.notes({"10": cases["10"]}, "batch")


def test_table(cases: dict[str, report.Case]) -> None:
    assert report.table(cases, "batch").splitlines() == [
        "| contender | batch 10 | batch 32 |",
        "|---|---|---|",
        "| accelnn_fit | 200 (1.00: 1.00 to 1.00) | 200 (1.00: 1.00 to 1.00) |",
        "| jax_scan | 100 (2.00: 1.00 to 3.00) | 100 (2.00: 1.00 to 3.00) |",
        "| torch_eager | - | 10 (10.00: 10.00 to 30.00) |",
    ]


@pytest.mark.parametrize(
    ("rate", "text"), [(1.234e6, "1.23 M"), (999_900.0, "1000 k"), (8154.0, "8.15 k"), (97.0, "97"), (2.5e9, "2500 M")]
)
def test_short_rates(rate: float, text: str) -> None:
    assert report.short_rate(rate) == text


def test_record(tmp_path: Path) -> None:
    record = Record(tmp_path / "new", "sgd", "python -m benchmarks", about=ABOUT)
    kept = json.loads(record.write_json({"cases": {"a": 1}}).read_text())
    assert kept == {**ABOUT, "command": "python -m benchmarks", "cases": {"a": 1}}
    page = record.write_page("Title", "Body").read_text()
    assert page.startswith("# Title\n\n- `python -m benchmarks`, 2026-01-02, revision abc1234\n")
    for fact in ("A Processor", "jax 1.0", "openblas 0.3 (Zen, 2 threads)", "layer: default", "no driver", "Body"):
        assert fact in page
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"2026-01-02-cpu-sgd.json", "2026-01-02-cpu-sgd.md"}


@pytest.mark.parametrize("arguments", [["--output", "x"], ["--output=x"], ["--output", "--rounds"]])
def test_commands_are_kept_without_their_folder(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["program", "--rounds", "3", *arguments, "--batches", "1,2"])
    assert this_command("benchmarks") == "python -m benchmarks --rounds 3 --batches 1,2"


def test_charts_are_small_pictures(cases: dict[str, report.Case], tmp_path: Path) -> None:
    draw_comparison(tmp_path / "a.png", "title", cases)
    draw_scaling(tmp_path / "b.png", "title", {"batch size": cases, "width": cases, "depth": cases})
    bars = {"98 %": {"cold": {"x": (1.0, 0.5, 2.0), "y": None}, "warm": {"x": (1.0, 1.0, 1.0), "y": (3.0, 2.0, 4.0)}}}
    draw_bars(tmp_path / "c.png", "title", bars, "seconds")
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 200_000


def test_device_of_results(cases: dict[str, report.Case], contender: Any) -> None:
    assert device_of(cases) == "cpu"
    assert device_of({"1": report.summary([contender("torch_cuda", [1.0])])}) == "cuda"


def test_lists_on_the_command_line() -> None:
    assert integers("10,32") == [10, 32]
    assert known_contenders("jax_scan,accelnn_fit") == ["jax_scan", "accelnn_fit"]
    with pytest.raises(argparse.ArgumentTypeError, match="'jax_scam' is not one of accelnn_fit"):
        known_contenders("jax_scam")
