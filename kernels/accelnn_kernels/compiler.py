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
from numba.core import event

from accelnn_kernels import notice
from accelnn_kernels.collector import collector_off
from accelnn_kernels.signals import signals_held

FORMULA_FLAGS = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}
LOOP_FLAGS = {"fastmath": {"reassoc", "contract", "arcp", "nsz"}, "error_model": "numpy", "boundscheck": False}
INNER_FLAGS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Of functions that only compiled code calls: the doors for other callers take a third of their compile time."""

logger = logging.getLogger("accelnn")

_is_without_compiler = bool(numba_config.DISABLE_JIT)
"""Whether the parts of kernels that are decorated when they are imported stay plain Python for good."""


def why_nothing_compiles() -> str | None:
    """Return why Numba compiles nothing in this process, None if it does."""
    is_off = _is_without_compiler or numba_config.DISABLE_JIT
    return "Numba compiles nothing because NUMBA_DISABLE_JIT is set" if is_off else None


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
    return numba.njit(forceinline=True, **FORMULA_FLAGS, **INNER_FLAGS)(function)


def compile_part(function: Callable, *, inline: bool = False) -> Callable:
    """Compile a part of a kernel or of a loop: only compiled code can call it."""
    return numba.njit(forceinline=inline, **LOOP_FLAGS, **INNER_FLAGS)(function)


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
            with caching() as enabled, _watching():
                if self._compiled is None:  # another thread may have been faster
                    self._compiled = numba.cfunc(self.signature, cache=enabled, **LOOP_FLAGS)(self.python)
                    note(self.name, from_cache=bool(self._compiled.cache_hits))
        return self._compiled

    @property
    def address(self) -> int:
        """Where the machine code starts, for calls from other compiled code."""
        return self.compiled.address

    def __call__(self, *arguments: float) -> float | None:
        """Call the machine code from Python: addresses, sizes and factors as in ``signature``."""
        return self.compiled.ctypes(*arguments)


class Loop:
    """A bound template that Python calls, without the GIL and with its machine code kept on disk.

    It is compiled, or loaded from the cache, for the types of its first arguments.
    """

    def __init__(self, function: Callable) -> None:
        self.python = function
        with caching() as enabled:
            self._compiled = numba.njit(nogil=True, cache=enabled, **LOOP_FLAGS)(function)
        self._is_ready = False

    @property
    def signatures(self) -> list[Any]:
        """The types of arguments for which there is machine code: one entry, where the program is as it should be."""
        return list(self._compiled.signatures)

    def prepare(self, *arguments: Any) -> None:
        """Compile or load the machine code for such arguments; nothing is run."""
        with _compiling, _watching():
            if self._is_ready:
                return
            self._compiled.compile(tuple(self._compiled.typeof_pyval(item) for item in arguments))
            self._is_ready = True
            note(self.python.__qualname__, from_cache=bool(self._compiled.stats.cache_hits))

    def __call__(self, *arguments: Any) -> Any:
        """Call the machine code."""
        if not self._is_ready:
            self.prepare(*arguments)
        return self._compiled(*arguments)


def compile_loop(function: Callable) -> Loop:
    """Return ``function`` as a loop that Python calls."""
    return Loop(function)


compiled_names: list[str] = []
"""What this process has compiled, rather than loaded from the cache, in this order."""


def note(name: str, from_cache: bool) -> None:
    """Remember, and say in the log, where the machine code of a kernel or loop came from."""
    logger.debug("%s %s", "loaded" if from_cache else "compiled", name)
    if not from_cache:
        compiled_names.append(name)


class _Announcing(event.Listener):
    """Hears of the first pass of the compiler; loading from the cache makes none."""

    def on_start(self, event: Any) -> None:
        notice.announce()

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


@contextlib.contextmanager
def _watching() -> Iterator[None]:
    """Return a block in which people are told when something is really compiled, and Ctrl-C waits for its end.

    The compiler's callbacks lose exceptions, and it would be left without the code that it believes to have. It keeps
    so many objects that looking for garbage among them takes a tenth of its time.
    """
    with signals_held(), event.install_listener("numba:run_pass", _Announcing()), collector_off():
        yield


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
        try:
            if directory is not None:
                numba_config.CACHE_DIR = str(directory)
            yield directory is not None
        finally:
            numba_config.CACHE_DIR = before


@cache
def cache_directory() -> pathlib.Path | None:
    """Return the directory for compiled code, or None (with one warning) when none can be written.

    Its name holds a hash of all sources and versions: Numba itself does not notice a change in a function that
    another file defines.
    """
    return writable_directory(f"code-{source_hash(_SOURCES, versions=f'{numba.__version__} {np.__version__}')}")


def writable_directory(name: str) -> pathlib.Path | None:
    """Return the folder ``name`` of the cache, made if need be; None, with a warning, where nothing can be written."""
    directory = _cache_root() / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError as error:
        warnings.warn(
            f"compiled code cannot be kept in {directory} ({error.strerror}): every process compiles anew; "
            "set ACCELNN_CACHE_DIR to a writable directory",
            RuntimeWarning,
            stacklevel=3,
        )
        return None


def _cache_root() -> pathlib.Path:
    if chosen := os.environ.get("ACCELNN_CACHE_DIR"):
        return pathlib.Path(os.path.expanduser(chosen)).absolute()
    if os.name == "nt":
        return pathlib.Path(os.environ.get("LOCALAPPDATA", pathlib.Path.home())) / "accelnn"
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "accelnn"


_SOURCES = pathlib.Path(__file__).parent


def source_hash(*folders: pathlib.Path, versions: str) -> str:
    """Return a hash of the sources directly in these folders and of the versions of what compiles them."""
    digest = hashlib.sha256(versions.encode())
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
