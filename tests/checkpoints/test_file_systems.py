"""File systems in memory: one with room for a few checkpoints only, and one that cannot be written to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FULL = """
import sys
from pathlib import Path
from accelnn import Checkpoint
from accelnn.errors import CheckpointError
from tests.checkpoints.runs import assert_same_end, fit, names, small_model

folder = Path(sys.argv[1])
try:
    fit(small_model(), folder, checkpoint=Checkpoint(folder, "1 step", keep=1000))
except CheckpointError as error:
    print(error)
kept = names(folder)
assert len(kept) > 3
assert [path.name for path in sorted(folder.iterdir())] == [*kept, "lock"], "something is left half-written"
for name in kept[:-2]:  # somebody makes room
    (folder / name).unlink()
model, other = small_model(), small_model()
assert_same_end(model, fit(model), other, fit(other, folder, checkpoint=Checkpoint(folder, keep=1)))
assert len(names(folder)) <= 2
print("went on")
"""

READ_ONLY = """
import sys
from pathlib import Path
from accelnn.errors import CheckpointError
from tests.checkpoints.runs import fit, small_model

for folder in (Path(sys.argv[1]), Path(sys.argv[1]) / "run"):
    try:
        fit(small_model(), folder)
    except CheckpointError as error:
        print(error)
"""

IN_A_FILE_SYSTEM = 'mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@"'


def in_a_file_system(options: str, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that sees a file system of memory in ``folder``; nobody else sees it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    whole = ["unshare", "--map-root-user", "--mount", "sh", "-c", IN_A_FILE_SYSTEM, options, str(folder), *command]
    return subprocess.run(whole, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(autouse=True)
def can_mount(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or in_a_file_system("size=4k", tmp_path, "true").returncode != 0:
        pytest.skip("this system lets nobody but an administrator mount file systems")


def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(tmp_path: Path) -> None:
    done = in_a_file_system("size=128k", tmp_path, sys.executable, "-c", FULL, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout
    assert done.stdout.endswith("went on\n")
    assert not list(tmp_path.iterdir())


def test_a_read_only_disk_is_an_error_before_the_training(tmp_path: Path) -> None:
    done = in_a_file_system("ro", tmp_path, sys.executable, "-c", READ_ONLY, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"cannot write in {str(tmp_path)!r}: Read-only file system",
        f"cannot use {str(tmp_path / 'run')!r} for checkpoints: Read-only file system",
    ]
