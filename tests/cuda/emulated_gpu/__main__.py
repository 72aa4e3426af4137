"""Runs Python with an emulated GPU: ``python -m emulated_gpu -m pytest -m gpu``, as if it were ``python -m pytest``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from emulated_gpu.settings import FOLDER

TESTS = Path(__file__).parents[1]

if not (FOLDER / "sitecustomize.py").exists():
    sys.exit("the emulated GPU is not built: make emulated-gpu does that")
path = [str(FOLDER), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH", "")])]
environment = {"PYTHONPATH": os.pathsep.join(path), "LD_LIBRARY_PATH": str(FOLDER)}
environment["CUPY_CACHE_DIR"] = str(FOLDER / "compiled")  # PTX, where a GPU's is machine code
os.execve(sys.executable, [sys.executable, *sys.argv[1:]], {**os.environ, **environment})
