"""The sections in their order: what each is called, what it needs and how long it may take."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

TOTAL_S = 465.0
"""The whole run ends within so many seconds: a section gets what is left if that is less than its own limit."""

LEAST_S = 5.0
"""With less time left a section is not even begun."""


@dataclass(frozen=True)
class Section:
    """A module of this package with ``measure(task)``.

    limit_s: seconds after which it is stopped. needs: packages without which it is skipped. gpu: whether it makes no
    sense without a GPU. peers: whether ``--peers``, which leaves accelnn out, runs it too.
    """

    name: str
    limit_s: float
    needs: tuple[str, ...] = ()
    gpu: bool = True
    peers: bool = False


_SECTIONS = (
    Section("environment", 40, gpu=False, peers=True),
    Section("graph_gemm", 20, ("cupy",), peers=True),
    Section("graph_kernels", 45, ("cupy", "numba"), peers=True),
    Section("launch_cost", 20, ("cupy",), peers=True),
    Section("grid_barrier", 20, ("cupy",), peers=True),
    Section("copy_bandwidth", 15, ("cupy",), peers=True),
    Section("gpu_tests", 110, ("pytest",)),
    Section("parity", 70, ("cupy",), gpu=False),
    Section("kernel_bandwidth", 45, ("cupy", "numba")),
    Section("gemm_rate", 20, ("cupy",)),
    Section("dense_layers", 50, ("cupy",)),
    Section("throughput", 190, gpu=False, peers=True),
    Section("step_anatomy", 45, gpu=False),
    Section("persistent_phases", 60, ("cupy",)),
)
SECTIONS = {section.name: section for section in _SECTIONS}
"""All sections by name, in the order in which they run."""


def why_skipped(section: Section, device: str, driver: int) -> str | None:
    """Return why a section cannot run here, None if it can.

    device: "cuda" or "cpu". driver: the CUDA version that the driver supports, 0 without one.
    """
    if section.gpu and device == "cpu":
        return "it needs a GPU, and --device is cpu"
    if section.name != "environment" and device == "cuda" and driver == 0:
        return "no NVIDIA driver was found"
    missing = missing_packages(section.needs) if device == "cuda" else []
    return f"not installed: {', '.join(missing)}" if missing else None


def missing_packages(names: tuple[str, ...]) -> list[str]:
    """Return those of the import names that are not there; nothing is imported."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def chosen(only: list[str] | None, peers: bool) -> list[Section]:
    """Return the sections to run: those named, or all, or with ``peers`` those without accelnn."""
    if only is not None:
        return [SECTIONS[name] for name in only]
    return [section for section in SECTIONS.values() if section.peers or not peers]


def allowed_s(section: Section, used_s: float, total_s: float) -> float:
    """Return how long a section may take when ``used_s`` of ``total_s`` seconds are over; 0 if it is not worth it."""
    left = min(section.limit_s, total_s - used_s)
    return left if left >= LEAST_S else 0.0
