"""Models and data in memory that is not ours: ``python -m tests.fuzz.odd_arrays EXAMPLES SEED`` tries so many.

An example is a trained model that came by some way (a pickle, a file that joblib maps, weights that a user has set),
odd arrays of data, and calls that train or predict. An ordinary twin gets ordinary copies of the same numbers. Both
must come out alike, bit by bit, and whatever is not ours must be what it was. Each example is named before it runs, so
that the last line of a process that has died tells which one killed it.
"""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import joblib
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from accelnn import BatchNorm, Dense, MLPClassifier, MLPRegressor, Sequential

N_ROWS, N_FEATURES = 24, 5
MODES = ("r", "r+", "c")


class Example:
    """One example; ``folder`` is for its files, ``models`` for those of all.

    ``kept`` are arrays that are not ours with what is in them, ``files`` those that nobody may change.
    """

    _expected: ClassVar[dict[tuple[str, ...], list[Any]]] = {}

    def __init__(self, random: np.random.Generator, folder: Path, models: dict[str, Path]) -> None:
        self._random, self._folder = random, folder
        self._numbers = itertools.count()
        self.kept: list[tuple[np.ndarray, np.ndarray]] = []
        self.files: list[tuple[Path, bytes]] = []
        self.kind = str(random.choice(list(models)))
        self._file = models[self.kind]
        self._blob = self._file.with_suffix(".pickle").read_bytes()
        self.way = str(random.choice(list(WAYS)))
        self.calls = [str(call) for call in random.choice(list(CALLS), size=random.integers(1, 3))]
        self.oddities = [str(name) for name in random.choice([*ODDITIES, "windows"], size=3)]
        # Estimators compute with other types than native float32 in float64, as scikit-learn's do.
        self.dtype = "float64" if self.oddities[0] == "big-endian" else str(random.choice(["float32", "float64"]))

    def __str__(self) -> str:
        return f"{self.kind}, {self.way}, {' then '.join(self.calls)}, x y w {self.oddities}, {self.dtype}"

    def run(self) -> None:
        """Raise AssertionError if the model differs from its twin, or if something was changed that is not ours."""
        model = WAYS[self.way](self)
        self.keep(*_weights(model))
        data = self._data()
        key = self.kind, self.dtype, *self.calls
        if key not in self._expected:
            self._expected[key] = self._of_twin(data)
        results = [CALLS[call](model, *data) for call in self.calls]
        for mine, theirs in zip([*results, *_weights(model)], self._expected[key], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for array, values in self.kept:
            np.testing.assert_array_equal(array, values)
        for path, content in self.files:
            assert path.read_bytes() == content, f"{path.name} was written to"

    def _of_twin(self, data: list[np.ndarray]) -> list[Any]:
        """Return what the calls return, and the weights after them, of an ordinary model with ordinary data."""
        twin = pickle.loads(self._blob)
        ordinary = [np.array(array, array.dtype.newbyteorder("="), order="C") for array in data]
        return [*[CALLS[call](twin, *ordinary) for call in self.calls], *_weights(twin)]

    def original(self) -> Any:
        """Return the model as its user has it; its arrays must stay what they are."""
        model = pickle.loads(self._blob)
        self.keep(*_weights(model))
        return model

    def mapped_model(self, mode: str) -> Any:
        """Return the model as joblib maps it from its file."""
        self.files.append((self._file, self._file.read_bytes()))
        return joblib.load(self._file, mmap_mode=mode)

    def keep(self, *arrays: np.ndarray) -> None:
        """Remember what is in some arrays."""
        self.kept += [(array, array.copy()) for array in arrays]

    def odd(self, array: np.ndarray, oddity: str | None = None) -> np.ndarray:
        """Return the same numbers in odd memory."""
        result = ODDITIES[oddity or str(self._random.choice(list(ODDITIES)))](self, array)
        self.keep(result)
        return result

    def mapped(self, array: np.ndarray, mode: str) -> np.ndarray:
        """Return the same numbers in a file."""
        path = self._folder / f"array-{next(self._numbers)}"
        path.write_bytes(array.tobytes())
        self.files.append((path, array.tobytes()))
        return np.memmap(path, array.dtype, mode, shape=array.shape)

    def _data(self) -> list[np.ndarray]:
        """Return inputs, targets and weights; where all are windows, they are views of each other's memory."""
        signal = np.random.default_rng(0).normal(size=N_ROWS + N_FEATURES).astype(self.dtype)
        windows = sliding_window_view(signal, N_FEATURES)[:N_ROWS]
        targets = signal[N_FEATURES:] if "Regressor" in self.kind else (signal[N_FEATURES:] > 0).astype(np.int64)
        amounts = sliding_window_view(np.abs(signal) + 0.1, N_FEATURES)[:N_ROWS, 0]
        self.keep(signal)
        pairs = zip((windows, targets, amounts), self.oddities, strict=True)
        return [array if name == "windows" else self.odd(array, name) for array, name in pairs]


def _read_only(array: np.ndarray) -> np.ndarray:
    result = array.copy()
    result.flags.writeable = False
    return result


def _within(array: np.ndarray, part: tuple[slice, ...], room: tuple[int, ...]) -> np.ndarray:
    result = np.zeros(room, array.dtype)[part]
    result[...] = array
    return result


def _unaligned(array: np.ndarray) -> np.ndarray:
    result = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


ODDITIES: dict[str, Callable[[Example, np.ndarray], np.ndarray]] = {
    "ordinary": lambda example, array: array.copy(),
    "read-only": lambda example, array: _read_only(array),
    "Fortran": lambda example, array: np.array(array, order="F"),
    "backwards": lambda example, array: array[::-1].copy()[::-1],
    "every second row": lambda example, array: _within(
        array, (slice(None, None, 2),), (2 * len(array), *array.shape[1:])
    ),
    "columns of a table": lambda example, array: _within(
        array, (..., slice(1, -1)), (*array.shape[:-1], array.shape[-1] + 2)
    ),
    "unaligned": lambda example, array: _unaligned(array),
    "big-endian": lambda example, array: array.astype(array.dtype.newbyteorder(">")),
} | {f"mapped {mode}": lambda example, array, mode=mode: example.mapped(array, mode) for mode in MODES}  # type: ignore[misc]


def _with_odd_weights(example: Example) -> Any:
    model = pickle.loads(example._blob)
    if isinstance(model, Sequential):
        model.set_weights([example.odd(array) for array in model.get_weights()])
        return model
    model.coefs_ = [example.odd(array) for array in model.coefs_]
    model.intercepts_ = [example.odd(array) for array in model.intercepts_]
    return model


WAYS: dict[str, Callable[[Example], Any]] = {
    "pickle": lambda example: pickle.loads(pickle.dumps(example.original())),
    "deepcopy": lambda example: copy.deepcopy(example.original()),
    "copy": lambda example: copy.copy(example.original()),
    "odd weights": _with_odd_weights,
} | {f"joblib {mode}": lambda example, mode=mode: example.mapped_model(mode) for mode in MODES}  # type: ignore[misc]


def _fit(model: Any, x: Any, y: Any, w: Any) -> Any:
    if isinstance(model, Sequential):
        return model.fit(x, y, sample_weight=w, epochs=2, batch_size=8, verbose=0)["loss"]
    return model.fit(x, y, w).loss_


def _partial_fit(model: Any, x: Any, y: Any, w: Any) -> Any:
    done = model.partial_fit(x, y, sample_weight=w)
    return done if isinstance(model, Sequential) else done.loss_


def _warm_fit(model: Any, x: Any, y: Any, w: Any) -> Any:
    return _fit(model if isinstance(model, Sequential) else model.set_params(warm_start=True), x, y, w)


def _score(model: Any, x: Any, y: Any, w: Any) -> Any:
    if isinstance(model, Sequential):
        return list(model.evaluate(x, y, metrics="accuracy", sample_weight=w).values())
    return model.score(x, y, w)


def _outputs(model: Any, x: Any, y: Any, w: Any) -> Any:
    return getattr(model, "predict_proba", model.predict)(x)


CALLS: dict[str, Callable[..., Any]] = {
    "fit": _fit,
    "partial_fit": _partial_fit,
    "warm fit": _warm_fit,
    "score": _score,
    "predict": lambda model, x, y, w: model.predict(x),
    "outputs": _outputs,
}


def _weights(model: Any) -> list[np.ndarray]:
    """Return the arrays of a model that a user may hold; for estimators they include the moments."""
    if isinstance(model, Sequential):
        return list(model.get_weights())
    return [*model.coefs_, *model.intercepts_, *model._solver.moments]


def _models() -> Iterator[tuple[str, Any]]:
    small = {"hidden_layer_sizes": (4,), "batch_size": 8, "max_iter": 2, "random_state": 0}
    yield "MLPClassifier, adam", MLPClassifier(**small)
    yield "MLPClassifier, momentum", MLPClassifier(solver="sgd", learning_rate="adaptive", dtype="float64", **small)
    yield "MLPRegressor, rmsprop", MLPRegressor(optimizer="rmsprop", **small)
    yield "MLPRegressor, held out", MLPRegressor(early_stopping=True, validation_fraction=0.2, **small)
    layers = [Dense(4, "relu"), BatchNorm(), Dense(2, "softmax")]
    yield "Sequential", Sequential(layers, n_in=N_FEATURES, seed=0, backend="cpu")


def _prepared(folder: Path) -> dict[str, Path]:
    """Train the models, and write them to files."""
    files, random = {}, np.random.default_rng(0)
    x, labels = random.normal(size=(N_ROWS, N_FEATURES)), np.arange(N_ROWS) % 2
    for number, (kind, model) in enumerate(_models()):
        _fit(model, x, labels if "Regressor" not in kind else x[:, 0], np.ones(N_ROWS))
        files[kind] = folder / f"model-{number}.joblib"
        joblib.dump(model, files[kind])
        files[kind].with_suffix(".pickle").write_bytes(pickle.dumps(model))
    return files


def run_examples(n: int, seed: int) -> None:
    """Run so many examples in this process; what is raised first names the example in a note."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = _prepared(folder)
        for number in range(n):
            example = Example(np.random.default_rng([seed, number]), folder, models)
            print(f"example {number} of seed {seed}: {example}", flush=True)
            example.run()


COMMAND = [sys.executable, "-X", "faulthandler", "-u", "-m", "tests.fuzz.odd_arrays"]
ROOT = Path(__file__).parents[2]


def explore(n: int, seed: int = 0, processes: int = 2) -> list[str]:
    """Run so many examples in some processes side by side; return what went wrong, a text for each that failed."""
    command = [*COMMAND, str(-(-n // processes))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        logs = [Path(name) / str(number) for number in range(processes)]
        files = [stack.enter_context(log.open("w")) for log in logs]
        options: dict[str, Any] = {"stderr": subprocess.STDOUT, "env": environment, "cwd": ROOT}
        children = [
            subprocess.Popen([*command, str(seed + number)], stdout=file, **options)
            for number, file in enumerate(files)
        ]
        codes = [child.wait() for child in children]
        return [log.read_text()[-4000:] for log, code in zip(logs, codes, strict=True) if code != 0]


if __name__ == "__main__":
    run_examples(int(sys.argv[1]), int(sys.argv[2]))
