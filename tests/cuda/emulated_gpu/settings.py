"""What can be chosen about the emulated GPU, as variables of the environment, and where it is built."""

from __future__ import annotations

import os
from pathlib import Path

CAPACITY_BYTES = int(os.environ.get("EMULATED_BYTES", 4 << 30))
"""Of the device's memory."""

MULTIPROCESSORS = int(os.environ.get("EMULATED_MULTIPROCESSORS", 3))
"""So many blocks of a cooperative launch find room at the same time."""

EARLY_COPIES = os.environ.get("EMULATED_COPIES") == "early"
"""Streams that only copy run ahead as far as they may, instead of as late as they may."""

FOLDER = Path(__file__).with_name("built")
"""Where libraries and CuPy's module are put; git ignores it."""
