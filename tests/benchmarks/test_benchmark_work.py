"""The work that contenders share: sizes, orders, weights, and that some of them compute the same."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

import benchmarks.contenders
from benchmarks.contenders import CONTENDERS, Peer
from benchmarks.report import disagreeing
from benchmarks.scaling import LABELS, sized, sweep
from benchmarks.work import Work, synthetic_rows


@pytest.mark.parametrize(("batch_size", "n_steps"), [(10, 6000), (32, 1875), (128, 468), (2048, 29)])
def test_a_round_is_an_epoch(batch_size: int, n_steps: int) -> None:
    work = Work(batch_size)
    assert (work.n_steps, work.n_rows) == (n_steps, n_steps * batch_size)
    assert work.learning_rate == 0.1


def test_work_survives_the_way_to_a_worker() -> None:
    work = Work(64, "adam", (784, 32, 10), n_steps=3, learning_rate=0.5, data="synthetic")
    assert Work.from_json(work.to_json()) == work


def test_flops_count_three_products_but_no_input_gradient() -> None:
    assert Work(2, units=(784, 128, 64, 10)).step_flops == 2 * 2 * (2 * 784 * 128 + 3 * 128 * 64 + 3 * 64 * 10)


@pytest.mark.parametrize("n_steps", [10, 700])
def test_an_order_is_made_of_permutations(n_steps: int) -> None:
    work = Work(128, n_steps=n_steps)
    order = work.order(3)
    assert len(order) == work.n_rows
    assert len(np.unique(order[:60_000])) == min(len(order), 60_000)
    np.testing.assert_array_equal(order, work.order(3))
    assert (order != work.order(4)).any()


@pytest.mark.parametrize(("batch_size", "n_steps"), [(128, 700), (16_384, 9), (70_000, 2)])
def test_pieces_are_whole_batches_in_order(batch_size: int, n_steps: int) -> None:
    work = Work(batch_size, n_steps=n_steps)
    pieces = list(work.pieces(np.arange(work.n_rows)))
    np.testing.assert_array_equal(np.concatenate(pieces), np.arange(work.n_rows))
    assert all(len(piece) % batch_size == 0 for piece in pieces)
    assert max(map(len, pieces)) <= max(65_536, batch_size)


def test_weights_are_those_of_the_seed() -> None:
    (w, b), *_ = Work(1).initial_weights()
    assert (w.shape, w.dtype, b.shape) == ((784, 128), np.float32, (128,))
    np.testing.assert_array_equal(w, Work(32, "adam").initial_weights()[0][0])


def test_scaling_has_two_steps_at_least_and_less_work_for_larger_networks() -> None:
    assert sized(1_000_000, (784, 4096, 10)).n_steps == 2
    widths = [work.n_steps for work in sweep("width", [64, 1024, 4096]).values()]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("name", LABELS)
def test_sweeps_vary_one_thing(name: str) -> None:
    one, two = sweep(name, [2, 4], "synthetic").values()
    assert {"width": one.units[1], "depth": len(one.units) - 2, "batch": one.batch_size}[name] == 2
    assert {"width": two.units[1], "depth": len(two.units) - 2, "batch": two.batch_size}[name] == 4
    assert one.data == "synthetic"
    assert sweep(name, [0]) == {}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_contenders_that_need_no_other_package_agree(optimizer: str) -> None:
    work = Work(64, optimizer, n_steps=8)
    images, labels = synthetic_rows(work.n_rows)
    losses = {}
    for name in ("accelnn_fit", "sklearn_mlp", "numpy_tutorial"):
        prepare = importlib.import_module(f"benchmarks.contenders.{name}").prepare
        losses[name] = float(np.mean(prepare(work, images, labels, "cpu")(np.arange(work.n_rows))))
    assert disagreeing(losses, tolerance=1e-3) == {}


def test_every_contender_has_an_entry() -> None:
    files = {path.stem for path in Path(benchmarks.contenders.__path__[0]).glob("*.py")}
    files -= {"__init__", "jax_common", "torch_common"}
    assert {peer.module for peer in CONTENDERS.values()} == files


def test_contenders_are_tied_to_their_device() -> None:
    on_cpu, on_gpu = CONTENDERS["jax_scan"].environment, CONTENDERS["jax_scan_cuda"].environment
    assert (on_cpu["JAX_PLATFORMS"], on_cpu["CUDA_VISIBLE_DEVICES"]) == ("cpu", "")
    assert on_gpu["JAX_PLATFORMS"] == "cuda"
    assert "CUDA_VISIBLE_DEVICES" not in on_gpu


def test_a_missing_package_is_the_reason() -> None:
    assert Peer("any", "no_such_package_at_all").why_missing == "no_such_package_at_all is not installed"
    assert Peer("any", "numpy").why_missing is None


def test_without_a_driver_a_gpu_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contenders.driver_version", lambda: 0)
    assert Peer("any", "numpy", "cuda").why_missing == "no NVIDIA driver was found"
