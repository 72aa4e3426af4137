"""Estimators beside scikit-learn's: seconds of the same fit, in turn in one process, and scores over seeds."""

from __future__ import annotations

import argparse
import json
import pathlib
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import accelnn
from benchmarks import interleave
from benchmarks.estimator_cases import CLASSIFIER, ScoreCase, SpeedCase, score_cases, speed_cases
from benchmarks.programs import aligned
from benchmarks.record import describe_run
from benchmarks.report import LOSS_TOLERANCE, spread

LIBRARIES: dict[str, Any] = {"accelnn": accelnn, "scikit-learn": neural_network}
SCORES = "scores-"
"""What names of comparisons of scores begin with, to tell them from fits of the same data that are timed."""

WARM_UP = 1
"""Rounds that do not count: kernels are compiled, or loaded."""

Summary = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    speeds, scores = speed_cases(options.data), score_cases()
    results: dict[str, dict[str, Summary]] = {"speed": {}, "scores": {}}
    for name in options.only:
        if name in speeds:
            results["speed"][name] = speed_summary(speeds[name], timed_fits(speeds[name], options.rounds))
            _show(speed_lines({name: results["speed"][name]})[-1:])
        else:
            subject = name.removeprefix(SCORES)
            results["scores"][subject] = score_summary(seed_scores(scores[subject], options.seeds))
            _show(score_lines({name: results["scores"][subject]})[-1:])
    _show(["", *speed_lines(results["speed"]), "", *score_lines(results["scores"])])
    if options.out is not None:
        write(options, results)


def new_estimator(library: str, estimator: str, parameters: Mapping[str, Any], seed: int) -> Any:
    """Return an estimator of a library that begins as that of the other library with the same seed does."""
    return getattr(LIBRARIES[library], estimator)(**parameters, random_state=seed)


def timed_fits(case: SpeedCase, rounds: int) -> dict[str, list[Summary]]:
    """Return for both libraries, round by round, ``fit_s`` (seconds of a fit), ``loss`` and ``n_iter`` at its end."""
    x, y = case.load()
    turns: dict[str, list[Summary]] = {name: [] for name in LIBRARIES}
    for round_number in range(WARM_UP + rounds):
        for library, kept in turns.items():
            time.sleep(interleave.SETTLE_S)
            estimator = new_estimator(library, case.estimator, case.parameters, round_number)
            start_s = time.perf_counter()
            for _ in range(case.fits):
                _fit(estimator, x, y)
            fit_s = (time.perf_counter() - start_s) / case.fits
            if round_number >= WARM_UP:
                kept.append({"fit_s": fit_s, "loss": float(estimator.loss_), "n_iter": int(estimator.n_iter_)})
    return turns


def speed_summary(case: SpeedCase, turns: Mapping[str, list[Summary]]) -> Summary:
    """Return median, minimum and maximum of the seconds and of the ratios within a round, the goal, and all turns."""
    ours, theirs = turns.values()
    ratios = [their["fit_s"] / own["fit_s"] for own, their in zip(ours, theirs, strict=True)]
    ratio = spread(ratios)
    return {
        "fit_s": {library: spread([turn["fit_s"] for turn in kept]) for library, kept in turns.items()},
        "ratio": ratio,
        "goal": case.goal,
        "reached": None if case.goal is None else ratio[0] >= case.goal,
        "agree": all(_agree(own, their) for own, their in zip(ours, theirs, strict=True)),
        "turns": dict(turns),
    }


def seed_scores(case: ScoreCase, seeds: int) -> dict[str, list[float]]:
    """Return for both libraries the score on a quarter of the rows, held out and drawn anew for each seed."""
    x, y = case.load()
    scores: dict[str, list[float]] = {name: [] for name in LIBRARIES}
    for seed in range(seeds):
        stratify = y if case.estimator == CLASSIFIER else None
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=seed, stratify=stratify)
        for library, kept in scores.items():
            estimator = new_estimator(library, case.estimator, case.parameters, seed)
            pipeline = make_pipeline(StandardScaler(), estimator)
            _fit(pipeline, x_train, y_train)
            kept.append(float(pipeline.score(x_test, y_test)))
    return scores


