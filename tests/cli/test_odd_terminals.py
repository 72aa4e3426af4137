"""Commands whose streams are closed, have few characters or have no reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import QUICK

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell in which ``accelnn`` is this one."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
    line = f'accelnn() {{ "{sys.executable}" -m accelnn "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", line], capture_output=True, check=False, env=environment, timeout=60)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_name_that_the_terminal_cannot_write(encoding: str) -> None:
    Path("数据.csv").write_text("a,b,c\n" + "1,0,1\n0,1,0\n" * 10)
    done = shell(f"accelnn train {' '.join(QUICK)} --dataset csv:数据.csv --save 模.npz", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(rb"data   \u6570\u636e: 16 rows")
    assert done.stdout.endswith(b"saved  \\u6a21.npz\n")
    assert Path("模.npz").exists()


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed(redirection: str) -> None:
    done = shell(f"accelnn train {' '.join(QUICK)} --save m.npz {redirection}")
    assert done.returncode == 0, done.stderr
    assert b"Error" not in done.stderr
    assert Path("m.npz").exists()


def test_a_reader_that_leaves() -> None:
    done = shell(
        "accelnn info | head -1; echo ${PIPESTATUS[0]}; accelnn info 2>&1 | true; accelnn train --epochs x 2>&-"
    )
    assert done.stdout.startswith(b"accelnn ")
    assert done.stdout.count(b"\n") == 2
    assert (done.returncode, done.stderr) == (2, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="a device that is full")
def test_standard_output_that_is_full_is_one_line() -> None:
    done = shell("accelnn info > /dev/full")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert b"accelnn: [Errno 28] No space left on device" in done.stderr
