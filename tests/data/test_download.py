from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from data_stand_ins import Mirror

from accelnn.data import download as module
from accelnn.data.download import download
from accelnn.errors import DataError


def accept(path: Path) -> None:
    assert path.exists()


def test_first_mirror_that_delivers_wins(tmp_path: Path, make_mirror: Callable[[], Mirror], dead_mirror: str) -> None:
    broken, good, unused = make_mirror(), make_mirror(), make_mirror()
    broken.answers["f"] = (503, b"later")
    good.answers["f"] = (200, b"content")
    mirrors = [dead_mirror, broken.url, good.url, unused.url]
    path = download("f", mirrors, tmp_path / "new" / "folder", limit_bytes=100, verify=accept)
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]
    assert (broken.asked, unused.asked) == (["f"], [])


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_file_has_ordinary_permissions(tmp_path: Path, make_mirror: Callable[[], Mirror]) -> None:
    mirror = make_mirror()
    mirror.answers["f"] = (200, b"content")
    path = download("f", [mirror.url], tmp_path, limit_bytes=100, verify=accept)
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_all_mirrors_fail_and_nothing_is_left(
    tmp_path: Path, make_mirror: Callable[[], Mirror], dead_mirror: str
) -> None:
    forbidden, big, wrong = make_mirror(), make_mirror(), make_mirror()
    forbidden.answers["f"] = (403, b"<html>no</html>")
    big.answers["f"] = (200, b"x" * 200_000)
    wrong.answers["f"] = (200, b"y")

    def refuse(path: Path) -> None:
        raise DataError("not what it should be")

    with pytest.raises(DataError) as caught:
        download("f", [dead_mirror, forbidden.url, big.url, wrong.url], tmp_path, limit_bytes=1000, verify=refuse)
    message = str(caught.value)
    for cause in ("no connection", "HTTP 403", "more than 1,000 bytes", "not what it should be"):
        assert cause in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_silent_mirror_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        mirror = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(DataError, match="no answer in time"):
            download("f", [mirror], tmp_path, limit_bytes=100, verify=accept)
    assert list(tmp_path.iterdir()) == []


def test_trickling_mirror_is_given_up(
    tmp_path: Path, make_mirror: Callable[[], Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = make_mirror()
    mirror.answers["f"] = (200, b"content")
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    monkeypatch.setattr(module, "MIN_BYTES_PER_S", 10**12)
    with pytest.raises(DataError, match="too slow"):
        download("f", [mirror.url], tmp_path, limit_bytes=100, verify=accept)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_download_does_not_touch_the_old_file(tmp_path: Path, make_mirror: Callable[[], Mirror]) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(DataError, match="HTTP 404"):
        download("f", [make_mirror().url], tmp_path, limit_bytes=100, verify=accept)
    assert (tmp_path / "f").read_bytes() == b"old"


def test_interrupt_leaves_nothing(tmp_path: Path, make_mirror: Callable[[], Mirror]) -> None:
    mirror = make_mirror()
    mirror.answers["f"] = (200, b"content")

    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download("f", [mirror.url], tmp_path, limit_bytes=100, verify=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(tmp_path: Path, make_mirror: Callable[[], Mirror]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"FileExistsError|NotADirectoryError"):
        download("f", [make_mirror().url], tmp_path / "file", limit_bytes=100, verify=accept)
