"""Every data set by its name: the one entry to the data floor."""

from __future__ import annotations

import logging
import math
import numbers
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from accelnn.data.csv import read_csv
from accelnn.data.dataset import Dataset, Rows, parted_dataset, split_dataset
from accelnn.data.digits import load_digits
from accelnn.data.files import as_path, existing_folder
from accelnn.data.idx import find_idx_files, read_idx
from accelnn.data.mnist import IMAGE_SETS, MissingDataError, image_set_files, load_image_set
from accelnn.data.npz import read_npz
from accelnn.data.planar import PLANAR_SETS, load_flower, load_planar
from accelnn.errors import invalid, unknown_name, wrong_type

logger = logging.getLogger("accelnn")


@dataclass(frozen=True)
class _Request:
    """The checked arguments of ``load_dataset``, less the name."""

    data_dir: str | os.PathLike[str] | None
    seed: int
    test_fraction: float
    download: bool


def load_dataset(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
    download: bool = True,
) -> Dataset:
    """Load a data set by its name.

    ``name`` is one of

    - ``mnist``, ``fashion-mnist``: from ``data_dir``, ``$ACCELNN_DATA_DIR``, the user's cache, or (unless
      ``download`` is False) two mirrors; x is uint8 ``(60000, 784)`` and ``(10000, 784)``;
    - ``digits``: scikit-learn's 1,797 pictures of 8 x 8;
    - ``auto``: ``mnist`` if it can be had, else ``digits``, and the log says so;
    - ``csv:PATH``, ``npz:PATH``, ``idx:DIR``: your files; see ``read_csv``, ``read_npz``, ``find_idx_files``;
    - ``flower``, ``circles``, ``moons``, ``blobs``, ``gaussian_quantiles``: 400 points in the plane.

    Where the source has no test part of its own, ``test_fraction`` (0..1) of the rows become it, chosen
    by ``seed`` (an integer >= 0), which also draws the points in the plane. At 0 or 1 all rows go to
    one part, in their own order. The flower is always the same 400 points, for training and for testing.

    Labels are int64 0..K-1, for a regression float64 ``(n, k)``; see ``Dataset`` and ``encode_targets``.

    Raises ``ArgumentError`` or ``ArgumentTypeError`` for an unusable argument, and ``DataError`` if files
    are missing, damaged or hold something else.
    """
    if not isinstance(name, str):
        raise wrong_type("name", name, "use the name of a data set, e.g. 'mnist'")
    request = _checked(data_dir, seed, test_fraction, download)
    kind, colon, path = name.partition(":")
    if colon and kind in _FILE_KINDS:
        if not path:
            raise invalid("name", name, f"put a path after the colon, e.g. {kind}:data/my_{kind}")
        return _FILE_KINDS[kind](str(as_path("path", path)), request)
    if name not in _NAMED:
        raise unknown_name("name", name, dataset_names())
    return _NAMED[name](name, request)


def dataset_files(name: str, data_dir: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Return the files that ``load_dataset`` would read for one of its names; none for data that are in no file."""
    kind, colon, path = name.partition(":")
    if colon and kind == "idx":
        found = find_idx_files(path)
        return (*found.train, *(found.test or ()))
    if colon:
        return (as_path("name", path),)
    image_set = IMAGE_SETS.get("mnist" if name == "auto" else name)
    return () if image_set is None else image_set_files(image_set, data_dir)


def dataset_names() -> tuple[str, ...]:
    """Return the names that ``load_dataset`` knows, those with a path as ``csv:PATH``."""
    return (*_NAMED, "csv:PATH", "npz:PATH", "idx:DIR")


def _checked(data_dir: str | os.PathLike[str] | None, seed: int, test_fraction: float, download: bool) -> _Request:
    if data_dir is not None:
        existing_folder("data_dir", data_dir)
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise wrong_type("seed", seed, "use an integer from 0 to 4294967295")
    if not 0 <= seed < 2**32:
        raise invalid("seed", seed, "use an integer from 0 to 4294967295")
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, numbers.Real):
        raise wrong_type("test_fraction", test_fraction, "use a number from 0 to 1")
    fraction = float(test_fraction)
    if math.isnan(fraction) or not 0 <= fraction <= 1:
        raise invalid("test_fraction", test_fraction, "use a number from 0 to 1")
    if not isinstance(download, bool):
        raise wrong_type("download", download, "use True or False")
    return _Request(data_dir, int(seed), fraction, download)


def _load_images(name: str, request: _Request) -> Dataset:
    return load_image_set(IMAGE_SETS[name], data_dir=request.data_dir, download=request.download)


def _load_auto(_: str, request: _Request) -> Dataset:
    try:
        return _load_images("mnist", request)
    except MissingDataError as missing:
        logger.warning("using scikit-learn's digits instead of mnist: %s", missing)
        return _load_digits("digits", request)


def _load_digits(_: str, request: _Request) -> Dataset:
    return load_digits(seed=request.seed, test_fraction=request.test_fraction)


def _load_planar(name: str, request: _Request) -> Dataset:
    return load_planar(name, seed=request.seed, test_fraction=request.test_fraction)


def _load_csv(path: str, request: _Request) -> Dataset:
    table = read_csv(path)
    assert table.y is not None
    return split_dataset(
        Path(path).stem,
        Rows(table.x, table.y),
        test_fraction=request.test_fraction,
        seed=request.seed,
        source=path,
        feature_names=table.feature_names,
    )


def _load_npz(path: str, request: _Request) -> Dataset:
    arrays = read_npz(path)
    if "x_test" in arrays:
        train = Rows(arrays["x_train"], arrays["y_train"])
        return parted_dataset(Path(path).stem, train, Rows(arrays["x_test"], arrays["y_test"]), source=path)
    x, y = arrays.values()
    return _split(path, Rows(x, y), request)


def _load_idx(path: str, request: _Request) -> Dataset:
    found = find_idx_files(path)
    train = Rows(*(read_idx(file) for file in found.train))
    if found.test is None:
        return _split(path, train, request)
    return parted_dataset(Path(path).name, train, Rows(*(read_idx(file) for file in found.test)), source=path)


def _split(path: str, rows: Rows, request: _Request) -> Dataset:
    return split_dataset(Path(path).stem, rows, test_fraction=request.test_fraction, seed=request.seed, source=path)


_FILE_KINDS: dict[str, Callable[[str, _Request], Dataset]] = {
    "csv": _load_csv,
    "npz": _load_npz,
    "idx": _load_idx,
}

_NAMED: dict[str, Callable[[str, _Request], Dataset]] = {
    "auto": _load_auto,
    **dict.fromkeys(IMAGE_SETS, _load_images),
    "digits": _load_digits,
    "flower": lambda _name, _request: load_flower(),
    **dict.fromkeys(PLANAR_SETS, _load_planar),
}
