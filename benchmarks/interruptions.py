"""Interrupt trainings while their code is compiled, at random moments, each in a process with an empty cache.

    python -m benchmarks.interruptions --tries 100

Every other try is Ctrl-C, the others are a signal whose handler calls ``sys.exit``. Counted are those that ended the
training at once, those that came too late, and what must not happen: signals that were lost and other errors, each with
what the program printed. Behind that the same process trains once more, and has to find the same weights as ever.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

from benchmarks.work import QUICK

LOST_S = 0.5
"""A training that ends well so long after the signal did not notice it."""


def train_interrupted() -> None:
    """The program that is interrupted: say "ready", train, say how it ended, wait for a line, train once more."""
    import accelnn

    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells take from programs in the background
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    warnings.simplefilter("ignore")
    print("ready", flush=True)
    try:
        ending = "interrupted" if _history(accelnn).interrupted else "finished"
        _ignore_signals()
    except (KeyboardInterrupt, SystemExit) as error:
        ending = type(error).__name__
    except BaseException as error:
        ending = f"failed: {error!r}"
    _ignore_signals()
    print(ending, flush=True)
    sys.stdin.readline()
    print(_history(accelnn)["val_loss"][-1], flush=True)


def _history(accelnn: object) -> object:
    import numpy as np

    x, y = np.random.default_rng(0).normal(size=(200, 6)), np.arange(200) % 3
    model = accelnn.Sequential([accelnn.Dense(8, "tanh"), accelnn.Dense(3, "softmax")], seed=0, backend="cpu")
    return model.fit(x, y, epochs=2, validation_split=0.2, verbose=0, runner="compiled", threads=1)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class Try:
    """One process: ``ending`` is how its training ended after ``seconds``, ``loss`` what the next one found."""

    def __init__(self, number: int, after_s: float | None) -> None:
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ if QUICK else {**os.environ, "ACCELNN_CACHE_DIR": cache}
            command = [sys.executable, "-m", "benchmarks.interruptions", "--child"]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
                self._run(process, number, after_s)

    def _run(self, process: subprocess.Popen[str], number: int, after_s: float | None) -> None:
        process.stdout.readline()
        began_s = sent_s = time.perf_counter()
        if after_s is not None:
            time.sleep(after_s)
            sent_s = time.perf_counter()
            process.send_signal(number)
        self.ending = process.stdout.readline().strip()
        self.seconds = time.perf_counter() - began_s
        if after_s is not None and self.ending == "finished":
            self.ending = "lost" if time.perf_counter() - sent_s > LOST_S else "too late"
        output, errors = process.communicate("\n")
        self.loss = output.strip()
        self.said = errors[-2000:]


EXPECTED = {signal.SIGINT: ("interrupted", "too late"), signal.SIGTERM: ("SystemExit", "too late")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=2, help="processes that run at the same time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        train_interrupted()
        return 0
    whole, moments = Try(signal.SIGINT, None), random.Random(arguments.seed)
    plans = [
        ((signal.SIGINT, signal.SIGTERM)[i % 2], moments.uniform(0, whole.seconds)) for i in range(arguments.tries)
    ]
    with ThreadPoolExecutor(arguments.at_once) as pool:
        tries = list(pool.map(lambda plan: Try(*plan), plans))
    bad = [
        {"signal": number.name, "after_s": after_s, "ending": one.ending, "loss": one.loss, "said": one.said}
        for (number, after_s), one in zip(plans, tries, strict=True)
        if one.ending not in EXPECTED[number] or one.loss != whole.loss or one.said
    ]
    endings = collections.Counter(f"{number.name} {one.ending}" for (number, _), one in zip(plans, tries, strict=True))
    print(json.dumps({"compiles_s": round(whole.seconds, 2), "endings": endings, "bad": bad}, indent=2))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
