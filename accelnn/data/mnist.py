"""MNIST and Fashion-MNIST: found on the disk or downloaded, and believed only by their SHA-256."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelnn.data.dataset import Dataset, Rows, parted_dataset
from accelnn.data.download import download as download_file
from accelnn.data.files import as_path, existing_folder
from accelnn.data.idx import read_idx
from accelnn.errors import DataError

logger = logging.getLogger("accelnn")

# Data that cannot be compressed grow by less than this.
_GZIP_OVERHEAD_BYTES = 1 << 16


class MissingDataError(DataError):
    """The files of a data set are neither on this machine nor to be had from its mirrors."""


class _ChecksumError(DataError):
    def __init__(self, message: str, digest: str) -> None:
        super().__init__(message)
        self.digest = digest


@dataclass(frozen=True)
class IdxFile:
    """One file: its unpacked name, shape of the uint8 values, and SHA-256 of the unpacked content."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def limit_bytes(self) -> int:
        """Unpacked size in bytes: 4 of magic, 4 per dimension, and the values."""
        return 4 + 4 * len(self.shape) + int(np.prod(self.shape))


@dataclass(frozen=True)
class ImageSet:
    """Pictures and labels in four IDX files: training images and labels, test images and labels."""

    name: str
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    mirrors: tuple[str, ...]
    subfolders: tuple[str, ...]
    class_names: tuple[str, ...]


def _four_files(train: int, test: int, sha256: tuple[str, str, str, str]) -> Any:
    shapes = ((train, 28, 28), (train,), (test, 28, 28), (test,))
    names = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    return tuple(IdxFile(*parts) for parts in zip(names, shapes, sha256, strict=True))


# LeCun, Cortes and Burges, 1998.
MNIST = ImageSet(
    name="mnist",
    files=_four_files(
        60_000,
        10_000,
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    subfolders=("mnist", "MNIST/raw"),
    class_names=tuple("0123456789"),
)

# Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset", arXiv:1708.07747, 2017. The publisher
# and torchvision list the MD5 of the .gz files; these are the SHA-256 of what is inside them, as several
# public projects list them. Those of the labels were computed again from files with the listed MD5.
FASHION_MNIST = ImageSet(
    name="fashion-mnist",
    files=_four_files(
        60_000,
        10_000,
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    mirrors=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    subfolders=("fashion-mnist", "FashionMNIST/raw"),
    class_names=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
)  # fmt: skip

IMAGE_SETS = {image_set.name: image_set for image_set in (MNIST, FASHION_MNIST)}


def load_image_set(
    image_set: ImageSet, *, data_dir: str | os.PathLike[str] | None = None, download: bool = True
) -> Dataset:
    """Return the pictures as uint8 rows (``scale`` 1/255) with int64 labels, in the original two parts.

    Each file is looked for, gzipped or not, in ``data_dir``, then in ``$ACCELNN_DATA_DIR``, then in the
    user's cache (``$ACCELNN_CACHE_DIR`` overrides where that is); in the first two, also in subfolders
    named after the set. What is not found is downloaded to the cache, unless ``download`` is False.

    Raises ``MissingDataError`` (a ``DataError``) that says where to put the files, and ``DataError`` if a
    folder does not exist or a file in it is damaged. A damaged file in the cache is downloaded again.
    """
    found = [_load_file(image_set, file, data_dir, download) for file in image_set.files]
    x_train, y_train, x_test, y_test = (array for array, _ in found)
    return parted_dataset(
        image_set.name,
        Rows(x_train, y_train),
        Rows(x_test, y_test),
        source=str(found[0][1].parent),
        scale=1 / 255,
        class_names=image_set.class_names,
    )


def image_set_files(image_set: ImageSet, data_dir: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Return all copies of the files of the set that ``load_image_set`` could find without a download."""
    folders = [*_given_folders(image_set, data_dir), _cache_folder() / image_set.name]
    return tuple(path for file in image_set.files for path in _copies(file, folders))


Found = tuple[npt.NDArray[Any], Path]


def _load_file(image_set: ImageSet, file: IdxFile, data_dir: str | os.PathLike[str] | None, download: bool) -> Found:
    for path in _copies(file, _given_folders(image_set, data_dir)):
        try:
            return _read_checked(file, path), path
        except _ChecksumError as error:
            # MNIST and Fashion-MNIST share their file names: the other one is not a damaged file.
            if error.digest not in _digests_of_others(image_set):
                raise
    return _load_cached(image_set, file, download)


def _load_cached(image_set: ImageSet, file: IdxFile, download: bool) -> Found:
    cache = _cache_folder() / image_set.name
    for path in _copies(file, [cache]):
        try:
            return _read_checked(file, path), path
        except DataError as error:
            if not download:
                raise
            logger.warning("%s; downloading it again", error)
    if not download:
        raise MissingDataError(_where_to_put(image_set, f"{file.name} is not on this machine"))
    path = _download(image_set, file, cache)
    return _read_checked(file, path), path


def _download(image_set: ImageSet, file: IdxFile, cache: Path) -> Path:
    try:
        return download_file(
            f"{file.name}.gz",
            image_set.mirrors,
            cache,
            limit_bytes=file.limit_bytes + _GZIP_OVERHEAD_BYTES,
            verify=lambda path: _read_checked(file, path),
        )
    except DataError as cause:
        raise MissingDataError(_where_to_put(image_set, str(cause))) from cause


def _where_to_put(image_set: ImageSet, problem: str) -> str:
    names = ", ".join(f"{file.name}.gz" for file in image_set.files)
    return (
        f"{image_set.name}: {problem}: put {names} into a folder DIR/{image_set.subfolders[0]} "
        "and name DIR as data_dir, --data-dir or ACCELNN_DATA_DIR"
    )


def _read_checked(file: IdxFile, path: Path) -> npt.NDArray[Any]:
    hasher = hashlib.sha256()
    array = read_idx(path, limit_bytes=file.limit_bytes, hasher=hasher)
    digest = hasher.hexdigest()
    if digest != file.sha256:
        raise _ChecksumError(
            f"{path}: the unpacked content has SHA-256 {digest}, not {file.sha256}: replace the file", digest
        )
    return array


def _digests_of_others(image_set: ImageSet) -> set[str]:
    others = (other for other in IMAGE_SETS.values() if other.name != image_set.name)
    return {file.sha256 for other in others for file in other.files}


def _copies(file: IdxFile, folders: Iterable[Path]) -> Iterator[Path]:
    paths = (folder / name for folder in folders for name in (file.name, f"{file.name}.gz"))
    return (path for path in paths if os.path.isfile(path))


def _given_folders(image_set: ImageSet, data_dir: str | os.PathLike[str] | None) -> Iterator[Path]:
    variable = "ACCELNN_DATA_DIR"
    for argument, value in (("data_dir", data_dir), (variable, os.environ.get(variable) or None)):
        if value is not None:
            root = existing_folder(argument, value)
            yield from (root / subfolder for subfolder in image_set.subfolders)
            yield root


def _cache_folder() -> Path:
    override = os.environ.get("ACCELNN_CACHE_DIR")
    if override:
        return as_path("ACCELNN_CACHE_DIR", override)
    import pooch

    return Path(pooch.os_cache("accelnn"))
