"""Imported before anything else of a process that is to have an emulated GPU."""

from __future__ import annotations

import atexit
import ctypes
import importlib
import os
from pathlib import Path

from emulated_gpu import calls
from emulated_gpu.settings import FOLDER

LIBRARIES = ("cuda.so.1", "cublas.so.13")
EMULATION = ("streams", "device_memory", "kernels", "products", "facts")


def start() -> None:
    """Load the libraries, so that who asks for them by name gets these, and let them call the functions in Python."""
    os.environ["CUPY_COMPILE_WITH_PTX"] = "1"  # the machine executes PTX
    os.environ["CUPY_ACCELERATORS"] = ""  # the kernels of CUB have none
    libraries = [ctypes.CDLL(str(FOLDER / f"lib{name}"), mode=ctypes.RTLD_GLOBAL) for name in LIBRARIES]
    # Behind the libraries: numba-cuda loads NVIDIA's runtime, and whoever is loaded first is found first.
    modules = {name: importlib.import_module(f"emulated_gpu.{name}") for name in EMULATION}
    modules["kernels"].remember_machine_code()
    for name, library in zip(LIBRARIES, libraries, strict=True):
        calls.connect(library, Path(FOLDER, f"names_{name}.txt").read_text().split())
        atexit.register(library.end_stubs)
    atexit.register(modules["streams"].finish_all)


start()
