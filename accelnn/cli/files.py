"""Files that a command writes: checked before the work begins, written at its end."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from accelnn.errors import invalid


def check_output(flag: str, path: str | None) -> None:
    """Raise ArgumentError if no file can be written at ``path``; nobody should learn that after an hour."""
    if path is None:
        return
    folder = os.path.dirname(os.path.realpath(path))
    if not path or os.path.isdir(path):
        raise invalid(flag, path, "use the name of a file")
    if not os.path.isdir(folder):
        raise invalid(flag, path, f"there is no folder {folder!r}: make it first")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise invalid(flag, path, "it cannot be written there: choose another place")


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object; numbers that JSON cannot hold become null."""
    print(json.dumps({name: _plain(value) for name, value in values.items()}, allow_nan=False))


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
