"""Files that a command writes: checked before the work begins, written at its end."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelnn.data.atomic_file import checked_target, is_same_file
from accelnn.errors import invalid

if TYPE_CHECKING:
    from accelnn.training.checkpoints.folder import CheckpointFolder


def check_outputs(
    outputs: Mapping[str, str | None],
    inputs: Mapping[str, Iterable[Path]],
    checkpoints: CheckpointFolder | None = None,
) -> None:
    """Raise ArgumentError for what would end in a loss after an hour, before anything has been done.

    outputs, inputs: the files that a command writes and reads, each by the flag that names it. An output has to be
    writable, and may be no input, no other output and nothing that belongs to a folder of checkpoints.
    """
    targets = {flag: checked_target(flag, path) for flag, path in outputs.items() if path is not None}
    for flag, target in targets.items():
        for source, files in inputs.items():
            if any(is_same_file(target, file) for file in files):
                fix = f"it would be overwritten, and it is needed as {source}: use another name"
                raise invalid(flag, outputs[flag], fix)
        if checkpoints is not None and checkpoints.claims(target):
            raise invalid(flag, outputs[flag], "the checkpoints of a run have this place: use another name")
    for (flag, target), (other, other_target) in combinations(targets.items(), 2):
        if is_same_file(target, other_target):
            raise invalid(other, outputs[other], f"this is the file of {flag} too: use another name")


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object; numbers that JSON cannot hold become null."""
    print(json.dumps({name: _plain(value) for name, value in values.items()}, allow_nan=False))


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
