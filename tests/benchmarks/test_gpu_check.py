"""The program that proves things on a GPU, as far as it goes without one: sections, limits, the file, the tables."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu_check import (
    __main__ as program,
)
from benchmarks.gpu_check import (
    environment,
    gpu_tests,
    isolation,
    plan,
)
from benchmarks.gpu_check.child import Skipped, Task
from benchmarks.gpu_check.document import Document, about_run, finite


@pytest.fixture
def section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a section with this source in a process of its own."""
    path = tmp_path / "sections"
    path.mkdir()
    start = f"import sys, benchmarks.gpu_check as package; package.__path__.append({str(path)!r})\n"
    start += "from benchmarks.gpu_check import child; sys.exit(child.main(*sys.argv[1:4]))"

    def popen(command: list[str], **options: Any) -> Any:
        changed = [command[0], "-c", start, *command[3:]]
        return original(changed, **options)

    original = isolation.subprocess.Popen
    monkeypatch.setattr(isolation.subprocess, "Popen", popen)

    def run(source: str, limit_s: float = 30.0) -> dict[str, Any]:
        head = "import os, time\nfrom benchmarks.gpu_check.child import Skipped\n"
        (path / "tried.py").write_text(head + textwrap.dedent(source))
        return isolation.run_isolated("tried", {"device": "cpu"}, limit_s)

    return run


def task_at(tmp_path: Path, **options: Any) -> Task:
    return Task(tmp_path / "answers.json", {"device": "cpu", "data": "synthetic", "quick": True, **options})


