"""Contenders in one process for many works: they take turns, and one that fails harms no other; and the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.contenders import CONTENDERS
from benchmarks.gpu_check import (
    contender_team,
    tables,
    throughput,
)
from benchmarks.gpu_check.child import Task
from benchmarks.gpu_check.contender_process import Server, peer_on
from benchmarks.gpu_check.contender_team import Member, measure_work
from benchmarks.process import WorkerFailed
from benchmarks.work import Work


def test_rounds_have_steps_for_a_while() -> None:
    fields = {"units": throughput.SMALL, "precision": "float32", "data": "synthetic"}
    steps = {name: throughput.sized(name, {**fields, "batch_size": 128}).n_steps for name in throughput.OVERHEAD_US}
    assert steps[throughput.OURS] > steps["torch_cuda_graph"] > steps["torch_cuda"] > throughput.FEWEST_STEPS
    large = throughput.sized(throughput.OURS, {**fields, "batch_size": 16384})
    assert large.n_rows <= throughput.MOST_ROWS
    assert throughput.sized("torch_cuda", {**fields, "batch_size": 10}, quick=True).n_steps == throughput.FEWEST_STEPS


def test_all_cases_are_measured(tmp_path: Path) -> None:
    cases = throughput.cases(Task(tmp_path / "answers.json", {"quick": False}))
    assert {batch for units, batch, _ in cases if units == throughput.SMALL} == {10, 32, 128, 512, 2048, 16384}
    assert (throughput.WIDE, 8192, "bf16") in cases
    assert not throughput.suits(throughput.OURS_PLAIN, "bf16")
    assert {*throughput.PEERS, throughput.OURS, throughput.OURS_PLAIN} <= set(CONTENDERS)


class Scripted:
    """Stands for a contender's process: answers with these rates, or fails where a rate is None."""

    def __init__(self, *rates: float | None) -> None:
        self.rates, self.stopped = list(rates), False

    def ask(self, question: str, limit_s: float) -> dict[str, Any]:
        if "work" in json.loads(question):
            return {"prepared_s": 0.5}
        rate = self.rates.pop(0)
        if rate is None:
            raise WorkerFailed("it broke")
        times = {"elapsed_s": 1.0, "us_per_step": 1e6 / rate, "samples_per_s": rate}
        return {**times, "mean_loss": 0.5, "first_losses": [2.0, 1.0]}

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Member]]:
    """Return a maker of teams of scripted contenders; one that is started again goes on as ``Scripted(1, 1, ...)``."""
    monkeypatch.setattr(contender_team, "_started", lambda name, device: Scripted(*[1.0] * 9))
    return lambda **rates: [Member(name, process=Scripted(*own)) for name, own in rates.items()]


def work() -> Work:
    return Work(32, n_steps=2, data="synthetic")


def test_contenders_train_in_turn(team: Any) -> None:
    members = team(a=[1.0, 4.0, 2.0, 4.0], b=[1.0, 1.0, 1.0, 1.0])
    case = measure_work(members, {"a": work(), "b": work()}, rounds=3, device="cpu", left_s=lambda: 60.0)
    assert case["results"]["a"]["samples_per_s"] == (4.0, 2.0, 4.0)
    assert case["results"]["a"]["n_steps"] == 2
    assert tables.ratios(case["results"]["a"], case["results"]["b"]) == [4.0, 2.0, 4.0]
    assert (case["failed"], case["disagreeing"], case["batch_size"]) == ({}, {}, 32)


def test_a_contender_that_fails_is_left_out_of_its_work_and_started_anew(team: Any) -> None:
    members = team(a=[1.0, None], b=[1.0] * 9)
    works = {"a": work(), "b": work()}
    first = members[0].process
    case = measure_work(members, works, rounds=2, device="cpu", left_s=lambda: 60.0)
    assert (case["failed"], first.stopped) == ({"a": "it broke"}, True)
    assert "a" in measure_work(members, works, rounds=2, device="cpu", left_s=lambda: 60.0)["results"]


