from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import error_of, run, run_json

from accelnn.arrays import Backend
from accelnn.cli import recipe
from accelnn.cli.bench import drawn_rows
from accelnn.training.measurement import machine_rates

QUICK = ("--hidden", "8,4", "--batch-size", "40", "--seconds", "0.01", "--threads", "1")

FIELDS = {
    "cpu": str, "backend": str, "threads": int, "dtype": str, "units": list, "activation": str, "optimizer": str,
    "batch_size": int, "rounds": int, "step_us": float, "fastest_step_us": float, "samples_per_s": float,
    "gemm_limit_us": float, "gemm_fraction": float, "limit_us": float, "fraction": float, "profiled_step_us": float,
    "profile_slowdown": float, "gemm_flops_per_s": float, "own_gemm_flops_per_s": float,
    "numpy_gemm_flops_per_s": float, "memory_copy_bytes_per_s": float, "cache_copy_bytes_per_s": float,
    "cache_bytes": int, "phases": list,
}  # fmt: skip
PHASE_FIELDS = {
    "phase": str, "time_us": float, "share": float, "calls_per_step": float, "flops": int, "bytes": int,
    "limit_us": float, "limited_by": str, "fraction": float,
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rates of the machine be measured on little."""
    monkeypatch.setattr(machine_rates, "NUMPY_WIDTH", 64)
    monkeypatch.setattr(machine_rates, "MEMORY_COPY_BYTES", 1 << 20)
    monkeypatch.setattr(machine_rates, "RUN_S", 1e-4)


def test_json_has_exactly_the_documented_fields() -> None:
    report = run_json("bench", *QUICK, "--activation", "silu", "--dtype", "float64")
    assert {name: type(value) for name, value in report.items()} == FIELDS
    assert report["units"] == [784, 8, 4, 10]
    assert (report["activation"], report["dtype"], report["optimizer"]) == ("silu", "float64", "adam")
    assert (report["batch_size"], report["threads"], report["backend"]) == (40, 1, "cpu")
    *phases, rest = report["phases"]
    for phase in phases:
        types = {name: type(value) for name, value in phase.items()}
        assert types | {"fraction": float} == PHASE_FIELDS
        assert types["fraction"] in (float, type(None))
    assert [phase["phase"] for phase in phases] == [
        "gather", "forward_gemm", "bias_activation", "loss", "backward_gemm", "weight_gradient_gemm",
        "derivative_bias_gradient", "update",
    ]  # fmt: skip
    assert (rest["phase"], rest["flops"], rest["limit_us"], rest["fraction"]) == ("other", None, None, None)
    assert sum(phase["share"] for phase in report["phases"]) == pytest.approx(1.0)
    assert sum(phase["limit_us"] for phase in phases) == pytest.approx(report["limit_us"])


def test_people_get_a_table_and_what_its_words_mean() -> None:
    text = run("bench", *QUICK, "--optimizer", "sgd").stdout
    assert "784-8-4-10, relu, sgd, float32, batches of 40 rows" in text
    assert "for its matrix products alone at this machine's best rate, which is " in text
    titles = [
        "gather the batch", "forward GEMM", "bias + activation", "loss", "backward GEMM (dx)",
        "weight-gradient GEMM + update", "derivative + bias gradient", "update of the biases", "other",
        "the whole step",
    ]  # fmt: skip
    table = text.split("\n\n")[1].splitlines()
    assert table[0].split() == ["phase", "time", "share", "limit", "reached", "limited", "by"]
    assert [line[:30].strip() for line in table[1:]] == titles
    for word in ("A GEMM is a product of two matrices.", "limit: ", "reached: ", "GFLOP/s", "GB/s", "random"):
        assert word in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_the_picture() -> None:
    result = run("bench", *QUICK, "--plot", "step.png")
    assert result.exit_code == 0, result.stderr
    assert Path("step.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert "cannot write 'step.png': No space left on device" in error_of(
        "bench", *QUICK, "--plot", "step.png", exit_code=1
    )


def test_auto_is_the_cpu_which_is_what_can_be_measured() -> None:
    assert run_json("bench", *QUICK, "--backend", "auto")["backend"] == "cpu"


def test_another_backend_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend("cuda", "cuda:0", None)
    monkeypatch.setattr(recipe, "usable_backend", lambda name: backend)
    assert "--backend is 'cuda': only steps on the CPU are measured so far" in error_of("bench", "--backend", "cuda")


def test_a_batch_larger_than_the_rows_that_are_drawn_otherwise() -> None:
    rows = drawn_rows(60_001)
    assert rows.x_train.shape == (60_001, 784)
    assert rows.n_classes == 10


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--hidden", "128,x", "--hidden is '128,x': use widths such as 128,64, or none"),
        ("--activation", "rellu", "--activation is 'rellu': did you mean 'relu'?"),
        ("--optimizer", "adan", "--optimizer is 'adan': did you mean 'adam'?"),
        ("--batch-size", "0", "--batch-size is '0': use an integer >= 1"),
        ("--backend", "cdua", "--backend is 'cdua': did you mean 'cuda'?"),
        ("--dtype", "float23", "--dtype is 'float23': did you mean 'float32'?"),
        ("--threads", "0", "--threads is '0': use an integer >= 1"),
        ("--seconds", "long", "--seconds is 'long': use a number"),
        ("--seconds", "0", "--seconds is 0.0: use a finite number > 0"),
        ("--plot", "step.jpg", "--plot is 'step.jpg': use a file name that ends in .png"),
        ("--plot", "missing/step.png", "--plot is 'missing/step.png': there is no folder"),
    ],
)
def test_a_wrong_value_names_flag_value_and_fix(flag: str, value: str, message: str) -> None:
    assert message in error_of("bench", flag, value)
