"""What is fuzzed: a reader, files it should read, and how the bytes of a fuzzer become a file.

A file with a wrong checksum is refused before anything in it is looked at. So the bytes of a fuzzer mean the parts of
an archive or a checkpoint, which is built of them with the right checksums; those that begin with a zero are a whole
file as it is.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from accelnn import BatchNorm, Checkpoint, Dense, Dropout, Rescaling, Sequential, load_dataset, load_model
from accelnn.data import read_csv, read_idx, read_npz_features
from accelnn.data.dataset import feature_rows
from accelnn.errors import AccelnnError

SEPARATOR = b"\xff\x00\xff"
RAW = b"\0"
MAX_INPUT_BYTES = 8192


@dataclass(frozen=True)
class Target:
    """A reader: ``read`` gets the name of a file, ``built`` makes one of the parts of an input; None takes it as it is.

    ``seeds`` are inputs that are read without an error, ``tokens`` pieces that are worth trying.
    """

    read: Callable[[Path], Any]
    seeds: list[bytes]
    built: Callable[[list[bytes]], bytes] | None = None
    tokens: list[bytes] = field(default_factory=list)

    def content(self, data: bytes) -> bytes:
        """Return the content of the file that ``data`` means."""
        if self.built is None:
            return data
        return data[1:] if data.startswith(RAW) else self.built(data.split(SEPARATOR))

    def run(self, data: bytes, path: Path) -> str:
        """Read the file that ``data`` means and return what came of it; any error but accelnn's own goes through."""
        path.write_bytes(self.content(data))
        try:
            self.read(path)
        except AccelnnError as error:
            return f"{type(error).__name__}: {error}"
        return "read"


def _read_idx(path: Path) -> None:
    array = read_idx(path)
    assert array.size
    feature_rows(array, "here") if array.ndim > 1 else array.sum()


def _read_csv(path: Path) -> None:
    with contextlib.suppress(AccelnnError):  # text is a label and no feature
        assert np.isfinite(read_csv(path, labelled=False).x).all()
    data = load_dataset(f"csv:{path}")
    assert len(data.x_train) == len(data.y_train)


def _read_npz(path: Path) -> None:
    data = load_dataset(f"npz:{path}")
    assert np.isfinite(data.x_train).all()
    assert read_npz_features(path).size >= 0


def _read_model(path: Path) -> None:
    model = load_model(path, backend="cpu")
    if model.n_in < 10_000 and model.count_parameters() < 10_000:
        with np.errstate(all="ignore"):
            model.forward(np.zeros((1, model.n_in)), model.context())
        model.save(path)


def _resume(path: Path) -> None:
    """Take up a run from the file as its only checkpoint, to its end."""
    folder = path.with_name("run")
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    shutil.copyfile(path, folder / "checkpoint-000001.safetensors")
    load_model(folder, backend="cpu")
    with np.errstate(all="ignore"):
        _run(folder)


def _run(folder: Path, every: str = "100 epochs", keep: int = 1) -> None:
    model = Sequential([Dense(2, "relu"), BatchNorm(), Dense(2, "softmax")], n_in=3, seed=0, backend="cpu")
    checkpoint = Checkpoint(folder, every, keep, best=False)
    model.fit(X, Y, epochs=2, batch_size=2, runner="plain", verbose=0, checkpoint=checkpoint, resume=True)


def _archive(members: tuple[str, ...], parts: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in zip(members, parts, strict=False):
            archive.writestr(f"{name}.npy", part)
    return buffer.getvalue()


def _checkpoint(parts: list[bytes]) -> bytes:
    """Return a checkpoint of entries of arrays and a description, both as JSON, and the bytes of the arrays."""
    header, description, raw = (*parts, b"{}", b"{}", b"")[:3]
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, RecursionError):
        said = json.loads(description)
        said["arrays"] = {
            name: {**entry, "sha256": _digest(raw[slice(*entry["data_offsets"])])}
            for name, entry in json.loads(header).items()
        }
        description = json.dumps(said).encode()
    text = description.decode("utf-8", "replace")
    metadata = {"format": "accelnn-checkpoint", "description": text, "description_sha256": _digest(text.encode())}
    whole = b'{"__metadata__": ' + json.dumps(metadata).encode() + b"," + header.strip()[1:]
    return len(whole).to_bytes(8, "little") + whole + raw


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _idx(array: np.ndarray) -> bytes:
    codes = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    sizes = np.array(array.shape, ">u4").tobytes()
    return (
        bytes([0, 0, codes[array.dtype.name], array.ndim])
        + sizes
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array))
    return buffer.getvalue()


def _saved_parts(*layers: Any, **options: Any) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        Sequential(layers, **{"n_in": 3, "seed": 0, "backend": "cpu", **options}).save(path)
        with zipfile.ZipFile(path) as archive:
            return [archive.read(f"{name}.npy") for name in MODEL_MEMBERS]


