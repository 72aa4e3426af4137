"""Model files made to do harm: each is refused with one clear error, in little memory, and leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn import BatchNorm, Dense, Sequential, load_model
from accelnn.errors import ArgumentError, ModelFileError, shown
from accelnn.network import model_file

Members = dict[str, bytes]


def ordinary() -> Members:
    """Return the members of the file of an ordinary model."""
    buffer = io.BytesIO()
    model = Sequential([Dense(4, "relu"), BatchNorm(), Dense(2)], n_in=3, seed=0)
    description = {
        "format": "accelnn-model", "version": 1, "dtype": "float32", "n_in": 3, "seed": 0, "extra": {},
        "layers": [
            {"class": type(layer).__name__, "name": layer.name, "config": layer.config()} for layer in model.layers
        ],
    }  # fmt: skip
    values, state = model.arena.to_host()
    np.savez(buffer, description=as_bytes(description), values=values, state=state)
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_bytes(description: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(description).encode(), np.uint8)


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Return an NPY member with this header."""
    size = struct.pack("<H" if version == (1, 0) else "<I", len(header) + 1)
    return b"\x93NUMPY" + bytes(version) + size + header.encode() + b"\n" + data


def array_of(header_shape: str, descr: str = "'<f4'", data: bytes = b"\0" * 8) -> bytes:
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {header_shape}, }}", data)


def description_of(members: Members) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(np.load(io.BytesIO(members["description.npy"])).tobytes())
    return result


def with_description(**changes: Any) -> Members:
    members = ordinary()
    buffer = io.BytesIO()
    np.save(buffer, as_bytes(description_of(members) | changes))
    return members | {"description.npy": buffer.getvalue()}


def with_layers(*layers: Any, n_in: Any = 3) -> Members:
    return with_description(layers=list(layers), n_in=n_in)


def layer(kind: str, name: Any = "a", **config: Any) -> dict[str, Any]:
    return {"class": kind, "name": name, "config": config}


def text_of(text: str) -> Members:
    """Return a model whose description is this text."""
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(text.encode(), np.uint8))
    return ordinary() | {"description.npy": buffer.getvalue()}


def with_values(content: bytes) -> Members:
    return ordinary() | {"values.npy": content}


def with_numbers(name: str, value: float) -> Members:
    members = ordinary()
    array = np.load(io.BytesIO(members[f"{name}.npy"]))
    array[-1] = value
    buffer = io.BytesIO()
    np.save(buffer, array)
    return members | {f"{name}.npy": buffer.getvalue()}


