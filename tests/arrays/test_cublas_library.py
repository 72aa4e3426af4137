"""The real cuBLAS: its headers and its library where they are installed, and its products where there is a GPU."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cublas_cases import SHAPES, cases, check, fine_product, name_of
from fake_cublas import STATUS

from accelnn.arrays import cuda_driver, cuda_probe
from accelnn.arrays.cuda import cublas
from accelnn.arrays.cuda.cublas import Cublas, Gemm, load_library, workspace_bytes
from accelnn.errors import BackendError


def header(library: str, name: str) -> str:
    pathfinder = pytest.importorskip("cuda.pathfinder", reason="the CUDA packages are not installed")
    folder = pathfinder.find_nvidia_header_directory(library)
    if folder is None:
        pytest.skip(f"the headers of {library} are not installed")
    return Path(folder, name).read_text()


C_TYPES = {
    "cublasHandle_t": ctypes.c_void_p,
    "cublasHandle_t*": ctypes.POINTER(ctypes.c_void_p),
    "cudaStream_t": ctypes.c_void_p,
    "void*": ctypes.c_void_p,
    "size_t": ctypes.c_size_t,
    "int64_t": ctypes.c_int64,
    "cublasPointerMode_t": ctypes.c_int,
    "cublasMath_t": ctypes.c_int,
    "cublasOperation_t": ctypes.c_int,
    "cudaDataType": ctypes.c_int,
    "cublasComputeType_t": ctypes.c_int,
    "cublasGemmAlgo_t": ctypes.c_int,
}


@pytest.mark.parametrize("name", cublas.PROTOTYPES)
def test_prototypes_are_those_of_the_header(name: str) -> None:
    found = re.search(rf"cublasStatus_t CUBLASWINAPI\s+{name}\(([^)]*)\);", header("cublas", "cublas_api.h"))
    assert found is not None
    declared = [re.fullmatch(r"\s*(?:const )?(\w+\*?) \w+\s*", argument) for argument in found[1].split(",")]
    assert tuple(C_TYPES[argument[1]] for argument in declared if argument) == cublas.PROTOTYPES[name]
    assert all(declared)


def test_enumerations_are_those_of_the_headers() -> None:
    text = header("cublas", "cublas_api.h") + header("cudart", "library_types.h")
    values = {name: int(value) for name, value in re.findall(r"\b(CU[A-Z]+_\w+)\s*=\s*(-?\d+)\b", text)}
    assert {name: values[name] for name in STATUS} == STATUS
    assert {
        "float32": values["CUDA_R_32F"],
        "float64": values["CUDA_R_64F"],
        "bfloat16": values["CUDA_R_16BF"],
    } == cublas.CUDA_TYPE
    assert {name: precision.compute for name, precision in cublas.PRECISIONS.items()} == {
        "float32": values["CUBLAS_COMPUTE_32F"],
        "tf32": values["CUBLAS_COMPUTE_32F_FAST_TF32"],
        "bf16": values["CUBLAS_COMPUTE_32F"],
        "float64": values["CUBLAS_COMPUTE_64F"],
    }
    assert (values["CUBLAS_OP_N"], values["CUBLAS_OP_T"]) == (0, 1)
    assert values["CUBLAS_GEMM_DEFAULT"] == cublas._GEMM_DEFAULT
    assert values["CUBLAS_POINTER_MODE_HOST"] == cublas._POINTER_MODE_HOST
    reduction = values["CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION"]
    assert values["CUBLAS_DEFAULT_MATH"] | reduction == cublas._MATH_MODE


@pytest.fixture
def real_library() -> Any:
    pytest.importorskip("cuda.pathfinder", reason="the CUDA packages are not installed")
    try:
        return load_library()
    except BackendError as error:
        pytest.skip(str(error))


def test_the_real_library_has_the_functions_and_names_its_statuses(real_library: Any) -> None:
    names = {real_library.cublasGetStatusName(number).decode(): number for number in STATUS.values()}
    assert names == STATUS


def test_the_real_library_without_a_driver(real_library: Any) -> None:
    if cuda_driver.driver_version():
        pytest.skip("there is a driver")
    with pytest.raises(BackendError, match="cublasCreate_v2 failed with CUBLAS_STATUS_NOT_INITIALIZED"):
        Cublas(0, 0, 0, real_library)


def test_the_real_library_refuses_a_call_without_a_handle(real_library: Any) -> None:
    for name, arguments in cublas.PROTOTYPES.items():
        if name != "cublasCreate_v2":
            nothing = [None if kind is ctypes.c_void_p else 0 for kind in arguments]
            assert getattr(real_library, name)(*nothing) == STATUS["CUBLAS_STATUS_NOT_INITIALIZED"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("order", [("cupy.cuda.cublas", "load_library()"), ("load_library()", "cupy.cuda.cublas")])
def test_the_library_is_the_one_that_cupy_uses(real_library: Any, order: tuple[str, str]) -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    code = (
        "import cupy, pathlib\n"
        "from accelnn.arrays.cuda.cublas import load_library\n"
        "def copies(): return {line.split()[-1] for line in pathlib.Path('/proc/self/maps').read_text().splitlines()"
        " if 'libcublas.so' in line}\n"
        "FIRST; one = copies(); SECOND; assert len(one) == 1 and copies() == one, (one, copies())\n"
    )
    code = code.replace("FIRST", order[0]).replace("SECOND", order[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)


@pytest.fixture
def gpu() -> Iterator[Any]:
    """CuPy, a stream that can be captured and a handle for it."""
    problem = cuda_probe.find_problem()
    if problem is not None:
        pytest.skip(problem.cause)
    cupy = cuda_probe.cupy_module()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        workspace = cupy.empty(workspace_bytes((9, 0)), cupy.uint8)
        handle = Cublas(stream.ptr, workspace.data.ptr, workspace.nbytes)
        yield types.SimpleNamespace(cupy=cupy, stream=stream, gemm=handle.gemm)
        handle.close()


@pytest.mark.gpu
@pytest.mark.parametrize("case", cases(), ids=name_of)
def test_products_on_a_gpu(gpu: Any, case: dict[str, Any]) -> None:
    for shape in (*SHAPES, (3, 2, 0)):
        check(gpu.gemm, shape, gpu.cupy, **case)


@pytest.mark.gpu
def test_precisions_on_a_gpu(gpu: Any) -> None:
    assert fine_product(gpu.gemm, "float32", gpu.cupy) == 2 * np.float32((1 + 2.0**-12) ** 2)


@pytest.mark.gpu
@pytest.mark.parametrize("case", [c for c in cases() if c["beta"] == 0.25], ids=name_of)
def test_captured_products_on_a_gpu(gpu: Any, case: dict[str, Any]) -> None:
    def captured(product: Gemm) -> None:
        scratch = gpu.cupy.zeros(product.rows * product.columns)  # float64: large enough for every result
        gpu.gemm(dataclasses.replace(product, c=scratch.data.ptr))  # loads the kernels
        gpu.stream.synchronize()
        gpu.stream.begin_capture()
        gpu.gemm(product)
        graph = gpu.stream.end_capture()
        graph.launch(gpu.stream)
        gpu.stream.synchronize()

    check(captured, (17, 10, 33), gpu.cupy, **case)
