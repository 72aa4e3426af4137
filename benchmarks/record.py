"""Write results down: JSON with everything, a Markdown page for reading, and what has to be known about the machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.process import ROOT

PEERS = ("jax", "jaxlib", "torch", "scikit-learn", "thinc", "keras")
"""Packages whose versions are written down beside those of accelnn's own."""


@dataclass(frozen=True)
class Record:
    """Where one program writes to: ``FOLDER/DATE-DEVICE-SUBJECT`` with the endings .json, .md and .png.

    ``command`` is how the program was called; ``about`` describes date, revision, machine and versions, JSON-able.
    """

    folder: pathlib.Path
    subject: str
    command: str
    device: str = "cpu"
    about: dict[str, Any] = field(default_factory=lambda: describe_run())

    @property
    def stem(self) -> pathlib.Path:
        return self.folder / f"{self.about['date']}-{self.device}-{self.subject}"

    def write_json(self, results: Mapping[str, Any]) -> pathlib.Path:
        """Write everything; return the path."""
        path = self._path(".json")
        path.write_text(json.dumps({**self.about, "command": self.command, **results}, indent=1) + "\n")
        return path

    def write_page(self, title: str, body: str) -> pathlib.Path:
        """Write a Markdown page with a title, the machine and the body; return the path."""
        path = self._path(".md")
        path.write_text(f"# {title}\n\n{self._machine()}\n\n{body}\n")
        return path

    def chart_path(self) -> pathlib.Path:
        """Return where the chart belongs."""
        return self._path(".png")

    def _path(self, ending: str) -> pathlib.Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.stem.with_name(self.stem.name + ending)

    def _machine(self) -> str:
        lines = [f"`{self.command}`, {self.about['date']}, revision {self.about['revision']}", *machine(self.about)]
        return "\n".join(f"- {line}" for line in lines)


def machine(about: Mapping[str, Any]) -> list[str]:
    """Return lines about processor, versions, BLAS and threading layer."""
    environment = about["environment"]
    cpu, numba, cuda = environment["cpu"], environment["numba"], environment["backends"]["cuda"]
    versions = {"accelnn": environment["accelnn"], **environment["packages"], **about["peers"]}
    known = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    blas = ", ".join(
        f"{b['name']} {b['version']} ({b['architecture']}, {b['threads']} threads)" for b in environment["blas"]
    )
    gpu = cuda["details"]["name"] if cuda["usable"] else f"none usable: {cuda['cause']}"
    return [
        f"{cpu['model']}, {cpu['cores']} cores, {cpu['usable_threads']} usable threads; GPU: {gpu}",
        f"Python {environment['python']}, {known}",
        f"BLAS of NumPy and SciPy: {blas}; Numba threading layer: {numba['threading_layer']}",
    ]


def describe_run() -> dict[str, Any]:
    """Return date, revision, machine and versions."""
    from accelnn import __version__, describe_environment

    environment = describe_environment() | {"accelnn": __version__}  # also of a checkout that is not installed
    for library in environment.get("blas", []):
        library.pop("file", None)  # a path of this machine
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "revision": revision(),
        "environment": environment,
        "peers": {name: _version(name) for name in PEERS},
    }


def this_command(module: str) -> str:
    """Return the command line of this process without --output, as one would type it in the project's folder."""
    words = iter(sys.argv[1:])
    kept = [word for word in words if not word.startswith("--output=") and not (word == "--output" and next(words))]
    return shlex.join(["python", "-m", module, *kept])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def revision() -> str:
    """Return the commit of the checkout, "unknown" outside of one."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"
