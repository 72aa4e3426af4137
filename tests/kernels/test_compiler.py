"""Compiled code on disk: where it lies, when it is used again, and what happens where nothing can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import accelnn_kernels
import numba
import numpy as np
import pytest
from accelnn_kernels import compiler, notice
from accelnn_kernels.catalog import SIGNATURES
from accelnn_kernels.compiler import Kernel, bind, cache_directory, caching, compile_loop

SOURCES = Path(accelnn_kernels.__file__).parent

DOUBLE = """
    import numpy as np, numba
    from accelnn_kernels.catalog import kernel
    values = np.arange(4.0)
    double = kernel("scale", "", "float64")
    double(values.ctypes.data, 4, 2.0)
    assert (values == [0, 2, 4, 6]).all()
    assert numba.config.CACHE_DIR == numba_cache
    print(double.compiled.cache_hits)
"""


def run_python(code, cache, kernels=SOURCES.parent, before="numba_cache = ''", **environment):
    """Run ``code`` in a process of its own with this folder for compiled code; return what it wrote."""
    variables = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    variables |= {"PYTHONPATH": str(kernels), "ACCELNN_CACHE_DIR": str(cache), **environment}
    source = before + "\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, env=variables)


@pytest.fixture
def restored():
    """Forget the cache directory that a test has made the compiler look up."""
    cache_directory.cache_clear()
    yield
    cache_directory.cache_clear()


@pytest.fixture
def cache_root(tmp_path, monkeypatch, restored):
    monkeypatch.setenv("ACCELNN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_second_process_loads_what_the_first_one_compiled(tmp_path):
    assert run_python(DOUBLE, tmp_path).stdout.strip() == "0"
    files = sorted(path.name for path in tmp_path.rglob("*.nbc"))
    assert any("scale..float64" in name for name in files)
    assert run_python(DOUBLE, tmp_path).stdout.strip() == "1"
    assert sorted(path.name for path in tmp_path.rglob("*.nbc")) == files


ANNOUNCED = """
    import numpy as np, numba
    from accelnn_kernels import compiler, notice
    from accelnn_kernels.catalog import kernel

    def add(x):
        return x + 1

    with notice.listening(print):
        kernel("copy", "", "float64").address
        loop = compiler.compile_loop(add)
        assert loop(np.int64(1)) == 2
        assert loop(np.int64(2)) == 3
    print(compiler.compiled_names)
