"""Section gpu_tests: ``pytest -m gpu``, counted, with the ends of what failed."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from typing import Any

from benchmarks.gpu_check.child import Task
from benchmarks.process import ROOT

FAILURE_CHARACTERS = 2500
MARGIN_S = 5.0
COMPATIBILITY = "benchmarks.gpu_check.compatibility"


def measure(task: Task) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.xml")
        printed = run_pytest(report, ["-m", "gpu", *modules_with_the_marker()], task.left_s - MARGIN_S)
        task.report("end_of_output", printed[-FAILURE_CHARACTERS:])
        counts = counted(report)
    task.report("counts", counts["counts"])
    task.report("failures", counts["failures"])
    task.report("skip_reasons", counts["skip_reasons"])
    bad = counts["counts"]["failures"] + counts["counts"]["errors"]
    if bad:
        task.wrong(f"{bad} tests failed")
    if not counts["counts"]["passed"]:
        task.wrong("no test ran")


def modules_with_the_marker() -> list[str]:
    """Return the paths of the tests that need a GPU: others may import what a machine with one does not have."""
    modules = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path) for path in modules if "pytest.mark.gpu" in path.read_text(encoding="utf-8")]


def run_pytest(report: pathlib.Path, selection: list[str], limit_s: float) -> str:
    """Run the tests that are selected and return what was printed; ``report`` gets the results as XML."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", COMPATIBILITY]
    command += ["--continue-on-collection-errors", f"--junitxml={report}", *selection]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or b""
        text = printed if isinstance(printed, str) else printed.decode(errors="replace")
        return f"{text}\nnot done after {limit_s:.0f} s"
    return answer.stdout + answer.stderr


def counted(report: pathlib.Path) -> dict[str, Any]:
    """Return counts, failures (test and the end of its message) and reasons of skips of an XML report."""
    empty = dict.fromkeys(("tests", "passed", "failures", "errors", "skipped"), 0)
    if not report.exists():
        return {"counts": empty, "failures": {}, "skip_reasons": []}
    cases = list(ET.parse(report).getroot().iter("testcase"))
    found = {kind: [case for case in cases if case.find(kind) is not None] for kind in ("failure", "error", "skipped")}
    bad = len(found["failure"]), len(found["error"]), len(found["skipped"])
    counts = dict(zip(("failures", "errors", "skipped"), bad, strict=True))
    return {
        "counts": {"tests": len(cases), "passed": len(cases) - sum(bad), **counts},
        "failures": {_name(case): _message(case) for case in (*found["failure"], *found["error"])},
        "skip_reasons": sorted({str(case.find("skipped").get("message")) for case in found["skipped"]}),
    }


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _message(case: ET.Element) -> str:
    found = case.find("failure") if case.find("failure") is not None else case.find("error")
    return "" if found is None else (found.text or str(found.get("message")))[-FAILURE_CHARACTERS:]
