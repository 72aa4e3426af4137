"""``python -m benchmarks.faults``: kill runs, resume them, and compare them with runs that were never killed."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.faults.deaths import DEATHS
from benchmarks.faults.runs import RUNS, Run, trained

SHARE_INSIDE_A_WRITE = 0.5
"""So many of the kills happen at a chosen point of a write, the others at any moment."""

LATEST_WRITE = 6
"""A kill inside a write hits one of the first so many writes of a process."""


class Victim:
    """One run in a folder of its own, killed and resumed until it is over."""

    def __init__(self, run: Run, folder: Path, rng: random.Random) -> None:
        self.run, self.folder, self._rng = run, folder, rng
        self.expected = trained(run)  # also loads the kernels that the children inherit
        start_s = time.perf_counter()
        trained(run, folder)
        self._usual_s = time.perf_counter() - start_s
        shutil.rmtree(folder)

    def attempt(self) -> tuple[str, dict[str, Any] | None]:
        """Begin or resume the run in a process of its own; return how it died, or ``"finished"`` and its result."""
        death = self._rng.choice(sorted(DEATHS)) if self._rng.random() < SHARE_INSIDE_A_WRITE else "any_moment"
        countdown = self._rng.randrange(LATEST_WRITE)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _be_the_child(self.run, self.folder, death, countdown, writing)
        os.close(writing)
        if death == "any_moment":
            time.sleep(self._rng.uniform(0.0, self._usual_s))
            os.kill(child, signal.SIGKILL)  # a child that is over is not gone before it is waited for
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        if said.endswith(b"\n"):
            return "finished", json.loads(said)
        return death if os.WIFSIGNALED(status) else "failed", None


def _be_the_child(run: Run, folder: Path, death: str, countdown: int, writing: int) -> None:
    """Train, say the result in one line, and end this process."""
    status = 1
    try:
        left = iter(range(countdown, -1, -1))
        if death in DEATHS:
            DEATHS[death](lambda: next(left, -1) == 0)
        warnings.simplefilter("error")  # no checkpoint may be found damaged
        said = json.dumps(trained(run, folder)).encode() + b"\n"
        while said:
            said = said[os.write(writing, said) :]
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def unreadable(folder: Path) -> list[str]:
    """Return the checkpoints of a folder that cannot be used; there must never be one."""
    from accelnn.errors import CheckpointError
    from accelnn.training.checkpoints.file_format import read_checkpoint
    from accelnn.training.checkpoints.folder import CheckpointFolder

    bad = []
    for found in CheckpointFolder(folder).files():
        try:
            read_checkpoint(found.path)
        except CheckpointError as error:
            bad.append(str(error))
    return bad


def newest_number(folder: Path) -> int:
    """Return the number of the newest checkpoint, 0 if there is none."""
    from accelnn.training.checkpoints.folder import CheckpointFolder

    files = CheckpointFolder(folder).files()
    return files[0].number if files else 0


class Tally:
    """What has happened so far."""

    def __init__(self) -> None:
        self.deaths: Counter[str] = Counter()
        self.finished = self.lost = self.corrupt = 0
        self.complaints: list[str] = []

    def kill(self, victim: Victim) -> bool:
        """Let a victim live once more; return whether its run is over."""
        before = newest_number(victim.folder)
        death, result = victim.attempt()
        bad = unreadable(victim.folder)
        self.corrupt += len(bad)
        self.complaints += bad
        if death not in ("finished", "failed"):
            self.deaths[death] += 1
        if newest_number(victim.folder) < before or death == "failed":
            self._lose(f"{victim.run.name}: {death}, and the newest checkpoint was {before}")
        if result is None:
            return False
        self.finished += 1
        if result != victim.expected:
            names = [name for name, value in result.items() if value != victim.expected[name]]
            self._lose(f"{victim.run.name}: not the {', '.join(names)} of a run that was never killed")
        return True

    def _lose(self, complaint: str) -> None:
        self.lost += 1
        self.complaints.append(complaint)

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        kills = {"kills": self.deaths.total(), "inside_a_write": self.deaths.total() - self.deaths["any_moment"]}
        return {**kills, "runs_finished": self.finished, "lost": self.lost, "corrupt": self.corrupt}


def main() -> int:
    """Kill as often as asked; return 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often to kill (default: 200)")
    parser.add_argument("--runs", type=int, default=len(RUNS), help="how many of the runs to take (default: all)")
    parser.add_argument("--seed", type=int, default=None, help="of the moments; the default is a new one")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    start_s = time.perf_counter()
    tally = _killed(options.kills, RUNS[: options.runs], random.Random(seed))
    for complaint in tally.complaints:
        print(complaint, file=sys.stderr)
    took_s = round(time.perf_counter() - start_s, 1)
    print(json.dumps({**tally.summary(), "deaths": dict(tally.deaths), "seed": seed, "elapsed_s": took_s}))
    return 1 if tally.complaints or not tally.finished else 0


def _killed(kills: int, runs: tuple[Run, ...], rng: random.Random) -> Tally:
    """Kill so often, and then let the last run come to its end."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        victims = [Victim(run, Path(scratch) / str(i), rng) for i, run in enumerate(runs)]
        while tally.deaths.total() < kills or not tally.finished:
            for victim in victims:
                while not tally.kill(victim):
                    if len(tally.complaints) > 20:
                        return tally
                shutil.rmtree(victim.folder)
    return tally


if __name__ == "__main__":
    sys.exit(main())