def test_a_contender_that_fails_again_and_again_is_given_up(team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contender_team, "_started", lambda name, device: Scripted(None))
    members = team(a=[None])
    for _ in range(contender_team.MOST_FAILURES):
        measure_work(members, {"a": work()}, rounds=1, device="cpu", left_s=lambda: 60.0)
    assert str(members[0].out).startswith("it failed in 3 works")
    assert measure_work(members, {"a": work()}, 1, "cpu", lambda: 60.0)["results"] == {}


def test_without_time_nobody_trains(team: Any) -> None:
    case = measure_work(team(a=[1.0] * 9), {"a": work()}, rounds=1, device="cpu", left_s=lambda: 0.5)
    assert case["failed"] == {"a": "no time was left"}


def test_accelnn_serves_two_works_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu_check.contender_process.load_rows", lambda data: small_rows())
    server = Server(peer_on(throughput.OURS, "cpu"))
    for units in ((784, 8, 10), (784, 4, 10)):
        fields = json.loads(Work(32, units=units, n_steps=20, data="synthetic").to_json())
        assert server.answer({"work": fields})["prepared_s"] > 0.0
        answer = server.answer({"round": 0})
        assert len(answer["first_losses"]) == 16
        assert answer["us_per_step"] == pytest.approx(1e6 * answer["elapsed_s"] / 20)


def small_rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (60_000, 784), np.uint8), rng.integers(0, 10, 60_000)


def test_the_end_of_a_run_is_a_table(team: Any) -> None:
    rivals = {name: [1.0, 1.0, 1.0] for name in ("torch_cuda", "torch_cuda_graph")}
    members = team(**{throughput.OURS: [20.0, 20.0, 20.0], **rivals})
    works = {member.name: Work(128, n_steps=2, data="synthetic") for member in members}
    case = measure_work(members, works, rounds=2, device="cpu", left_s=lambda: 60.0)
    step = {"us_per_step": [10.0, 9.0, 11.0], "nodes_of_a_step": 20.0, "kernels_of_a_step": 20.0,
            "kernel_us_per_step": 8.0, "gap_us_per_node": 0.1}  # fmt: skip
    lines = tables.summary_lines({
        "environment": {"status": "ok", "elapsed_s": 1.0, "results": {}},
        "copy_bandwidth": {"status": "ok", "elapsed_s": 1.0, "results": {"memcpy": {"bytes_per_s": 3e12}}},
        "kernel_bandwidth": {"status": "failed", "elapsed_s": 1.0, "reason": "one is off", "results": {
            "copy_bytes_per_s": 3e12,
            "scale": {"bytes_per_s": 1.5e12, "of_copy": 0.5, "median_us": 7.0}, "other": {"failed": "it broke"}}},
        "throughput": {"status": "ok", "elapsed_s": 1.0, "results": {"784-128-64-10 batch 128 float32": case}},
        "step_anatomy": {"status": "ok", "elapsed_s": 1.0, "results": {
            "step small": step, "epoch 784-128-64-10 batch 128": {"cuda_s": [0.004], "cpu_s": [0.2]}}},
        "gemm_rate": {"status": "ok", "elapsed_s": 1.0, "results": {"a": {"unexpected": 1}}},
    })  # fmt: skip
    text = "\n".join(lines)
    for part in (
        "kernel_bandwidth  failed      1.0", "  kernel_bandwidth: one is off", "memcpy: 3000 GB/s",
        "reached 20.00 times as fast as torch_cuda at batch 128, wanted 10", "0 of 1 kernels at >= 80 %",
        "reached 4.00 ms an epoch at batch 128", "20.0 nodes", "gap 0.10 us a node", "(incomplete: KeyError",
        "4.00 ms on CUDA, 200.00 ms on CPU",
    ):  # fmt: skip
        assert part in text, text


def test_the_rate_of_a_whole_step() -> None:
    us = [1e6 * Work(8192, units=throughput.WIDE, n_steps=1).step_flops / 6e14] * 3
    case = {"results": {throughput.OURS: {"us_per_step": us}}}
    sections = {
        "throughput": {"results": {throughput.case_name(throughput.WIDE, 8192, "bf16"): case}},
        "gemm_rate": {"results": {"8192_cubed_bf16": {"flops_per_s": 8e14}}},
    }
    (line,) = tables._rate_target(sections)
    assert line.startswith("reached 75% of the rate")
