"""The catalog of CUDA kernels: names, arguments, launches, and machine code that is kept on disk."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cuda_packages import require_compiler

require_compiler()

from accelnn_kernels import compiler, notice  # noqa: E402
from accelnn_kernels.catalog import SIGNATURES, kernel  # noqa: E402
from accelnn_kernels.cuda import catalog, inventory, kinds, target  # noqa: E402
from accelnn_kernels.cuda.catalog import ELEMENTS, cuda_kernel  # noqa: E402

KERNELS = Path(catalog.__file__).parents[2]
CAPABILITY = (9, 0)


@pytest.fixture
def cache_root(tmp_path, monkeypatch):
    """Return a folder of its own for compiled code; what was looked up before is forgotten."""
    monkeypatch.setenv("ACCELNN_CACHE_DIR", str(tmp_path))
    catalog.image_directory.cache_clear()
    yield tmp_path
    catalog.image_directory.cache_clear()


@pytest.fixture
def copying():
    """Return a small kernel."""
    return cuda_kernel("copy_parameters", "", "bfloat16")


def test_every_kernel_has_a_name_of_its_own():
    """The name is the name of its file in the cache."""
    names = [cuda_kernel(*key).name for key in inventory.kernel_names(ELEMENTS)]
    assert len(names) == len(set(names))
    assert "bias_activation.relu.bfloat16" in names


@pytest.mark.parametrize(
    "key", [("convolution", "", "float32"), ("update", "lbfgs", "float32"), ("update", "sgd", "float16")]
)
def test_unknown_kernels_are_an_error(key):
    with pytest.raises(KeyError):
        cuda_kernel(*key)


def test_arguments_are_addresses_sizes_and_factors_in_the_kernels_own_real():
    for element, real in ("float32", np.float32), ("bfloat16", np.float32), ("float64", np.float64):
        update = cuda_kernel("update", "adam", element)
        dtypes = dict(zip(update.parameters, update.argument_dtypes, strict=True))
        assert dtypes.pop("clip_norm") == real
        assert set(dtypes.values()) == {np.dtype(np.int64)}


@pytest.mark.parametrize("kind", sorted(set(kinds.KINDS) & set(SIGNATURES)))
def test_factors_are_what_the_cpu_takes_as_doubles(kind):
    variant = inventory.variants_of(kind)[0]
    on_the_cpu = kernel(kind, variant, "float32")
    names = inspect.getfullargspec(on_the_cpu.python).args
    doubles = {name for name, a_type in zip(names, on_the_cpu.signature.args, strict=True) if str(a_type) == "float64"}
    assert doubles == kinds.FACTORS & set(names)


def test_the_entry_has_one_name_in_all_kernels(copying):
    ptx = copying.ptx(CAPABILITY)
    assert ptx.count(".entry kernel(") == ptx.count(".entry") == 1
    assert ".target sm_90" in ptx
    assert b"kernel" in copying.image(CAPABILITY)


def test_code_does_not_depend_on_what_was_compiled_before():
    """Device functions are compiled once, whatever the compute capability of the first kernel that calls them."""
    after_another = cuda_kernel("bias_activation", "gelu", "bfloat16")
    after_another.ptx((8, 0))
    cuda_kernel.cache_clear()
    first = cuda_kernel("bias_activation", "gelu", "bfloat16")
    assert first is not after_another
    assert first.assembled(CAPABILITY).image == after_another.assembled(CAPABILITY).image


def test_threads_compile_for_their_own_device(copying):
    """The compiler is told the compute capability through a global name."""
    from numba.cuda import dispatcher

    before, found = dispatcher.get_current_device, {}

    def compile_for(capability):
        found[capability] = copying.ptx(capability)

    threads = [threading.Thread(target=compile_for, args=(capability,)) for capability in ((8, 0), (9, 0)) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key: f".target sm_{key[0]}{key[1]}" in ptx for key, ptx in found.items()} == {(8, 0): True, (9, 0): True}
    assert dispatcher.get_current_device is before


def test_machine_code_is_kept_and_used_again(cache_root, copying, monkeypatch):
    image = copying.image(CAPABILITY)
    (path,) = cache_root.rglob("*.cubin")
    assert path.name == "copy_parameters..bfloat16.sm_90.cubin"
    assert path.read_bytes() == image == copying.assembled(CAPABILITY).image
    monkeypatch.setattr(target, "compile_ptx", None)
    assert copying.image(CAPABILITY) == image
    assert [path.name for path in path.parent.iterdir()] == [path.name], "a temporary file was left"


def test_people_are_told_when_something_is_compiled_and_only_then(cache_root, copying):
    lines, before = [], len(compiler.compiled_names)
    notice.forget()
    with notice.listening(lines.append):
        copying.image(CAPABILITY)
        notice.forget()
        copying.image(CAPABILITY)
    assert lines == [notice.DEVICE_MESSAGE]
    assert compiler.compiled_names[before:] == [copying.name]


def test_every_compute_capability_has_a_file_of_its_own(cache_root, copying):
    assert copying.image((8, 0)) != copying.image(CAPABILITY)
    assert len(list(cache_root.rglob("*.cubin"))) == 2


def test_a_file_is_whole_or_not_there(cache_root, copying, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert copying.image(CAPABILITY) == copying.assembled(CAPABILITY).image
    assert not [path for path in cache_root.rglob("*") if path.is_file()]


def test_where_nothing_can_be_written_there_is_one_warning_and_it_works(cache_root, copying, monkeypatch):
    (cache_root / "file").write_text("not a directory")
    monkeypatch.setenv("ACCELNN_CACHE_DIR", str(cache_root / "file"))
    with pytest.warns(RuntimeWarning, match="set ACCELNN_CACHE_DIR") as warned:
        assert copying.image(CAPABILITY) == copying.image(CAPABILITY)
    assert len(warned) == 1


def directories(kernels: Path) -> list[str]:
    """Return the names of the folders for the code of both targets, as a new process finds them."""
    code = "from accelnn_kernels import compiler; from accelnn_kernels.cuda import catalog; "
    code += "print(compiler.cache_directory().name, catalog.image_directory().name)"
    variables = os.environ | {"PYTHONPATH": str(kernels)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables
    ).stdout.split()


def test_changed_sources_are_compiled_anew(cache_root, tmp_path):
    """A change of a CUDA kernel leaves the code for the CPU as it is; both targets share the formulas."""
    kernels = tmp_path / "kernels"
    shutil.copytree(KERNELS, kernels, ignore=shutil.ignore_patterns("__pycache__"))
    found = [directories(kernels)]
    for name in ("cuda/threads.py", "activations.py"):
        with (kernels / "accelnn_kernels" / name).open("a") as file:
            file.write("\n# a change\n")
        found.append(directories(kernels))
    for_cpu, for_cuda = zip(*found, strict=True)
    assert for_cpu[0] == for_cpu[1] != for_cpu[2]
    assert len(set(for_cuda)) == 3


def test_other_versions_are_compiled_anew(cache_root, monkeypatch):
    before = catalog.image_directory()
    assert all(name in target.versions() for name in ("numba-cuda 0.", "cuda-core ", "nvjitlink"))
    monkeypatch.setattr(target, "versions", lambda: "numba-cuda 0.31")
    catalog.image_directory.cache_clear()
    assert catalog.image_directory() != before


def test_packages_that_are_missing_have_no_version(monkeypatch):
    """A toolkit need not have come as Python packages."""
    monkeypatch.setattr(target, "_COMPILERS", ("no-such-package", "numba"))
    assert target.versions().startswith("numba ")


REPORT = """ptxas info    : Compiling entry function 'kernel' for 'sm_90'
ptxas info    : Function properties for kernel
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers
ptxas info    : Function properties for helper
    24 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
