"""Bind templates to a dtype and compile them: scalars to inline, kernels with a C address, loops for one call.

Three decisions:

* Free names are bound through the *globals* of a copy of the function. Bound as closure variables the code would
  compile too, but Numba's cache would never hit.
* A kernel is a C function that is reached through its address. So a program of many kernels is a table of
  addresses: changing the activation, the depth or the optimizer compiles only the kernels that are new, and the
  loop that calls them is compiled once for all networks and dtypes.
* Formulas are compiled without ``reassoc``: reassociation would undo the argument reduction of ``exp``. Loops allow
  it, otherwise sums do not vectorise. No flag says that NaN or infinity do not occur, because they do.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pathlib
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numba
import numpy as np
from numba.core import config as numba_config

FORMULA_FLAGS = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}
LOOP_FLAGS = {"fastmath": {"reassoc", "contract", "arcp", "nsz"}, "error_model": "numpy", "boundscheck": False}

logger = logging.getLogger("accelnn")


def bind(template: Callable, scope: dict[str, Any], name: str) -> Callable:
    """Return a copy of ``template`` whose free names are looked up in ``scope`` and whose name is ``name``.

    The name becomes part of the cache's file name, so it must differ between bindings of one template.
    """
    bound = types.FunctionType(template.__code__, scope, name, template.__defaults__)
    bound.__module__ = template.__module__
    bound.__qualname__ = name
    bound.__doc__ = template.__doc__
    return bound


def compile_formula(function: Callable) -> Callable:
    """Compile a scalar formula that is always inlined into the loop which calls it."""
    return numba.njit(forceinline=True, **FORMULA_FLAGS)(function)


class Kernel:
    """A bound template and, from the first use of ``address`` on, its machine code.

    ``signature`` is the Numba signature of the C function: addresses and sizes are ``intp``, factors ``float64``.
    """

    def __init__(self, function: Callable, signature: Any) -> None:
        self.python = function
        self.signature = signature
        self._compiled: Any = None

    @property
    def name(self) -> str:
        """The unique name, e.g. ``"bias_activation.relu.float32"``."""
        return self.python.__qualname__

    @property
    def compiled(self) -> Any:
        """The Numba C function; compiled or loaded from the cache at the first use."""
        if self._compiled is None:
            with caching() as enabled:
                self._compiled = numba.cfunc(self.signature, cache=enabled, **LOOP_FLAGS)(self.python)
            if not self._compiled.cache_hits:
                logger.debug("compiled %s", self.name)
        return self._compiled

    @property
    def address(self) -> int:
        """Where the machine code starts, for calls from other compiled code."""
        return self.compiled.address

    def __call__(self, *arguments: float) -> float | None:
        """Call the machine code from Python: addresses, sizes and factors as in ``signature``."""
        return self.compiled.ctypes(*arguments)


def compile_loop(function: Callable) -> Callable:
    """Compile a function that is called from Python, without the GIL and with its code kept on disk."""
    with caching() as enabled:
        return numba.njit(nogil=True, cache=enabled, **LOOP_FLAGS)(function)


_compiling = threading.RLock()


@contextlib.contextmanager
def caching() -> Iterator[bool]:
    """Point Numba's cache at this version's own directory while something is decorated, by one thread at a time.

    Yields whether a cache can be written. Numba reads the directory when a function is decorated, so the
    process-wide setting is put back at once and other users of Numba do not see it.
    """
    with _compiling:
        directory = cache_directory()
        before = numba_config.CACHE_DIR
        if directory is not None:
            numba_config.CACHE_DIR = str(directory)
        try:
            yield directory is not None
        finally:
            numba_config.CACHE_DIR = before


@cache
def cache_directory() -> pathlib.Path | None:
    """Return the directory for compiled code, or None (with one warning) when none can be written.

    Its name holds a hash of all sources and versions: Numba itself does not notice a change in a function that
    another file defines.
    """
    directory = _cache_root() / f"code-{_source_hash()}"
    if not directory.exists():
        logger.info("compiling for this processor, which takes some seconds and happens once")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError as error:
        warnings.warn(
            f"compiled code cannot be kept in {directory} ({error.strerror}): every process compiles anew; "
            "set ACCELNN_CACHE_DIR to a writable directory",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _cache_root() -> pathlib.Path:
    if chosen := os.environ.get("ACCELNN_CACHE_DIR"):
        return pathlib.Path(chosen)
    if os.name == "nt":
        return pathlib.Path(os.environ.get("LOCALAPPDATA", pathlib.Path.home())) / "accelnn"
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "accelnn"


_SOURCES = pathlib.Path(__file__).parent


def _source_hash() -> str:
    """Return a hash of this folder and the versions; Numba itself watches the file of a template elsewhere."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__}".encode())
    for path in sorted(_SOURCES.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