def told(tmp_path: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((tmp_path / "answers.json").read_text())
    return answer


def test_a_section_that_is_well(section: Any) -> None:
    entry = section("""
        def measure(task):
            print("something a library prints")
            task.report("rate", 3.5)
            task.report("device", task.device)
    """)
    assert (entry["status"], entry["results"]) == ("ok", {"rate": 3.5, "device": "cpu"})
    assert entry["elapsed_s"] > 0.0
    assert "log" not in entry


def test_a_section_that_raises_keeps_what_it_had(section: Any) -> None:
    entry = section("""
        def measure(task):
            task.report("before", 1)
            raise RuntimeError("illegal address")
    """)
    assert (entry["status"], entry["reason"]) == ("failed", "RuntimeError: illegal address")
    assert entry["results"] == {"before": 1}
    assert "Traceback" in entry["log"]


def test_a_section_that_crashes(section: Any) -> None:
    entry = section("""
        def measure(task):
            task.report("before", 1)
            print("last words", flush=True)
            os._exit(9)
    """)
    assert (entry["status"], entry["reason"]) == ("failed", "its process ended (exit code 9)")
    assert (entry["results"], entry["log"]) == ({"before": 1}, "last words\n")


def test_a_section_that_hangs_is_ended_with_all_that_it_started(section: Any, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    started_s = time.perf_counter()
    entry = section(
        f"""
        import subprocess, sys

        def measure(task):
            task.report("before", 1)
            code = "import time, pathlib\\nwhile True: pathlib.Path({str(alive)!r}).touch(); time.sleep(0.05)"
            subprocess.Popen([sys.executable, "-c", code])
            time.sleep(60)
        """,
        limit_s=1.5,
    )
    assert (entry["status"], entry["reason"]) == ("timed out", "not done after 2 s")
    assert entry["results"] == {"before": 1}
    assert time.perf_counter() - started_s < 30.0
    alive.unlink(missing_ok=True)
    time.sleep(0.3)
    assert not alive.exists()


def test_a_section_may_find_that_it_cannot_run(section: Any) -> None:
    entry = section("""
        def measure(task):
            raise Skipped("no such device")
    """)
    assert (entry["status"], entry["reason"]) == ("skipped", "no such device")


def test_parts_of_a_section_do_not_depend_on_each_other(section: Any) -> None:
    entry = section("""
        def broken():
            raise ValueError("odd")

        def left_out():
            raise Skipped("not here")

        def measure(task):
            task.attempt("one", broken)
            task.attempt("two", left_out)
            task.attempt("three", lambda: 3)
    """)
    assert (entry["status"], entry["reason"]) == ("failed", "one: ValueError: odd")
    assert entry["results"]["one"]["failed"] == "ValueError: odd"
    assert (entry["results"]["two"], entry["results"]["three"]) == ({"skipped": "not here"}, 3)


def test_sections_are_found_and_have_their_modules() -> None:
    folder = Path(plan.__file__).parent
    for name in plan.SECTIONS:
        assert "def measure(task: Task) -> None:" in (folder / f"{name}.py").read_text()


def test_what_runs() -> None:
    names = [section.name for section in plan.chosen(None, peers=True)]
    assert names == ["environment", "graph_gemm", "graph_kernels", "launch_cost", "grid_barrier", "copy_bandwidth",
                     "throughput"]  # fmt: skip
    assert plan.chosen(None, peers=False) == list(plan.SECTIONS.values())
    assert [section.name for section in plan.chosen(["parity"], peers=False)] == ["parity"]
    with pytest.raises(argparse.ArgumentTypeError, match="'nothing' is not one of environment"):
        program.section_names("parity,nothing")


def test_why_a_section_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    gemm, first = plan.SECTIONS["graph_gemm"], plan.SECTIONS["environment"]
    assert plan.why_skipped(gemm, "cpu", 13000) == "it needs a GPU, and --device is cpu"
    assert plan.why_skipped(gemm, "cuda", 0) == "no NVIDIA driver was found"
    assert plan.why_skipped(first, "cuda", 0) is None
    other = plan.Section("any", 10.0, ("numpy", "no_such_package_at_all"))
    assert plan.why_skipped(other, "cuda", 13000) == "not installed: no_such_package_at_all"


def test_time_is_shared_out() -> None:
    one = plan.Section("any", 100.0)
    assert plan.allowed_s(one, 0.0, 465.0) == 100.0
    assert plan.allowed_s(one, 400.0, 465.0) == 65.0
    assert plan.allowed_s(one, 462.0, 465.0) == 0.0


def options(**given: Any) -> argparse.Namespace:
    usual = {"out": None, "only": None, "peers": False, "device": "cpu", "data": "auto", "seconds": 100.0}
    return argparse.Namespace(**usual | {"quick": True} | given)


def test_the_file_is_written_after_every_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "driver_version", lambda: 0)
    document = Document(tmp_path / "out" / "all.json", {"date": "2026-01-01", "device": "cpu"})
    seen: list[list[str]] = []

    def run(name: str, given: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        if document.place().exists():
            seen.append(list(json.loads(document.place().read_text())["sections"]))
        assert given["data"] == ("synthetic" if name == "environment" else "mnist")
        results = {"data": "mnist"} if name == "environment" else {"x": float("nan")}
        return {"status": "ok", "elapsed_s": 0.1, "results": results}

    program.run_sections(options(only=["environment", "parity", "gemm_rate", "throughput"]), document, run)
    assert seen == [["environment"], ["environment", "parity", "gemm_rate"]]
    written = json.loads(document.place().read_text())["sections"]
    assert written["gemm_rate"]["status"] == "skipped"
    assert written["throughput"]["results"] == {"x": "nan"}


def test_no_section_begins_when_the_time_is_over() -> None:
    def run(*_: Any) -> dict[str, Any]:
        raise AssertionError("it should not run")

    entry = program.run_section(plan.SECTIONS["parity"], options(seconds=50.0), "mnist", 47.0, run)
    assert (entry["status"], entry["reason"]) == ("skipped", "47 of 50 s are over")


def test_where_the_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = Document(None, {"date": "2026-01-01", "device": "cuda"})
    monkeypatch.delenv("OUT", raising=False)
    assert document.place().name == "2026-01-01-cuda-gpu-check.json"
    document.sections["environment"] = {"results": {"gpu": {"name": "NVIDIA H100 80GB HBM3"}}}
    assert document.place().name == "2026-01-01-nvidia-h100-80gb-hbm3-gpu-check.json"
    monkeypatch.setenv("OUT", str(tmp_path))
    assert document.place() == tmp_path / "gpu_check.json"
    document.path = tmp_path / "mine.json"
    assert document.place() == tmp_path / "mine.json"
    document.path = tmp_path
    assert document.place() == tmp_path / "gpu_check.json"


def test_json_without_nan() -> None:
    assert finite({"a": [1.0, float("inf")], 3: (float("nan"), "text")}) == {"a": [1.0, "inf"], "3": ["nan", "text"]}
    assert about_run("cpu")["device"] == "cpu"


def test_arrays_and_numbers_of_numpy_can_be_reported(tmp_path: Path) -> None:
    task_at(tmp_path).report("values", {"a": np.arange(3), "b": np.float32(0.5)})
    assert told(tmp_path)["results"]["values"] == {"a": [0, 1, 2], "b": 0.5}


def test_the_environment_is_described_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(environment, "found_data", lambda: "synthetic")
    environment.measure(task_at(tmp_path))
    results = told(tmp_path)["results"]
    assert results["packages"]["numpy"] == np.__version__
    assert "unavailable" in results["nvidia_smi"]
    lines = "\n".join(program.environment_lines(results))
    assert f"numpy {np.__version__}" in lines
    assert "GPU: none; data: synthetic" in lines


def test_importing_what_is_not_there() -> None:
    assert environment.import_error("json") is None
    assert str(environment.import_error("no_such_package_at_all")).startswith("ModuleNotFoundError")


def test_tests_are_counted(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_left_out(): pytest.skip('no GPU here')\n"
    )
    report = tmp_path / "report.xml"
    where = ["--rootdir", str(tmp_path), "-c", str(tmp_path / "none.ini"), str(tmp_path / "test_some.py")]
    (tmp_path / "none.ini").write_text("")
    printed = gpu_tests.run_pytest(report, where, 60.0)
    found = gpu_tests.counted(report)
    assert found["counts"] == {"tests": 3, "passed": 1, "failures": 1, "errors": 0, "skipped": 1}, printed
    assert "assert 1 == 2" in found["failures"]["test_some::test_bad"]
    assert found["skip_reasons"] == ["no GPU here"]
    assert gpu_tests.counted(tmp_path / "missing.xml")["counts"]["tests"] == 0


def test_tests_that_need_a_gpu_import_only_what_machines_with_one_have() -> None:
    """PyTorch, JAX, CuPy and the usual packages are there; of what the other tests use some are not."""
    modules = gpu_tests.modules_with_the_marker()
    assert any(path.endswith("test_training_on_a_gpu.py") for path in modules)
    script = (
        "import sys, pytest\n"
        "sys.modules.update(dict.fromkeys(['array_api_strict', 'polars', 'pooch', 'hatchling']))\n"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "--collect-only", "-q", "-p", "no:cacheprovider", "-m", "gpu", *modules]
    answer = subprocess.run(command, cwd=isolation.ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout[-2000:]
    assert "test_training_on_a_gpu.py::test_the_persistent_kernel" in answer.stdout


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(name: str, given: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        return {"status": "failed", "elapsed_s": 0.0, "results": {}, "reason": "it broke"}

    monkeypatch.setattr(program, "run_isolated", run)
    path = tmp_path / "all.json"
    arguments = ["--device", "cpu", "--only", "parity", "--out", str(path)]
    assert program.main(arguments) == 1
    assert f"written to {path}" in capsys.readouterr().out
    assert json.loads(path.read_text())["sections"]["parity"]["reason"] == "it broke"


def test_the_exit_code() -> None:
    well, timed_out = {"a": {"status": "ok"}, "b": {"status": "skipped"}}, {"a": {"status": "timed out"}}
    codes = [program.exit_code("cuda", 13000, well), program.exit_code("cpu", 0, well)]
    assert codes == [0, 0]
    codes = [program.exit_code("cuda", 0, well), program.exit_code("cuda", 13000, timed_out)]
    assert codes == [1, 1]


def test_children_find_the_packages_of_the_checkout() -> None:
    first, second, *_ = isolation.environment()["PYTHONPATH"].split(":" if sys.platform != "win32" else ";")
    assert (Path(first).name, Path(second)) == ("kernels", isolation.ROOT)


def test_a_skipped_part_is_no_failure(tmp_path: Path) -> None:
    def left_out() -> None:
        raise Skipped("not here")

    task = task_at(tmp_path)
    task.attempt("part", left_out)
    assert told(tmp_path) == {"results": {"part": {"skipped": "not here"}}}
