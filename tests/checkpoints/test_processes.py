"""Two processes and one folder: one at a time, and a process that was killed holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from accelnn.errors import CheckpointError
from tests.checkpoints.runs import assert_same_end, fit, names, small_model

ROOT = Path(__file__).parents[2]

SLOW_RUN = """
import sys, time
from pathlib import Path
from accelnn import Callback
from tests.checkpoints.runs import fit, small_model

class Wait(Callback):
    def on_chunk_end(self, model, epoch, steps_done, steps_total, loss):
        if epoch == 3:
            print("ready", flush=True)
            time.sleep(60)

fit(small_model(), Path(sys.argv[1]), "2 steps", callbacks=[Wait()])
"""


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a process that trains in the folder ``run`` and waits after a chunk of its fourth epoch."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    command = [sys.executable, "-c", SLOW_RUN, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_killed_process_holds_nothing(tmp_path: Path, other_process: subprocess.Popen[str]) -> None:
    folder = tmp_path / "run"
    with pytest.raises(CheckpointError, match="another training run writes its checkpoints"):
        fit(small_model(), folder, "2 steps")
    other_process.kill()
    other_process.wait()
    assert (folder / "lock").exists()
    model, other = small_model(), small_model()
    assert_same_end(model, fit(model), other, fit(other, folder, "2 steps"))


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_ctrl_c_from_outside_writes_the_run(tmp_path: Path, other_process: subprocess.Popen[str]) -> None:
    before = names(tmp_path / "run")[-1]
    other_process.send_signal(signal.SIGINT)
    assert other_process.wait(timeout=60) == 0
    assert names(tmp_path / "run")[-1] > before
    model, other = small_model(), small_model()
    assert_same_end(model, fit(model), other, fit(other, tmp_path / "run", "2 steps"))
