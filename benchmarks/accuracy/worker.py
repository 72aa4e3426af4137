"""One contender in a process of its own: reads a seed and a number of epochs per line, answers after every epoch."""

from __future__ import annotations

import importlib
import sys
import traceback

from benchmarks.accuracy import TARGETS, AfterEpoch, load_data
from benchmarks.process import Answer, one_line, serve_answers


def main(contender: str) -> None:
    answer = serve_answers()
    try:
        train = importlib.import_module(f"benchmarks.accuracy.{contender}").prepare(load_data())
        for line in sys.stdin:
            seed, epochs = (int(word) for word in line.split())
            train(seed, reporter(answer, epochs))
            answer({"done": True})
    except Exception as error:  # whatever a library raises is why its contender is skipped
        traceback.print_exc()
        answer({"failed": one_line(error)})


def reporter(answer: Answer, epochs: int) -> AfterEpoch:
    """Return a function that reports the accuracy, and true at the last target or after so many epochs."""
    done = 0

    def after_epoch(accuracy: float) -> bool:
        nonlocal done
        done += 1
        answer({"accuracy": accuracy})
        return accuracy >= max(TARGETS) or done >= epochs

    return after_epoch


if __name__ == "__main__":
    main(sys.argv[1])