def archive(members: Members, compression: int = zipfile.ZIP_STORED, more: tuple[tuple[str, bytes], ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as file:
        warnings.simplefilter("ignore", UserWarning)  # of names that occur twice
        for name, content in (*members.items(), *more):
            file.writestr(name, content)
    return buffer.getvalue()


def patched(content: bytes, signature: bytes, offset: int, new: bytes) -> bytes:
    """Return an archive in which some bytes after the last ``signature`` are others."""
    at = content.rindex(signature) + offset
    return content[:at] + new + content[at + len(new) :]


BOMB = bytes(50_000_000)
HUGE = 10**4000
MANY = struct.pack("<I", 0xFFFFFFFF)

HOSTILE: dict[str, Callable[[], bytes]] = {
    # Sizes that are not there
    "a shape of 2**40": lambda: archive(with_values(array_of("(1099511627776,)"))),
    "a shape of 10**4000": lambda: archive(with_values(array_of(f"({HUGE},)"))),
    "a shape in two dimensions": lambda: archive(with_values(array_of("(2, 4611686018427387904)"))),
    "a negative size": lambda: archive(with_values(array_of("(-2,)"))),
    "two negative sizes": lambda: archive(with_values(array_of("(-1, -2)"))),
    "a size that is true": lambda: archive(with_values(array_of("(True, 2)"))),
    "a size that is no number": lambda: archive(with_values(array_of("('2',)"))),
    "elements of a gigabyte": lambda: archive(with_values(array_of("(2,)", "'|V1000000000'"))),
    "elements of no bytes": lambda: archive(with_values(array_of("(1099511627776,)", "'|V0'", b""))),
    "elements of 2**40 elements": lambda: archive(with_values(array_of("(1,)", "('<f4', (1048576, 1048576))"))),
    "the directory promises more": lambda: patched(archive(ordinary()), b"PK\1\2", 24, MANY),
    "the directory promises more twice": lambda: patched(
        patched(archive(ordinary()), b"PK\1\2", 24, MANY), b"PK\1\2", 20, MANY),
    "the directory begins elsewhere": lambda: patched(archive(ordinary()), b"PK\5\6", 16, MANY),
    "a member begins elsewhere": lambda: patched(archive(ordinary()), b"PK\1\2", 42, MANY),
    "more members than there are": lambda: patched(archive(ordinary()), b"PK\5\6", 12, struct.pack("<I", 10**9)),
    # What unpacks to much more
    "a deflated bomb": lambda: archive(with_values(array_of("(12500000,)", data=BOMB)), zipfile.ZIP_DEFLATED),
    "a bomb of bzip2": lambda: archive(with_values(array_of("(12500000,)", data=BOMB)), zipfile.ZIP_BZIP2),
    "a bomb of lzma": lambda: archive(with_values(array_of("(12500000,)", data=BOMB)), zipfile.ZIP_LZMA),
    "a compressed description": lambda: archive(ordinary(), zipfile.ZIP_DEFLATED),
    "a directory of 50,000 members": lambda: archive(
        ordinary(), more=tuple((f"{i:050d}", b"") for i in range(50_000))),
    # Headers
    "a header of 65,000 bytes": lambda: archive(with_values(npy("{" + " " * 65_000 + "}"))),
    "a header of 100,000 parentheses": lambda: archive(with_values(npy("(" * 9_000))),
    "a header of 9,000 signs": lambda: archive(with_values(npy("-" * 9_000 + "1"))),
    "a header that is code": lambda: archive(with_values(npy("__import__('os').system('touch evil')"))),
    "a header without an end": lambda: archive(with_values(npy("{'descr': '<f4', 'shape': ("))),
    "a header of Python 2": lambda: archive(with_values(array_of("(9L,)"))),
    "another version of the header": lambda: archive(with_values(npy("{}", version=(3, 0)))),
    "a version that does not exist": lambda: archive(with_values(npy("{}", version=(9, 9)))),
    "Python objects": lambda: archive(with_values(array_of("(1,)", "'|O'", b"cos\nsystem\n(S'touch evil'\ntR."))),
    "records": lambda: archive(with_values(array_of("(1,)", "[('a', '<f4'), ('b', '<f4')]"))),
    "a description of floats": lambda: archive(ordinary() | {"description.npy": array_of("(2,)")}),
    # Names
    "a name twice": lambda: archive(ordinary(), more=(("values.npy", array_of("(2,)")),)),
    "no values": lambda: archive({"description.npy": ordinary()["description.npy"]}),
    "only names that lead out": lambda: archive({f"../{name}": c for name, c in ordinary().items()}),
    # Descriptions
    "nesting of 100,000 lists": lambda: archive(text_of("[" * 100_000)),
    "nesting that ends": lambda: archive(text_of('{"layers":' + "[" * 990 + "]" * 990 + "}")),
    "a layer of nested lists": lambda: archive(with_description(layers=[json.loads("[" * 900 + "]" * 900)])),
    "an integer of 5,000 digits": lambda: archive(text_of('{"n_in": ' + "9" * 5000 + "}")),
    "layers twice": lambda: archive(with_layers(layer("Dense", units=4), layer("Dense", units=2))),
    "a layer of 2**40 units": lambda: archive(with_layers(layer("Dense", units=2**40))),
    "a layer of 10**4000 units": lambda: archive(with_layers(layer("Dense", units=HUGE))),
    "two of them": lambda: archive(with_layers(layer("Dense", units=HUGE), layer("Dense", "b", units=HUGE))),
    "10**4000 inputs": lambda: archive(with_description(n_in=HUGE)),
    "negative inputs": lambda: archive(with_description(n_in=-3)),
    "an infinite penalty": lambda: archive(with_layers(layer("Dense", units=4, l2=float("inf")))),
    "a penalty of 400 digits": lambda: archive(with_layers(layer("Dense", units=4, l2=10**400))),
    "a name of a million letters": lambda: archive(with_layers(layer("Dense", "a" * 10**6))),
    "a class of a million letters": lambda: archive(with_layers(layer("D" * 10**6))),
    "a name that is a list": lambda: archive(with_layers(layer("Dense", [], units=4))),
    "an argument named self": lambda: archive(with_layers({"class": "Dense", "name": "a", "config": {"self": 1}})),
    "an argument with two underscores": lambda: archive(with_layers(layer("Dense", units=4, __class__="x"))),
    "the base of all layers": lambda: archive(with_layers(layer("Layer"))),
    "a class of Python": lambda: archive(with_layers(layer("os.system", command="touch evil"))),
    "initial values of another shape": lambda: archive(with_layers(layer("Dense", units=4, initializer=[[1.0]]))),
    "an unknown dtype": lambda: archive(with_description(dtype="float128")),
    "a seed that is a list": lambda: archive(with_description(seed=[1])),
    "a negative seed": lambda: archive(with_description(seed=-1)),
    # Numbers
    "weights that are not numbers": lambda: archive(with_numbers("values", np.nan)),
    "infinite weights": lambda: archive(with_numbers("values", np.inf)),
    "statistics that are not numbers": lambda: archive(with_numbers("state", np.nan)),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_ordinary_model_is_read(folder: Path) -> None:
    Path("model.npz").write_bytes(archive(ordinary()))
    assert load_model("model.npz").units == [3, 4, 2]


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_file(content: Callable[[], bytes], folder: Path) -> None:
    Path("model.npz").write_bytes(content())
    size = Path("model.npz").stat().st_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # NumPy's, of headers that Python 2 wrote
        tracemalloc.start()
        with pytest.raises(ModelFileError, match=rf"^'{folder}/model\.npz' cannot be used as a model file: ") as caught:
            load_model("model.npz", backend="cpu")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4_000_000 + 20 * size
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)
    assert os.listdir(folder) == ["model.npz"]


def test_names_that_lead_out_are_not_followed(folder: Path) -> None:
    (folder / "inside").mkdir()
    more = (("../evil.npy", b"x"), ("/evil.npy", b"x"), ("C:\\evil.npy", b"x"))
    (folder / "inside" / "model.npz").write_bytes(archive(ordinary(), more=more))
    assert load_model("inside/model.npz").units == [3, 4, 2]
    assert os.listdir(folder) == ["inside"]
    assert os.listdir(folder / "inside") == ["model.npz"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo("model.npz")
    with pytest.raises(ModelFileError, match="not a regular file"):
        load_model("model.npz")


def test_a_hundred_thousand_layers_are_counted_quickly(folder: Path) -> None:
    layers = [layer("Rescaling", f"n{i}", scale=1.0) for i in range(100_000)]
    Path("model.npz").write_bytes(archive(with_layers(*layers)))
    with pytest.raises(ModelFileError, match="its layers have 0 parameters and it holds"):
        load_model("model.npz", backend="cpu")


def test_a_description_has_a_limit_both_ways(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequential([Dense(2)], n_in=3, seed=0)
    model.save("model.npz", extra={"note": "a" * 2000})
    monkeypatch.setattr(model_file, "MAX_DESCRIPTION_BYTES", 2000)
    with pytest.raises(ModelFileError, match=r"description has .* bytes and at most 2,000 are read"):
        load_model("model.npz")
    with pytest.raises(ArgumentError, match=r"extra is \{'note': .*use less than 2,000 bytes of JSON"):
        model.save("other.npz", extra={"note": "a" * 2000})
    assert os.listdir(folder) == ["model.npz"]


def test_a_value_that_cannot_be_shown_does_not_hide_the_error() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "<list>"
    assert shown(10**5000) == "<int>"
