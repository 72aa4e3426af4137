"""The format: what is written is read again, nothing else is, and NumPy alone can read it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelnn.errors import CheckpointError
from accelnn.training.checkpoints import file_format
from accelnn.training.checkpoints.file_format import CheckpointFile, NewerFormatError, read_checkpoint, write_checkpoint

CONTENT = CheckpointFile(
    {"epoch": 3, "name": "größer"},
    {
        "weights.values": np.arange(7, dtype=np.float32),
        "one.byte": np.array([3], np.uint8),
        "table": np.arange(6, dtype=np.float64).reshape(2, 3),
        "nothing": np.zeros((0, 4)),
        "flags": np.array([[True], [False]]),
        "number": np.array(-5, np.int64),
    },
)

SMALL = CheckpointFile({"n": 1}, {"a": np.arange(2, dtype=np.float32), "b": np.array([3], np.uint8)})


def written(content: CheckpointFile = CONTENT) -> bytes:
    file = io.BytesIO()
    write_checkpoint(file, content)
    return file.getvalue()


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], CheckpointFile]:
    path = tmp_path / "a.safetensors"

    def read_bytes(raw: bytes) -> CheckpointFile:
        path.write_bytes(raw)
        return read_checkpoint(path)

    return read_bytes


def test_what_is_written_is_read(read: Callable[[bytes], CheckpointFile]) -> None:
    content = read(written())
    assert {key: content.description[key] for key in CONTENT.description} == CONTENT.description
    assert list(content.arrays) == list(CONTENT.arrays)
    for name, array in CONTENT.arrays.items():
        np.testing.assert_array_equal(content.arrays[name], array)
        assert content.arrays[name].dtype == array.dtype
        assert content.arrays[name].shape == array.shape
        content.arrays[name][...] = 1  # the arrays may be changed


def test_strided_and_fortran_arrays_are_written_as_they_look(read: Callable[[bytes], CheckpointFile]) -> None:
    table = np.arange(12.0).reshape(3, 4)
    arrays = {"fortran": np.asfortranarray(table), "strided": table[::-1, ::2]}
    for name, array in read(written(CheckpointFile({}, arrays))).arrays.items():
        np.testing.assert_array_equal(array, arrays[name])


def test_numpy_alone_can_read_a_file() -> None:
    raw = written()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    first, last = header["table"]["data_offsets"]
    table = np.frombuffer(raw[8 + length :][first:last], "<f8").reshape(header["table"]["shape"])
    np.testing.assert_array_equal(table, CONTENT.arrays["table"])
    assert json.loads(header["__metadata__"]["description"])["epoch"] == 3
    assert (8 + length) % 8 == 0


def test_safetensors_can_read_a_file() -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="the safetensors package is not installed")
    arrays = safetensors.load(written())
    for name, array in CONTENT.arrays.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_every_flipped_bit_is_noticed(read: Callable[[bytes], CheckpointFile]) -> None:
    raw = written(SMALL)
    length = int.from_bytes(raw[:8], "little")
    text = raw[8 : 8 + length].rstrip(b" ")
    for position in range(len(raw)):
        if 8 + len(text) <= position < 8 + length:
            continue  # blanks that only fill up the header
        damaged = bytearray(raw)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(CheckpointError, match=r"a\.safetensors"):
            read(bytes(damaged))


def test_every_cut_is_noticed(read: Callable[[bytes], CheckpointFile]) -> None:
    raw = written(SMALL)
    for end in range(len(raw)):
        with pytest.raises(CheckpointError, match=r"a\.safetensors"):
            read(raw[:end])
    with pytest.raises(CheckpointError, match="describes"):
        read(raw + b"\0")


def test_a_later_format_is_named(read: Callable[[bytes], CheckpointFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_format, "VERSION", 2)
    raw = written()
    monkeypatch.undo()
    with pytest.raises(NewerFormatError, match=r"checkpoint format 2 and this accelnn reads up to 1: update accelnn"):
        read(raw)


def test_what_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_checkpoint(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_checkpoint(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_checkpoint(tmp_path / "pipe")


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def signed(description: Any, entries: dict[str, Any], data: bytes = b"") -> bytes:
    """Return a file whose checksums are right, whatever it says."""
    text = description if isinstance(description, str) else json.dumps(description)
    digest = hashlib.sha256(text.encode()).hexdigest()
    metadata = {"format": "accelnn-checkpoint", "description": text, "description_sha256": digest}
    return file_of({"__metadata__": metadata, **entries}, data)


def described(entry: Any, **more: Any) -> bytes:
    """Return a file with one array ``a`` of 8 bytes, described as ``entry`` says, also in the description."""
    digest = hashlib.sha256(bytes(8)).hexdigest()
    of_array = entry | {"sha256": digest} if isinstance(entry, dict) else entry
    known = {"format": "accelnn-checkpoint", "version": 1, "arrays": {"a": of_array}} | more
    return signed(known, {"a": entry}, bytes(8))


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_the_entry_that_the_others_change_is_fine(read: Callable[[bytes], CheckpointFile]) -> None:
    assert read(described(ENTRY)).arrays["a"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PK\x03\x04 an archive",
        file_of({}, length=2**63),
        file_of({}, length=2**64 - 1),
        file_of([]),
        file_of(b"[" * 100_000),
        file_of(b"9" * 100_000),
        file_of({"__metadata__": None}),
        file_of({"__metadata__": {"format": "pt"}}),
        file_of({"__metadata__": {"format": "accelnn-checkpoint", "description": 3}}),
        signed([], {}),
        signed("[" * 100_000, {}),
        signed({"format": "another", "version": 1, "arrays": {}}, {}),
        signed({"format": "accelnn-checkpoint", "version": 1, "arrays": []}, {}),
        described(ENTRY, version=0),
        described(ENTRY, version="1"),
        described(ENTRY, arrays={"b": ENTRY}),
        described(ENTRY, arrays={"a": None}),
        described(ENTRY, arrays={"a": {**ENTRY, "shape": [1]}}),
        described(None),
        described({**ENTRY, "dtype": "PICKLE"}),
        described({**ENTRY, "dtype": ["F32"]}),
        described({**ENTRY, "dtype": None}),
        described({**ENTRY, "shape": None}),
        described({**ENTRY, "shape": [-2]}),
        described({**ENTRY, "shape": [2.0]}),
        described({**ENTRY, "shape": [True, 2]}),
        described({**ENTRY, "shape": [2**62, 2**62]}),
        described({**ENTRY, "shape": [1] * 40}),
        described({**ENTRY, "shape": [2**40], "data_offsets": [0, 2**42]}),
        described({**ENTRY, "data_offsets": [4, 12]}),
        described({**ENTRY, "data_offsets": [0, 4]}),
        described({**ENTRY, "data_offsets": None}),
    ],
)
def test_hostile_files_are_refused_in_little_memory(raw: bytes, read: Callable[[bytes], CheckpointFile]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read(raw)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 500
    assert peak_bytes < 20e6


def test_values_that_have_no_place_are_refused() -> None:
    with pytest.raises(TypeError, match="complex128"):
        written(CheckpointFile({}, {"a": np.zeros(2, np.complex128)}))
    with pytest.raises(ValueError, match="JSON"):
        written(CheckpointFile({"a": float("nan")}, {}))
