"""A reason why CUDA cannot be used, and the words in which it is told."""

from __future__ import annotations

from dataclasses import dataclass

INSTALL_DRIVER = "install a current NVIDIA driver (https://www.nvidia.com/drivers)"


@dataclass(frozen=True)
class Problem:
    """Why CUDA cannot be used (``cause``) and what helps (``remedy``), each without a final full stop."""

    cause: str
    remedy: str


def install_line(driver: int) -> str:
    """Return the command that installs the packages for a driver, given as the CUDA that it supports: 13000 is 13.0."""
    if driver >= 13000:
        return 'pip install "accelnn[cuda13]" (on a Volta GPU: "accelnn[cuda12]")'
    return 'pip install "accelnn[cuda12]"'


def dotted(version: int) -> str:
    """Return a version of CUDA as people write it: "13.0" for 13000."""
    return f"{version // 1000}.{version % 1000 // 10}"


def reason(error: BaseException) -> str:
    """Return type and first line of an error, for a message of one line."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
