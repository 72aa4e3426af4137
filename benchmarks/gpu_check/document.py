"""The one JSON file: where it lies, what stands in it besides the sections."""

from __future__ import annotations

import datetime
import json
import math
import os
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.process import ROOT
from benchmarks.record import revision, this_command

FOLDER = ROOT / "benchmarks" / "results"
NAME = "gpu_check.json"


@dataclass
class Document:
    """The results of a run; written anew after every section.

    path: the file, or a folder for it; None to name it after the date and the device, in the folder that the variable
    OUT names, if there is one.
    """

    path: pathlib.Path | None
    about: dict[str, Any] = field(default_factory=lambda: about_run())
    sections: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, entry: Mapping[str, Any]) -> pathlib.Path:
        """Add the entry of a section and write everything; return the path."""
        self.sections[name] = entry
        return self.write()

    def write(self) -> pathlib.Path:
        """Write everything so that the file is always whole; return its path."""
        path = self.place()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.part")
        content = finite({**self.about, "sections": self.sections})
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
        os.replace(temporary, path)
        return path

    def place(self) -> pathlib.Path:
        """Return the path of the file."""
        if self.path is not None:
            return self.path / NAME if self.path.is_dir() else self.path
        if folder := os.environ.get("OUT"):
            return pathlib.Path(folder, NAME)
        return FOLDER / f"{self.about['date']}-{self._device()}-gpu-check.json"

    def _device(self) -> str:
        """Return the GPU's name as a part of a file name."""
        found = self.sections.get("environment", {}).get("results", {}).get("gpu", {})
        name = str(found.get("name", self.about["device"]))
        return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def about_run(device: str = "cuda") -> dict[str, Any]:
    """Return date, revision and command; nothing here touches a GPU."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": now.strftime("%Y-%m-%d"),
        "started": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "revision": revision(),
        "command": this_command("benchmarks.gpu_check"),
        "device": device,
    }


def finite(value: Any) -> Any:
    """Return ``value`` with NaN and infinities as text: JSON has no words for them."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
