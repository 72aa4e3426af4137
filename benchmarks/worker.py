"""One contender in a process of its own: reads the number of a round per line, answers with a line of JSON."""

from __future__ import annotations

import importlib
import json
import sys
import time

from benchmarks.work import Work, load_mnist


def main(contender: str, batch_size: int, optimizer: str) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not mix with the answers
    work = Work(batch_size, optimizer)
    run = importlib.import_module(f"benchmarks.contenders.{contender}").prepare(work, *load_mnist())
    for line in sys.stdin:
        order = work.order(int(line))
        start_s = time.perf_counter()
        losses = run(order)
        elapsed_s = time.perf_counter() - start_s
        answer = {"elapsed_s": elapsed_s, "samples_per_s": work.n_rows / elapsed_s, "mean_loss": float(losses.mean())}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
