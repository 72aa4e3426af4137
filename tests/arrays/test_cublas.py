"""Products through cuBLAS, tried on a NumPy stand-in for the library: how row-major operands become a column-major
call, in which order a handle is set up, and how failures are told.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cublas_cases import SHAPES, cases, check, fine_product, name_of
from fake_cublas import STATUS, FakeCublas, bfloat16_bits

from accelnn.arrays import cuda_driver
from accelnn.arrays.cuda import cublas
from accelnn.arrays.cuda.cublas import Cublas, Gemm, load_library, workspace_bytes
from accelnn.errors import ArgumentError, BackendError


@pytest.fixture
def library() -> FakeCublas:
    return FakeCublas()


@pytest.fixture
def blas(library: FakeCublas) -> Cublas:
    return Cublas(0x50, 0x1000, 1 << 20, library)


@pytest.mark.parametrize("case", cases(), ids=name_of)
def test_products_are_those_of_row_major_matrices(blas: Cublas, case: dict[str, Any]) -> None:
    for shape in SHAPES:
        check(blas.gemm, shape, **case)


def test_the_stand_in_would_notice_operands_in_the_wrong_order(blas: Cublas) -> None:
    def swapped(p: Gemm) -> None:
        blas.gemm(dataclasses.replace(p, a=p.b, b=p.a))

    case = {"a_transposed": False, "b_transposed": False, "alpha": 1.0, "beta": 0.0}
    with pytest.raises(AssertionError):
        check(swapped, (4, 4, 4), **case, element="float32", result="float32")


def test_float32_does_not_round_operands_to_tf32(blas: Cublas) -> None:
    assert fine_product(blas.gemm, "float32") == 2 * np.float32((1 + 2.0**-12) ** 2)
    assert fine_product(blas.gemm, "tf32") == 2.0


@pytest.mark.parametrize(
    ("value", "bits"), [(1.0, 0x3F80), (1 + 2**-8, 0x3F80), (1 + 3 * 2**-8, 0x3F82), (-2.5, 0xC020)]
)
def test_the_stand_in_rounds_bfloat16_to_nearest_even(value: float, bits: int) -> None:
    assert int(bfloat16_bits([value])[0]) == bits


def test_the_call_has_the_arguments_that_the_documentation_asks_for(blas: Cublas, library: FakeCublas) -> None:
    library.failing["cublasGemmEx_64"] = 0
    blas.gemm(Gemm(0xA, 0xB, 0xC, 2, 3, 5, a_transposed=True, element="bfloat16", precision="bf16"))
    name, (handle, *arguments) = library.calls[-1]
    assert name == "cublasGemmEx_64"
    assert handle in library.handles
    del arguments[12], arguments[5]  # addresses of beta and alpha
    assert arguments == [0, 1, 3, 2, 5, 0xB, 14, 3, 0xA, 14, 2, 0xC, 0, 3, 68, -1]


def test_sizes_beyond_32_bits(blas: Cublas, library: FakeCublas) -> None:
    library.failing["cublasGemmEx_64"] = 0
    blas.gemm(Gemm(0xA, 0xB, 0xC, 2**32 + 1, 3, 2**33 + 1, a_transposed=True))
    arguments = library.calls[-1][1]
    assert arguments[3:6] == (3, 2**32 + 1, 2**33 + 1)
    assert arguments[12] == 2**32 + 1


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (0, 0, 0)])
def test_an_empty_result_needs_no_call(blas: Cublas, library: FakeCublas, shape: tuple[int, int, int]) -> None:
    before = len(library.calls)
    blas.gemm(Gemm(0, 0, 0, *shape))
    assert len(library.calls) == before


@pytest.mark.parametrize("case", [c for c in cases() if c["result"] != "bfloat16"], ids=name_of)
def test_an_empty_sum_is_zero(blas: Cublas, case: dict[str, Any]) -> None:
    check(blas.gemm, (3, 2, 0), **case)


def test_the_workspace_is_set_after_the_stream(library: FakeCublas) -> None:
    Cublas(0x50, 0x1000, 1 << 20, library)
    assert library.names == [
        "cublasCreate_v2",
        "cublasSetStream_v2",
        "cublasSetWorkspace_v2",
        "cublasSetPointerMode_v2",
        "cublasSetMathMode",
    ]
    [handle] = library.handles.values()
    assert (handle.stream, handle.workspace) == (0x50, (0x1000, 1 << 20))
    assert (handle.pointer_mode, handle.math_mode) == (0, 16)


def test_handles_are_independent_and_closed_once(library: FakeCublas) -> None:
    first, second = (Cublas(stream, 0x1000 * stream, 4096, library) for stream in (1, 2))
    assert [handle.stream for handle in library.handles.values()] == [1, 2]
    first.close()
    first.close()
    assert [handle.stream for handle in library.handles.values()] == [2]
    with pytest.raises(BackendError, match="the handle is closed"):
        first.gemm(Gemm(8, 8, 8, 1, 1, 1))
    second.close()
    assert library.names.count("cublasDestroy_v2") == 2


@pytest.mark.parametrize("name", [n for n in cublas.PROTOTYPES if n.startswith("cublasSet")])
def test_a_handle_that_cannot_be_set_up_is_given_back(library: FakeCublas, name: str) -> None:
    library.failing[name] = STATUS["CUBLAS_STATUS_INTERNAL_ERROR"]
    with pytest.raises(BackendError, match=rf"{name} failed with CUBLAS_STATUS_INTERNAL_ERROR \(14\): set CUBLAS_LOG"):
        Cublas(0x50, 0x1000, 4096, library)
    assert library.handles == {}


def test_a_workspace_at_an_odd_address(library: FakeCublas) -> None:
    with pytest.raises(BackendError, match="cublasSetWorkspace_v2 failed with CUBLAS_STATUS_INVALID_VALUE"):
        Cublas(0x50, 0x1010, 4096, library)


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        ("CUBLAS_STATUS_NOT_INITIALIZED", "install a current NVIDIA driver"),
        ("CUBLAS_STATUS_ALLOC_FAILED", "use a smaller batch"),
        ("CUBLAS_STATUS_NOT_SUPPORTED", "try precision 'float32'"),
        ("CUBLAS_STATUS_ARCH_MISMATCH", "try precision 'float32'"),
        ("CUBLAS_STATUS_EXECUTION_FAILED", "CUBLAS_LOGINFO_DBG=1"),
    ],
)
def test_a_failed_product_is_named_with_status_and_fix(
    blas: Cublas, library: FakeCublas, status: str, fix: str
) -> None:
    library.failing["cublasGemmEx_64"] = STATUS[status]
    with pytest.raises(BackendError) as caught:
        blas.gemm(Gemm(8, 16, 24, rows=3, columns=4, inner=5))
    message = str(caught.value)
    assert message.startswith(
        f"cublasGemmEx_64 failed with {status} ({STATUS[status]}) on Gemm(a=8, b=16, c=24, rows=3"
    )
    assert fix in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": -1}, "rows is -1: use an integer >= 0"),
        ({"inner": -2}, "inner is -2"),
        ({"precision": "bf61"}, "precision is 'bf61': did you mean 'bf16'"),
        ({"precision": "bf16"}, "element is 'float32': precision 'bf16' takes 'bfloat16'"),
        ({"element": "float64"}, "element is 'float64': precision 'float32' takes 'float32'"),
        ({"result": "bfloat16"}, "result is 'bfloat16': precision 'float32' gives float32"),
        ({"precision": "bf16", "element": "bfloat16", "result": "float64"}, "gives bfloat16 or float32"),
    ],
)
def test_products_that_do_not_exist(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        Gemm(**{"a": 0, "b": 0, "c": 0, "rows": 1, "columns": 1, "inner": 1, **options})


def test_recommended_workspace() -> None:
    sizes = [workspace_bytes(capability) >> 20 for capability in ((7, 0), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0))]
    assert sizes == [4, 4, 4, 32, 32, 32]


def pathfinder_with(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    module: Any = types.ModuleType("cuda.pathfinder")
    module.load_nvidia_dynamic_lib = load
    monkeypatch.setitem(sys.modules, "cuda", types.ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", module)


@pytest.mark.parametrize(("driver", "extra"), [(0, "cuda13"), (13000, "cuda13"), (12040, "cuda12")])
def test_without_the_packages(monkeypatch: pytest.MonkeyPatch, driver: int, extra: str) -> None:
    monkeypatch.setattr(cuda_driver, "driver_version", lambda: driver)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    with pytest.raises(BackendError) as caught:
        Cublas(0, 0, 0)
    assert str(caught.value).startswith("cuBLAS cannot be loaded (ModuleNotFoundError: ")
    assert f'to fix it, pip install "accelnn[{extra}]"' in str(caught.value)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise RuntimeError(f'Failure finding "lib{name}.so"\nsearched here and there')

    pathfinder_with(monkeypatch, load)
    with pytest.raises(BackendError, match=r'\(RuntimeError: Failure finding "libcublas.so"\); to fix it, pip install'):
        load_library()


def test_a_library_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pathfinder_with(monkeypatch, lambda name: types.SimpleNamespace(abs_path=str(tmp_path / f"lib{name}.so.13")))
    with pytest.raises(BackendError, match=r"cuBLAS cannot be loaded \((OSError|FileNotFoundError): "):
        load_library()


def test_a_library_without_the_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    # None opens this process: a library that has none of them.
    pathfinder_with(monkeypatch, lambda name: types.SimpleNamespace(abs_path=None))
    with pytest.raises(BackendError, match=r"cuBLAS cannot be loaded \((AttributeError|TypeError): "):
        load_library()