def _kept_parts(epochs: int) -> list[bytes]:
    """Return the parts of a checkpoint after so many epochs of the run, out of 2."""
    with tempfile.TemporaryDirectory() as folder:
        _run(Path(folder), every="epoch", keep=9)
        raw = sorted(Path(folder).glob("*.safetensors"))[epochs - 1].read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    description = json.loads(header.pop("__metadata__")["description"])
    del description["arrays"]
    return [json.dumps(header).encode(), json.dumps(description).encode(), raw[8 + length :]]


MODEL_MEMBERS = ("description", "values", "state")
NPZ_MEMBERS = ("x", "y", "x_train", "y_train", "x_test", "y_test")
X = np.arange(12.0).reshape(4, 3)
Y = np.arange(4) % 2
_HEADER_TOKENS = [
    b"\x93NUMPY\x01\0", b"\x93NUMPY\x02\0", b"(2, 2)", b"[('a', '<f4')]", b"'shape': ",
    *b"'<f4' '|O' '|V0' '>i8' '<U3' '|S0' '<M8[s]' '<c8' '<f2' '<f16' (1099511627776,) (-1,) () (0,) True L".split(),
]  # fmt: skip
_JSON_TOKENS = [
    *b'"units" "class" "Dense" "BatchNorm" "LayerNorm" "Dropout" "Rescaling" "Activation" "config" "l1"'.split(),
    *b'"initializer" "name" "constant" "scale" "rate" "seed" "dtype" "float64" "\\ud800"'.split(),
    *b"NaN -Infinity 1e400 null true [] {} -1 0 999999999999999999999999999999".split(),
]


def _idx_target() -> Target:
    arrays = [np.arange(6, dtype="u1").reshape(2, 3), np.ones((2, 2, 2), "i2"), np.ones(3), np.ones(2, "i4")]
    packed = [gzip.compress(_idx(array)) for array in (arrays[0], np.zeros((40, 50), "u1"))]
    tokens = [b"\x1f\x8b\x08", b"\0\0\x0d\x02"]
    return Target(_read_idx, [*(_idx(array) for array in arrays), *packed], tokens=tokens)


def _csv_target() -> Target:
    texts = [
        "1,2,3\n0,4,5\n", "label,a,b\n1,2.5,3\n0,4,5e3\n", "cat,1,2\ndog,3,4\ncat,5,6\n", '"a ""b""",1\n"c",2\n',
        "1,255\r\n2,256\r\n", "\n\n0.5,1\n0.25,2", "\ufeff1,2\n2,3\n",
    ]  # fmt: skip
    tokens = b'nan inf 1e999 -0 _ # 1e-320 0x1 ,, " \0 \xff \xef\xbb\xbf \xd9\xa3 \xc2\x85'.split()
    tokens += [b"\r", b"\x0b", b"\x1c", b"9" * 400]
    return Target(_read_csv, [text.encode() for text in texts], tokens=tokens)


def _npz_target() -> Target:
    pairs = [
        (X, Y),
        (X.astype("u1"), X[:, :2]),
        (np.asfortranarray(X), np.array(["a", "b", "a", "c"])),
        (X.astype(">f4"), Y.astype("b1")),
    ]
    parts = [[_npy(x), _npy(y)] for x, y in pairs]
    four = [_npy(a) for a in (X, Y, X, Y, X[:2], Y[:2])]
    built = partial(_archive, NPZ_MEMBERS)
    seeds = [*map(SEPARATOR.join, (*parts, four)), RAW + built(parts[0])]
    return Target(_read_npz, seeds, built, [*_HEADER_TOKENS, SEPARATOR, b"PK\x01\x02", b"PK\x05\x06"])


def _model_target() -> Target:
    deep = (Dense(4, "relu"), BatchNorm(), Dropout(0.5), Dense(2, "softmax"))
    parts = [_saved_parts(Dense(2)), _saved_parts(*deep, dtype="float64"), _saved_parts(Rescaling(2.0))]
    built = partial(_archive, MODEL_MEMBERS)
    seeds = [*map(SEPARATOR.join, parts), RAW + built(parts[0])]
    return Target(_read_model, seeds, built, [*_HEADER_TOKENS, *_JSON_TOKENS, SEPARATOR])


def _checkpoint_target() -> Target:
    parts = [_kept_parts(epochs) for epochs in (1, 2)]
    seeds = [*map(SEPARATOR.join, parts), RAW + _checkpoint(parts[0])]
    keys = b'"epoch": "step": "steps": "random": "history": "columns": "__array__" "__float__" "bit_generator"'.split()
    return Target(_resume, seeds, _checkpoint, [*_JSON_TOKENS, *keys, SEPARATOR])


TARGETS: dict[str, Callable[[], Target]] = {
    "idx": _idx_target,
    "csv": _csv_target,
    "npz": _npz_target,
    "model": _model_target,
    "checkpoint": _checkpoint_target,
}
"""How to make the target of each reader."""
