"""The promise of the first command: real digits, learned."""

from __future__ import annotations

import os

import pytest
from command_line import run_json

FOLDER = os.environ.get("ACCELNN_DATA_DIR", "")


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="ACCELNN_DATA_DIR does not name a folder with MNIST")
def test_ten_epochs_reach_the_promised_accuracy() -> None:
    flags = ("--dataset", "mnist", "--data-dir", FOLDER, "--backend", "cpu", "--epochs", 10, "--seed", 0)
    results = run_json("train", *flags)
    assert results["runner"] == "compiled"
    assert results["test_accuracy"] >= 0.975
