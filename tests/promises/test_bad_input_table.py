"""Every wrong call of the tables raises an error of accelnn's own: what is wrong, what was seen, what to do.

The arguments of ``Sequential`` and ``fit`` have a table of their own in ``tests/training/test_wrong_calls.py``, the
flags of ``accelnn train`` one in ``tests/cli/test_usage_errors.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelnn.errors import AccelnnError
from tests.promises.call_names import NAMES
from tests.promises.wrong_calls_estimators import ESTIMATORS
from tests.promises.wrong_calls_files import FILES
from tests.promises.wrong_calls_layers import LAYERS
from tests.promises.wrong_calls_training import TRAINING

CASES = [*LAYERS, *TRAINING, *ESTIMATORS, *FILES]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a few small files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.delenv("ACCELNN_DATA_DIR", raising=False)
    Path("rows.csv").write_text("1,2\n0,3\n")
    Path("wide.csv").write_text("1,2,3\n0,3,5\n")
    Path("two.idx").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 6]))


def test_the_tables_are_long_enough() -> None:
    codes = [code for code, _, _ in CASES]
    assert len(set(codes)) == len(codes) >= 300


@pytest.mark.parametrize(("code", "error", "words"), CASES, ids=[code for code, _, _ in CASES])
def test_wrong_call(code: str, error: type[AccelnnError], words: str) -> None:
    before = {path: path.read_bytes() for path in Path().iterdir()}
    with pytest.raises(AccelnnError) as caught:
        eval(code, dict(NAMES))
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert words in message
    assert ": " in message, "no fix"
    assert "\n" not in message
    kept = {path: path.read_bytes() for path in Path().iterdir() if path.name != "saved.npz"}
    assert kept == before
