"""The folder: numbers, rotation, the best one, damaged files, what a killed process leaves behind."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
import warnings
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from accelnn import Checkpoint
from accelnn.errors import AccelnnWarning, ArgumentError, CheckpointError
from accelnn.training.checkpoints import file_format, folder_lock
from accelnn.training.checkpoints import folder as checkpoint_folder
from accelnn.training.checkpoints.file_format import CheckpointFile
from accelnn.training.checkpoints.folder import CheckpointFolder
from tests.checkpoints.runs import fit, names, small_model


def content(n: int) -> CheckpointFile:
    return CheckpointFile({"n": n}, {"a": np.full(50, float(n))})


def filled(path: Path, n: int, keep: int = 3, best: tuple[int, ...] = ()) -> CheckpointFolder:
    """Return a folder after ``n`` writes, of which those with the numbers in ``best`` were the best so far."""
    folder = CheckpointFolder(path, keep)
    path.mkdir(exist_ok=True)
    for i in range(1, n + 1):
        folder.write(content(i), is_best=i in best)
    return folder


def number_of(found: CheckpointFile | None) -> int:
    assert found is not None
    return int(found.description["n"])


@pytest.mark.parametrize(
    ("keep", "best", "kept"),
    [
        (3, (), ["000005", "000006", "000007"]),
        (1, (), ["000007"]),
        (9, (), [f"00000{i}" for i in range(1, 8)]),
        (2, (1, 3), ["000003-best", "000006", "000007"]),
        (2, (1, 7), ["000006", "000007-best"]),
        (1, (7,), ["000007-best"]),
        (3, (5, 6), ["000005-best", "000006-best", "000007"]),
    ],
)
def test_the_newest_and_the_best_are_kept(tmp_path: Path, keep: int, best: tuple[int, ...], kept: list[str]) -> None:
    folder = filled(tmp_path, 7, keep, best)
    assert names(tmp_path) == [f"checkpoint-{name}.safetensors" for name in kept]
    assert number_of(folder.newest()) == 7
    if best:
        assert number_of(folder.newest(best=True)) == max(best)


def test_no_folder_has_no_checkpoints(tmp_path: Path) -> None:
    assert CheckpointFolder(tmp_path / "nowhere").newest() is None
    (tmp_path / "file").touch()
    assert CheckpointFolder(tmp_path / "file").files() == []


def test_a_clock_that_goes_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(tmp_path, 2)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    for file in folder.files():
        os.utime(file.path, (2e9, 2e9))  # those that are there come from the future
    folder.write(content(3), is_best=False)
    os.utime(folder.files()[0].path, (0, 0))
    assert number_of(folder.newest()) == 3


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 4
    path.write_bytes(raw)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, cut, empty])
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path: Path, damage) -> None:
    folder = filled(tmp_path, 3)
    damage(folder.files()[0].path)
    with pytest.warns(AccelnnWarning, match=r"000003.safetensors.*checkpoint-000002.safetensors, is used"):
        assert number_of(folder.newest()) == 2
    damage(folder.files()[1].path)
    with pytest.warns(AccelnnWarning) as caught:
        assert number_of(folder.newest()) == 1
    assert len(caught) == 2
    damage(folder.files()[2].path)
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* can be used"):
        folder.newest()


def test_the_next_one_goes_on_counting_after_a_damaged_one(tmp_path: Path) -> None:
    folder = filled(tmp_path, 2)
    flip(folder.files()[0].path)
    folder.write(content(9), is_best=False)
    assert names(tmp_path)[-1] == "checkpoint-000003.safetensors"


def test_a_later_format_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(tmp_path, 2)
    with monkeypatch.context() as patch:
        patch.setattr(file_format, "VERSION", 2)
        folder.write(content(3), is_best=False)
    with pytest.raises(CheckpointError, match="update accelnn"):
        folder.newest()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    folder = filled(tmp_path, 1)
    left = tmp_path / ".checkpoint-000002-best.safetensors.0123456789abcdef.tmp"
    foreign = tmp_path / ".notes.tmp"
    left.touch()
    foreign.touch()
    folder.hold()
    folder.release()
    assert not left.exists()
    assert foreign.exists()
    assert number_of(folder.newest()) == 1


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("checkpoint-1.safetensors", "model.npz", "checkpoint-000001.safetensors.old"):
        (tmp_path / name).touch()
    filled(tmp_path, 5, keep=1)
    assert len(names(tmp_path)) == 4


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run"
    one, other = CheckpointFolder(path), CheckpointFolder(path)
    one.hold()
    with pytest.raises(CheckpointError, match=r"another training run writes its checkpoints to .*run'"):
        other.hold()
    other.release()
    one.release()
    one.release()
    other.hold()
    other.release()


def full(file: IO[bytes], content: CheckpointFile) -> None:
    file.write(b"half")
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(tmp_path, 2)
    monkeypatch.setattr(checkpoint_folder, "write_checkpoint", full)
    with pytest.raises(CheckpointError, match=r"could not be written: .*No space left on device"):
        folder.write(content(3), is_best=False)
    assert [path.name for path in sorted(tmp_path.iterdir())] == names(tmp_path)
    assert number_of(folder.newest()) == 2


def test_a_limit_of_the_system_leaves_the_others(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limits of files")
    folder = filled(tmp_path, 2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"could not be written: .*too large"):
            folder.write(CheckpointFile({"n": 3}, {"a": np.zeros(50_000)}), is_best=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in sorted(tmp_path.iterdir())] == names(tmp_path)
    assert number_of(folder.newest()) == 2


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    folder = filled(tmp_path / "run", 2)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(CheckpointError, match="there is no folder"):
        folder.write(content(3), is_best=False)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_an_error(tmp_path: Path) -> None:
    folder = filled(tmp_path / "run", 1)
    os.chmod(tmp_path / "run", stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(CheckpointError, match="Permission denied"):
            folder.write(content(2), is_best=False)
        with pytest.raises(CheckpointError, match="Permission denied"):
            folder.hold()
    finally:
        os.chmod(tmp_path / "run", stat.S_IRWXU)
    assert number_of(folder.newest()) == 1


def test_a_read_only_file_system_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as changed:
        changed.setattr(folder_lock.os, "open", refuse)
        with pytest.raises(CheckpointError, match=r"cannot write in .*Read-only file system"):
            CheckpointFolder(tmp_path).hold()
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: refuse())  # the lock is of a time when one could write
    with pytest.raises(CheckpointError, match=r"cannot use .* for checkpoints: Read-only file system"):
        CheckpointFolder(tmp_path).hold()


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(CheckpointError, match="cannot use"):
        CheckpointFolder(tmp_path / "run").hold()


def test_a_sound_folder_warns_of_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert number_of(filled(tmp_path, 2).newest()) == 2


def test_a_folder_is_fixed_when_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the home directory or beside the program: the lock, the checkpoints and who reads them mean one folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for checkpoint, folder in ((Checkpoint("~/runs/a"), "runs/a"), (Checkpoint("runs/b"), "runs/b")):
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert not checkpoint.exists()
        fit(small_model(), epochs=2, checkpoint=checkpoint)
        assert [path.name for path in sorted((tmp_path / folder).iterdir())][-1] == "lock"
        assert len(names(tmp_path / folder)) > 1
        assert checkpoint.exists()
        with pytest.raises(ArgumentError, match="the folder has checkpoints already"):
            fit(small_model(), checkpoint=checkpoint)
        monkeypatch.chdir(tmp_path)
    assert not list((tmp_path / "elsewhere").iterdir())
