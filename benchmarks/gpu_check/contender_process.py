"""One contender for many works, in a process of its own: starting a library takes longer than most works.

A line in is JSON: {"work": ...} prepares a work (and forgets the one before), {"round": 3} trains a round of it. A line
of JSON comes back; {"failed": reason} means that this work cannot go on, not that the process is gone.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS, Peer, Unavailable
from benchmarks.gpu_check import compatibility  # noqa: F401  before any contender imports numba-cuda
from benchmarks.process import one_line, serve_answers
from benchmarks.work import Work, load_rows

FIRST_LOSSES = 16
"""So many losses of steps are told, for comparing contenders that train different numbers of steps."""


def peer_on(name: str, device: str) -> Peer:
    """Return the contender as it is started on "cuda", or for a trial on "cpu"."""
    peer = CONTENDERS[name]
    if device == "cuda":
        return peer
    return dataclasses.replace(peer, device="cpu", package=peer.package.replace("cupy", "numpy"))


class Server:
    """Holds the present work of a contender."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._run: Callable[[np.ndarray], np.ndarray] | None = None
        self._work: Work | None = None

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one line."""
        if "work" in question:
            return self._prepare(Work.from_json(json.dumps(question["work"])))
        return self._train(int(question["round"]))

    def _prepare(self, work: Work) -> dict[str, Any]:
        start_s = time.perf_counter()
        self._run = None
        gc.collect()  # graphs and buffers of the work before
        if work.data not in self._rows:
            self._rows = {work.data: load_rows(work.data)}
        module = importlib.import_module(f"benchmarks.contenders.{self._peer.module}")
        self._run, self._work = module.prepare(work, *self._rows[work.data], self._peer.device), work
        return {"prepared_s": time.perf_counter() - start_s}

    def _train(self, number: int) -> dict[str, Any]:
        assert self._run is not None
        assert self._work is not None
        order = self._work.order(number)
        start_s = time.perf_counter()
        losses = np.ravel(self._run(order))
        elapsed_s = time.perf_counter() - start_s
        return {
            "elapsed_s": elapsed_s,
            "us_per_step": 1e6 * elapsed_s / self._work.n_steps,
            "samples_per_s": self._work.n_rows / elapsed_s,
            "mean_loss": float(np.mean(losses)),
            "first_losses": [float(loss) for loss in losses[:FIRST_LOSSES]],
        }


def main(name: str, device: str) -> None:
    answer = serve_answers()
    server = Server(peer_on(name, device))
    for line in sys.stdin:
        try:
            answer(server.answer(json.loads(line)))
        except Unavailable as reason:
            answer({"failed": str(reason)})
        except Exception as error:  # whatever a library raises is why its contender is left out of this work
            traceback.print_exc()
            answer({"failed": one_line(error)})


if __name__ == "__main__":
    main(*sys.argv[1:3])
