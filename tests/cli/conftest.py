"""Fixtures: a folder of its own for every test, no network, and a small trained model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from command_line import QUICK, run

from accelnn.data import mnist

NOWHERE = ("http://127.0.0.1:9/set/",)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, away from the user's data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACCELNN_DATA_DIR", raising=False)


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the mirrors be dead and the cache of data sets empty; compiled code stays where it is."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(mnist, "_cache_folder", lambda: tmp_path / "cache")
    for name, image_set in list(mnist.IMAGE_SETS.items()):
        monkeypatch.setitem(mnist.IMAGE_SETS, name, dataclasses.replace(image_set, mirrors=NOWHERE))


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the digits, saved by ``accelnn train``."""
    path = tmp_path_factory.mktemp("model") / "digits.npz"
    result = run("train", *QUICK, "--save", path)
    assert result.exit_code == 0, result.stderr
    return path
