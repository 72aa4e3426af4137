"""What Linux says of the memory of this process."""

from __future__ import annotations

import pathlib


def status_bytes(name: str) -> int:
    """Return a size from ``/proc/self/status``, such as ``"VmRSS"``, resident memory."""
    lines = pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