"""


def test_all_functions_in_the_assemblers_report_count():
    code = target.Assembled(b"", REPORT)
    assert (code.registers, code.stack_bytes, code.spill_bytes) == (40, 32, 28)


def test_a_report_of_another_form_is_an_error_where_it_is_read():
    with pytest.raises(RuntimeError, match="another form"):
        _ = target.Assembled(b"code", "all is well").registers


def test_launches_follow_from_the_arguments_alone():
    update = cuda_kernel("update", "sgd", "float32")
    shapes = [update.launch_shape(0, 0, 0, 0, 0, size, 0, 0, 0, 1.0, 0) for size in (0, 1, 1024, 1025, 10**9)]
    assert [shape.grid for shape in shapes] == [(1,), (1,), (1,), (2,), (1024,)]
    assert {shape.block for shape in shapes} == {(256,)}


@pytest.mark.parametrize(
    ("kind", "variant", "element"),
    [("gather_rows", "uint8", "bfloat16"), ("penalize", "", "float64"), ("dense_forward", "relu", "float32")],
)
def test_machine_code_takes_the_arguments_that_a_launch_passes(kind: str, variant: str, element: str) -> None:
    """CuPy passes what ``argument_dtypes`` says, in this order, and nobody checks it on a device."""
    kernel = cuda_kernel(kind, variant, element)
    names = {"int64": "u64", "float32": "f32", "float64": "f64"}
    declared = re.findall(r"\.param \.(\w+) kernel_param_(\d+)", kernel.ptx((9, 0)))
    expected = [(names[dtype.name], str(i)) for i, dtype in enumerate(kernel.argument_dtypes)]
    assert [(kind.replace("b64", "u64"), place) for kind, place in declared] == expected


@pytest.mark.parametrize(
    ("spilled", "lower", "expected"),
    [(0, None, b""), (8, 0, b"-O1"), (8, 4, b"-O1"), (8, 8, b""), (8, 12, b""), (None, None, b"")],
)
def test_the_assembler_is_asked_again_where_it_spills(monkeypatch, spilled, lower, expected):
    def assembled(ptx, compute_capability, *more):
        spills = lower if more else spilled
        report = "of another form" if spills is None else f"{spills} bytes spill stores, 0 bytes spill loads"
        return target.Assembled("".join(more).encode(), report)

    monkeypatch.setattr(target, "_assembled", assembled)
    assert target.assemble("", CAPABILITY).image == expected