def score_summary(scores: Mapping[str, list[float]]) -> Summary:
    """Return mean and standard deviation of both, the largest difference of a seed, and all scores."""
    ours, theirs = scores.values()
    return {
        "mean": {library: mean(kept) for library, kept in scores.items()},
        "std": {library: stdev(kept) if len(kept) > 1 else 0.0 for library, kept in scores.items()},
        "largest_difference": max(abs(own - their) for own, their in zip(ours, theirs, strict=True)),
        "scores": dict(scores),
    }


def speed_lines(results: Mapping[str, Summary]) -> list[str]:
    """Return a table of the fits: seconds of both, and how many times as fast as scikit-learn accelnn is."""
    rows = []
    for name, result in results.items():
        times = [f"{result['fit_s'][library][0]:.4f}" for library in LIBRARIES]
        middle, lowest, highest = result["ratio"]
        goal = "-" if result["goal"] is None else f"{result['goal']:.2f} {'yes' if result['reached'] else 'NO'}"
        losses = "agree" if result["agree"] else "DIFFER"
        rows.append((name, *times, f"{middle:.2f} ({lowest:.2f}..{highest:.2f})", goal, losses))
    heads = ("seconds of a fit", *LIBRARIES, "times as fast", "goal", "epochs, losses")
    return aligned(heads, rows) if rows else []


def score_lines(results: Mapping[str, Summary]) -> list[str]:
    """Return a table of the scores: accuracies, or R^2 of regressions."""
    rows = []
    for name, result in results.items():
        cells = [f"{result['mean'][library]:.4f} +- {result['std'][library]:.4f}" for library in LIBRARIES]
        n_seeds = len(next(iter(result["scores"].values())))
        rows.append((name, *cells, f"{result['largest_difference']:.4f}", n_seeds))
    return aligned(("score of held-out rows", *LIBRARIES, "largest difference", "seeds"), rows) if rows else []


def write(options: argparse.Namespace, results: Mapping[str, Any]) -> None:
    """Write the results, and what has to be known about the run, as JSON where --out says."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document = {**describe_run(), "command": command_of(options), "results": results}
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print("written to", options.out)


def command_of(options: argparse.Namespace) -> str:
    """Return the command line that repeats a run, without --out."""
    words = ["--rounds", options.rounds, "--seeds", options.seeds, "--data", options.data]
    only = [] if options.only == names() else ["--only", ",".join(options.only)]
    return " ".join(map(str, ["python -m benchmarks.estimators", *only, *words]))


def names() -> list[str]:
    """Return the names that --only knows, in the order in which they run."""
    return [*speed_cases(), *(SCORES + name for name in score_cases())]


def _fit(estimator: Any, x: Any, y: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is limited on purpose
        estimator.fit(x, y)


def _agree(own: Summary, their: Summary) -> bool:
    near = abs(own["loss"] - their["loss"]) <= LOSS_TOLERANCE * max(abs(their["loss"]), 1e-3)
    return near and own["n_iter"] == their["n_iter"]


def _show(lines: Iterable[str]) -> None:
    print("\n".join(lines), flush=True)


def _known(text: str) -> list[str]:
    chosen = text.split(",")
    for name in chosen:
        if name not in names():
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(names())}")
    return chosen


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimators", description=__doc__)
    parser.add_argument("--only", type=_known, default=names(), metavar="NAME,...", help=", ".join(names()))
    parser.add_argument("--rounds", type=_positive, default=7, help="rounds of each fit that count, default 7")
    parser.add_argument("--seeds", type=_positive, default=10, help="seeds of the scores, default 10")
    parser.add_argument("--data", default="mnist", choices=["mnist", "synthetic"])
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="where the JSON goes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
