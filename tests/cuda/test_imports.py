"""CUDA packages are behind one module, and nobody who trains on a CPU loads any of it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import accelnn_kernels

import accelnn

PACKAGES = [Path(package.__file__).parent for package in (accelnn, accelnn_kernels)]
CUDA_PACKAGES = ("cuda", "cupy", "cupy_backends", "numba.cuda", "numba_cuda", "nvidia")


def imported(path: Path) -> set[str]:
    """Return the modules and names that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_of_cuda(name: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in CUDA_PACKAGES)


def test_one_module_imports_cuda_packages():
    """The import contracts know ``numba`` only as a whole. Probing, by importlib, is for finding out what is there."""
    importers = {
        path.relative_to(package.parent).as_posix()
        for package in PACKAGES
        for path in package.rglob("*.py")
        if any(is_of_cuda(name) for name in imported(path))
    }
    assert importers == {"accelnn_kernels/cuda/target.py"}


TRAIN_ON_THE_CPU = """
import sys
import numpy as np
from accelnn import Dense, Sequential

model = Sequential([Dense(3, "relu"), Dense(2, "softmax")], seed=0, backend="cpu")
history = model.fit(np.ones((8, 4), np.float32), np.arange(8) % 2, epochs=1, verbose=0)
assert history.runner == "compiled", history.runner
print(*(name for name in sys.modules if name.startswith(("accelnn_kernels.cuda", "numba.cuda", "cuda.", "cupy"))))
"""


def test_training_on_a_cpu_loads_none_of_it():
    paths = os.pathsep.join(str(package.parent) for package in PACKAGES)
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_ON_THE_CPU],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.stdout.split() == []
