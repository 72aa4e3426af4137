"""Prove on a GPU what no simulator can: facts, tests, parity, bandwidth, rates, and throughput against peers.

Nothing is needed but this checkout and the packages that are found: PYTHONPATH=kernels:. python -m benchmarks.gpu_check
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from accelnn.arrays.cuda_driver import driver_version
from benchmarks.gpu_check.document import Document, about_run
from benchmarks.gpu_check.isolation import run_isolated
from benchmarks.gpu_check.plan import SECTIONS, TOTAL_S, Section, allowed_s, chosen, why_skipped
from benchmarks.gpu_check.tables import summary_lines

Isolated = Callable[[str, Mapping[str, Any], float], dict[str, Any]]


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    document = Document(options.out, about_run(options.device))
    run_sections(options, document, run_isolated)
    print("\n".join(summary_lines(document.sections)))
    print("\nwritten to", document.write())
    return exit_code(options.device, driver_version(), document.sections)


def exit_code(device: str, driver: int, sections: Mapping[str, Any]) -> int:
    """Return 0 if nothing failed and there was a GPU to prove it on, unless none was asked for; else 1."""
    failed = any(entry["status"] in ("failed", "timed out") for entry in sections.values())
    return int(failed or (device == "cuda" and driver == 0))


def run_sections(options: argparse.Namespace, document: Document, run: Isolated) -> None:
    """Run the sections one after the other and write the document after each."""
    start_s = time.perf_counter()
    for section in chosen(options.only, options.peers):
        used_s = time.perf_counter() - start_s
        entry = run_section(section, options, found_data(options, document), used_s, run)
        path = document.add(section.name, entry)
        document.about["elapsed_s"] = time.perf_counter() - start_s
        print(f"{section.name}: {entry['status']} {entry.get('reason', '')}".rstrip(), flush=True)
        if section.name == "environment":
            print("\n".join([*environment_lines(entry["results"]), f"  written to {path}"]), flush=True)


def run_section(
    section: Section, options: argparse.Namespace, data: str, used_s: float, run: Isolated
) -> dict[str, Any]:
    """Return the entry of a section: what it gave, or why it did not run."""
    reason = why_skipped(section, options.device, driver_version())
    limit_s = allowed_s(section, used_s, options.seconds)
    if reason is None and limit_s == 0.0:
        reason = f"{used_s:.0f} of {options.seconds:.0f} s are over"
    if reason is not None:
        return {"status": "skipped", "elapsed_s": 0.0, "results": {}, "reason": reason}
    given = {"device": options.device, "data": data, "peers": options.peers, "quick": options.quick}
    return run(section.name, given, limit_s)


def found_data(options: argparse.Namespace, document: Document) -> str:
    """Return the data to train on: as it was asked for, else MNIST if the first section found it."""
    if options.data != "auto":
        return str(options.data)
    return str(document.sections.get("environment", {}).get("results", {}).get("data", "synthetic"))


def environment_lines(results: Mapping[str, Any]) -> list[str]:
    """Return what is worth a line about the machine, above all what is missing."""
    found = {name: version for name, version in results.get("packages", {}).items() if version}
    lines = ["  " + ", ".join(f"{name} {version}" for name, version in found.items())]
    lines += [f"  missing: {', '.join(results.get('missing', [])) or 'nothing'}"]
    lines += [f"  {name} cannot be imported: {why}" for name, why in results.get("imports", {}).items() if why]
    if why := results.get("accelnn_cuda"):
        lines.append(f"  accelnn: {why}")
    lines.append(f"  GPU: {results.get('gpu', {}).get('name', 'none')}; data: {results.get('data')}")
    return lines


def section_names(text: str) -> list[str]:
    """Return the names of a list such as "parity,gemm_rate"."""
    names = text.split(",")
    for name in names:
        if name not in SECTIONS:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(SECTIONS)}")
    return names


def _options(arguments: list[str] | None) -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.gpu_check", description=__doc__, formatter_class=layout)
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="where the JSON goes")
    parser.add_argument("--only", type=section_names, metavar="NAME,...", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--peers", action="store_true", help="facts and peers alone, without accelnn")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu tries out what needs no GPU")
    parser.add_argument("--data", default="auto", choices=["auto", "mnist", "synthetic"])
    parser.add_argument("--seconds", type=float, default=TOTAL_S, help=f"for everything, default {TOTAL_S:.0f}")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes: tries out the program itself")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
