"""Every CUDA kernel, compiled and assembled for every generation of devices: no driver and no device are needed."""

from __future__ import annotations

import pytest
from cuda_packages import capabilities, require_compiler

require_compiler()

from accelnn_kernels import optimizers  # noqa: E402
from accelnn_kernels.compiler import bind  # noqa: E402
from accelnn_kernels.cuda import inventory, kinds  # noqa: E402
from accelnn_kernels.cuda.catalog import ELEMENTS, CudaKernel, cuda_kernel  # noqa: E402
from accelnn_kernels.cuda.persistent_catalog import persistent_kernel  # noqa: E402
from assembly import EXCEPTIONS, REGISTERS, objections  # noqa: E402

from accelnn.training.runners import step  # noqa: E402


def sm(compute_capability: tuple[int, int]) -> str:
    return "sm_{}{}".format(*compute_capability)


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_kernels_run_from_registers_in_their_own_precision(kind, element):
    """One test for all generations: most of a compilation is done once for all of them, by each process."""
    kernels = [cuda_kernel(kind, variant, element) for variant in inventory.variants_of(kind)]
    found = {sm(cc): [text for kernel in kernels for text in objections(kernel, cc)] for cc in capabilities()}
    assert found == {sm(cc): [] for cc in capabilities()}


PERSISTENT = [
    ("relu.identity.cross_entropy.sgd.uint8", "float32", (8, 0)),
    ("relu.identity.cross_entropy.adam.float32", "float32", (9, 0)),
    ("gelu.sigmoid.mse.momentum.uint8", "float32", (10, 0)),
    ("tanh.identity.cross_entropy_rows.adam.float64", "float64", (9, 0)),
    ("relu.relu.mse.adam.float32", "float32", (9, 0)),
    ("relu.identity.cross_entropy.adam.float64", "float32", (9, 0)),
]
"""A small part of what a network may need: they take long to compile. At its highest level the assembler (13.5) spills
registers of the last two."""


@pytest.mark.parametrize(("variant", "element", "compute_capability"), PERSISTENT)
def test_persistent_kernels_do_too(variant, element, compute_capability):
    if compute_capability not in capabilities():
        pytest.skip(f"{sm(compute_capability)} belongs to another set of packages")
    assert objections(persistent_kernel(step.train_step, variant, element), compute_capability) == []


def test_exceptions_are_for_kernels_that_exist():
    assert {kind for kind, _ in EXCEPTIONS} <= set(kinds.KINDS)


def planted(template, name):
    """Return a float32 kernel that is not in the catalog; its names are bound as those of other kernels."""
    scope = cuda_kernel("update", "adam", "float32").python.__globals__
    return CudaKernel(bind(template, scope, name), "update", "float32")


def scale_in_float64(values, size):
    for i in range(first_element(), size, all_threads()):  # noqa: F821
        store(values, i, load(values, i) * 0.1)  # noqa: F821


def scale(values, size):
    for i in range(first_element(), size, all_threads()):  # noqa: F821
        store(values, i, load(values, i) * real(0.1))  # noqa: F821


def reverse_through_memory(values, size):
    kept = cuda.local.array(64, real)  # noqa: F821
    for i in range(size):
        kept[i] = load(values, i)  # noqa: F821
    for i in range(size):
        store(values, i, kept[size - 1 - i])  # noqa: F821


def call_out(values, size):
    print(size)  # a function of the driver: it cannot be inlined


def test_the_check_finds_a_python_number_in_float32():
    assert objections(planted(scale, "scale"), (9, 0)) == []
    found = objections(planted(scale_in_float64, "scale_in_float64"), (9, 0))
    assert found == ["scale_in_float64 computes in float64"]


def test_inputs_in_float64_may_be_read_and_no_more():
    gather = cuda_kernel("gather_rows", "float64", "float32")
    assert objections(gather, (9, 0)) == []
    relabelled = planted(scale_in_float64, "gather_rows.float64.planted")
    assert objections(relabelled, (9, 0)) == ["gather_rows.float64.planted computes in float64"]


def test_the_check_finds_a_local_array_that_is_not_in_registers():
    found = objections(planted(reverse_through_memory, "reverse"), (9, 0))
    assert found == ["reverse has 256 bytes on the stack", "reverse has local memory"]


def test_the_check_finds_a_call():
    assert "call_out calls functions that are not inlined" in objections(planted(call_out, "call_out"), (9, 0))


class Starved(CudaKernel):
    """A kernel that is allowed fewer registers than it needs."""

    def ptx(self, compute_capability: tuple[int, int]) -> str:
        return super().ptx(compute_capability).replace(")\n{", ")\n.maxnreg 24\n{", 1)


def test_the_check_finds_spills():
    kernel = cuda_kernel("update", "adam", "float32")
    assert objections(kernel, (9, 0)) == []
    found = objections(Starved(kernel.python, "update", "float32"), (9, 0))
    assert any("spills" in text for text in found), found


def test_the_check_finds_too_many_registers(monkeypatch):
    kernel = cuda_kernel("update", "adam", "float32")
    monkeypatch.setitem(REGISTERS, 4, 16)
    (found,) = objections(kernel, (9, 0))
    assert "registers, 16 are allowed" in found


def test_the_check_finds_narrow_loads_and_float_atomics(monkeypatch):
    kernel = cuda_kernel("update", "adam", "float32")
    ptx = kernel.ptx((9, 0))
    narrow = ptx.replace("ld.global.v4.f32", "ld.global.v2.f32")
    unordered = ptx + "\n// red.global.add.f32"
    for text, finding in (narrow, "has no load of 16 bytes"), (unordered, "adds floats atomically"):
        monkeypatch.setattr("assembly._of_the_assembler", lambda *arguments: [])
        monkeypatch.setattr(CudaKernel, "ptx", lambda self, capability, text=text: text)
        (found,) = objections(kernel, (9, 0))
        assert finding in found


def test_the_formula_is_the_one_of_the_cpu():
    assert cuda_kernel("update", "adam", "float32").python.__globals__["update"].py_func.__code__ is (
        optimizers.adam.__code__
    )
