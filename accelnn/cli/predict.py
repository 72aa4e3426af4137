"""``accelnn predict``."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np

from accelnn.cli.failures import CommandError
from accelnn.cli.files import check_outputs, print_json
from accelnn.cli.models import SavedModel, describe, load_saved
from accelnn.data import read_csv, read_idx, read_npz_features
from accelnn.data.atomic_file import replace_file
from accelnn.data.dataset import feature_rows
from accelnn.data.files import as_path, existing_file
from accelnn.errors import DataError, ModelFileError, invalid
from accelnn.training.checkpoints.folder import CheckpointFolder

STANDARD_OUTPUT = "-"


def run_prediction(model_path: str, input_path: str, output_path: str, backend: str, as_json: bool) -> None:
    """Write the predictions for all rows of ``input_path`` to ``output_path`` and report on standard output.

    An ``output_path`` of ``-`` is standard output, which then has nothing else.
    """
    _check_output(model_path, input_path, output_path, as_json)
    saved = load_saved(model_path, backend)
    x = _checked_rows(input_path, saved)
    start_s = time.perf_counter()
    columns = _predictions(saved, x)
    _write(output_path, columns)
    elapsed_s = time.perf_counter() - start_s
    if output_path == STANDARD_OUTPUT:
        return
    if as_json:
        about = {"model": model_path, "input": input_path, "output": output_path}
        print_json({**about, **describe(saved), "rows": len(x), "elapsed_s": elapsed_s})
    else:
        print(f"predicted  {len(x):,} rows in {elapsed_s:.2f} s")
        print(f"saved      {output_path}")


def read_rows(path: str) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return rows (n, n_features) without labels, and the names of the features where the file has them.

    The content decides: a ZIP archive is NPZ, a gzipped or binary file IDX, anything else CSV. Raises DataError.
    """
    with existing_file(path).open("rb") as file:
        begin = file.read(6)
    if begin == b"\x93NUMPY":
        raise DataError(f"{path}: a single NumPy array: write it with numpy.savez(PATH, x=...)")
    if begin.startswith(b"PK"):
        return feature_rows(read_npz_features(path), path), None
    if begin.startswith((b"\0", b"\x1f\x8b")):
        return feature_rows(read_idx(path), path), None
    table = read_csv(path, labelled=False)
    return table.x, table.feature_names


def _checked_rows(path: str, saved: SavedModel) -> np.ndarray:
    x, names = read_rows(path)
    n_in = saved.model.n_in
    if x.shape[1] != n_in:
        hint = ": leave out the column with the labels" if x.shape[1] == n_in + 1 else ""
        raise DataError(f"{path}: it has {x.shape[1]} columns, and this model takes {n_in}{hint}")
    for position, (name, known) in enumerate(zip(names or (), saved.feature_names or (), strict=False), start=1):
        if name != known:
            raise DataError(f"{path}: column {position} is {name!r}, and this model takes {known!r} there")
    return x


def _check_output(model_path: str, input_path: str, output_path: str, as_json: bool) -> None:
    if output_path != STANDARD_OUTPUT:
        model, rows = as_path("MODEL", model_path), as_path("--input", input_path)
        folder = CheckpointFolder(model) if model.is_dir() else None
        check_outputs({"--output": output_path}, {"MODEL": [model], "--input": [rows]}, folder)
    elif as_json:
        raise invalid("--output", output_path, "leave out --json, it is for standard output too")


def _predictions(saved: SavedModel, x: np.ndarray) -> dict[str, Iterable[object]]:
    """Return the columns of the output by name."""
    model = saved.model
    if not saved.classifies:
        return _numbered("prediction", model.predict(x))
    probabilities = model.predict_proba(x)
    if model.output_activation == "sigmoid":
        return _numbered("prediction", probabilities.round().astype(int)) | _numbered("probability", probabilities)
    codes = probabilities.argmax(axis=1)
    names = saved.class_names or [str(code) for code in range(model.n_out)]
    return {"prediction": [names[code] for code in codes], "probability": probabilities.max(axis=1)}


def _numbered(name: str, values: np.ndarray) -> dict[str, Iterable[object]]:
    """Return the columns of ``values (n, k)``; a single one needs no number."""
    if values.shape[1] == 1:
        return {name: values[:, 0]}
    return {f"{name}_{number}": column for number, column in enumerate(values.T, start=1)}


def _write(path: str, columns: dict[str, Iterable[object]]) -> None:
    def write(file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        csv.writer(text, lineterminator="\n").writerows(_lines(columns))
        text.detach()  # writes the rest and leaves the file open

    if path == STANDARD_OUTPUT:
        if sys.stdout is not None:  # else it was closed by whoever began the process
            write(sys.stdout.buffer)
        return
    try:
        replace_file(path, write)
    except ModelFileError as error:  # the name was fine: the disk is not
        raise CommandError(str(error)) from error


def _lines(columns: dict[str, Iterable[object]]) -> Iterator[Iterable[object]]:
    yield columns.keys()
    yield from zip(*columns.values(), strict=True)