"""


def test_people_are_told_when_something_is_compiled_and_only_then(tmp_path):
    """A kernel and a loop; the source of the loop has a file, without which Numba caches nothing."""
    (tmp_path / "program.py").write_text(textwrap.dedent(ANNOUNCED))
    code = f"import runpy; runpy.run_path({str(tmp_path / 'program.py')!r})"
    first = run_python(code, tmp_path).stdout.splitlines()
    assert first == [notice.MESSAGE, "['copy..float64', 'add']"]
    assert run_python(code, tmp_path).stdout.splitlines() == ["[]"]


def test_a_loop_is_made_ready_without_being_run(cache_root):
    calls = np.zeros(1)

    def count(calls):
        calls[0] += 1.0

    loop = compile_loop(count)
    loop.prepare(calls)
    assert calls[0] == 0.0
    loop(calls)
    assert calls[0] == 1.0


def test_changed_sources_are_compiled_anew(tmp_path):
    """Numba would not notice: it looks at the file of a function only, not at those of the functions it calls."""
    kernels, cache = tmp_path / "kernels", tmp_path / "cache"
    shutil.copytree(SOURCES, kernels / "accelnn_kernels", ignore=shutil.ignore_patterns("__pycache__"))
    assert run_python(DOUBLE, cache, kernels).stdout.strip() == "0"
    with (kernels / "accelnn_kernels" / "elementary.py").open("a") as file:
        file.write("\n# a change\n")
    assert run_python(DOUBLE, cache, kernels).stdout.strip() == "0"
    assert len(list(cache.glob("code-*"))) == 2


def test_where_nothing_can_be_written_there_is_one_warning_and_it_works(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    done = run_python(DOUBLE, tmp_path / "file" / "cache")
    assert done.stdout.strip() == "0"
    assert done.stderr.count("RuntimeWarning") == 1
    assert "ACCELNN_CACHE_DIR" in done.stderr


def test_a_directory_chosen_for_numba_is_left_as_it_was(tmp_path):
    other = tmp_path / "numba"
    run_python(DOUBLE, tmp_path / "cache", before=f"numba_cache = {str(other)!r}", NUMBA_CACHE_DIR=str(other))
    assert not other.exists()


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "ACCELNN_CACHE_DIR"])
def test_the_directory_can_be_chosen(variable, tmp_path, monkeypatch, restored):
    monkeypatch.delenv("ACCELNN_CACHE_DIR", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "chosen"))
    if variable == "XDG_CACHE_HOME" and os.name == "nt":
        pytest.skip("Windows has no XDG_CACHE_HOME")
    assert tmp_path / "chosen" in cache_directory().parents


def test_the_name_changes_with_the_sources(cache_root, monkeypatch, tmp_path):
    (tmp_path / "kernel.py").write_text("a = 1")
    names = {cache_directory()}
    assert {name.parent for name in names} == {cache_root}
    assert all(name.is_dir() for name in names)
    monkeypatch.setattr(compiler, "_SOURCES", tmp_path)
    for text in ("a = 1", "a = 2"):
        (tmp_path / "kernel.py").write_text(text)
        cache_directory.cache_clear()
        names.add(cache_directory())
    assert len(names) == 3


def test_an_unwritable_directory_warns_once(tmp_path, monkeypatch, restored):
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("ACCELNN_CACHE_DIR", str(tmp_path / "file"))
    before = numba.config.CACHE_DIR
    with pytest.warns(RuntimeWarning, match="set ACCELNN_CACHE_DIR"):
        assert cache_directory() is None
    with caching() as enabled:  # a second warning would be an error
        assert not enabled
        assert before == numba.config.CACHE_DIR


def test_the_setting_of_numba_is_put_back_after_an_error(cache_root):
    before, inside = numba.config.CACHE_DIR, ""

    def fail():
        nonlocal inside
        with caching() as enabled:
            inside = numba.config.CACHE_DIR if enabled else ""
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert str(cache_root) in inside
    assert before == numba.config.CACHE_DIR


def test_two_threads_that_compile_leave_the_setting_as_it_was(cache_root):
    """Each thread puts back what it found, so none may look while another one has changed it."""
    before, inside = numba.config.CACHE_DIR, []

    def enter():
        with caching():
            inside.append(threading.get_ident())
            time.sleep(0.02)
            assert inside[-1] == threading.get_ident()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
        time.sleep(0.005)
    for thread in threads:
        thread.join()
    assert len(inside) == 4
    assert before == numba.config.CACHE_DIR


def add_amount(x):
    """Return x + amount."""
    return x + amount  # noqa: F821


def test_bind_looks_free_names_up_in_the_scope():
    bound = bind(add_amount, {"amount": 5}, "add.five")
    assert bound(1) == 6
    assert (bound.__name__, bound.__qualname__, bound.__module__) == ("add.five", "add.five", __name__)
    assert bound.__doc__ == "Return x + amount."


def test_bindings_of_one_template_are_compiled_apart(cache_root):
    loops = [compile_loop(bind(add_amount, {"amount": amount}, f"add.{amount}")) for amount in (1, 10)]
    assert [loop(np.int64(1)) for loop in loops] == [2, 11]


def test_a_kernel_without_a_cache_still_compiles(tmp_path, monkeypatch, restored):
    monkeypatch.setattr(compiler, "cache_directory", lambda: None)
    scope = {"vector": None}

    def nothing(a, b, c):
        pass

    kernel = Kernel(bind(nothing, scope, "nothing.test"), SIGNATURES["copy"])
    assert kernel.name == "nothing.test"
    assert kernel.address == kernel.address > 0
    assert kernel(0, 0, 0) is None
