"""One contender in a process of its own: reads the number of a round per line, answers with a line of JSON."""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS, Unavailable
from benchmarks.process import one_line, serve_answers
from benchmarks.work import Work, load_rows


def main(contender: str, work: Work) -> None:
    answer = serve_answers()
    try:
        run = prepared(contender, work)
        for line in sys.stdin:
            answer(timed_round(run, work, int(line)))
    except Unavailable as reason:
        answer({"failed": str(reason)})
    except Exception as error:  # whatever a library raises is why its contender is skipped
        traceback.print_exc()
        answer({"failed": one_line(error)})


def prepared(contender: str, work: Work) -> Callable[[np.ndarray], np.ndarray]:
    """Return the contender's function that trains a round."""
    peer = CONTENDERS[contender]
    module = importlib.import_module(f"benchmarks.contenders.{peer.module}")
    run: Callable[[np.ndarray], np.ndarray] = module.prepare(work, *load_rows(work.data), peer.device)
    return run


def timed_round(run: Callable[[np.ndarray], np.ndarray], work: Work, round_number: int) -> dict[str, Any]:
    """Train a round; return its time, its rate and the mean of its losses."""
    order = work.order(round_number)
    start_s = time.perf_counter()
    losses = run(order)
    elapsed_s = time.perf_counter() - start_s
    return {"elapsed_s": elapsed_s, "samples_per_s": work.n_rows / elapsed_s, "mean_loss": float(np.mean(losses))}


if __name__ == "__main__":
    main(sys.argv[1], Work.from_json(sys.argv[2]))
