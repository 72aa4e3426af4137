"""Replacing a file is all or nothing."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest

from accelnn.data.atomic_file import replace_file
from accelnn.errors import ArgumentError, ModelFileError


def write_new(file):
    file.write(b"new")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "file"
    replace_file(path, write_new)
    assert path.read_bytes() == b"new"
    path.write_bytes(b"old and longer")
    replace_file(str(path), write_new)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half(file):
        file.write(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, write_half)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_error(tmp_path):
    def no_space(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(ModelFileError, match=r"cannot write .*file': No space left on device"):
        replace_file(tmp_path / "file", no_space)
    assert not list(tmp_path.iterdir())


def test_a_read_only_disk_is_one_clear_error(tmp_path, monkeypatch):
    def is_read_only(path, *arguments, **options):
        raise OSError(30, "Read-only file system")

    for name in ("open", "unlink"):
        monkeypatch.setattr(pathlib.Path, name, is_read_only)
    with pytest.raises(ModelFileError, match=r"cannot write .*file': Read-only file system"):
        replace_file(tmp_path / "file", write_new)


@pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")
def test_permissions_are_those_of_any_file_and_links_are_followed(tmp_path):
    plain, path, link = tmp_path / "plain", tmp_path / "file", tmp_path / "link"
    plain.write_bytes(b"")
    replace_file(path, write_new)
    assert mode(path) == mode(plain)
    path.chmod(0o640)
    link.symlink_to(path)
    replace_file(link, write_new)
    assert link.is_symlink()
    assert mode(path) == 0o640


def test_targets_that_cannot_be_files(tmp_path):
    with pytest.raises(ArgumentError, match="no folder"):
        replace_file(tmp_path / "nowhere" / "file", write_new)
    with pytest.raises(ArgumentError, match="not a regular file"):
        replace_file(tmp_path, write_new)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no special files here")
def test_a_special_file_such_as_dev_null_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArgumentError, match="not a regular file"):
        replace_file(tmp_path / "pipe", write_new)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
