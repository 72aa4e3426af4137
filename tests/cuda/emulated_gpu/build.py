"""Builds what CuPy needs to run on the emulation: stubs of the libraries, and its module for the CUDA runtime.

CuPy's own module has the runtime inside, which talks to the driver in ways that NVIDIA does not document. So that one
module is compiled once more from CuPy's source, against the stubs. Needs Linux, a C++ compiler, pip and the packages
that ``make emulated-gpu`` installs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emulated_gpu.calls import ARGUMENTS, MOST_ARGUMENTS, NAMES, USUAL_ARGUMENTS
from emulated_gpu.settings import FOLDER, MULTIPROCESSORS

RUNTIME = f"cupy_backends/cuda/api/runtime{sysconfig.get_config_var('EXT_SUFFIX')}"
CUBLAS = f"cupy_backends/cuda/libs/cublas{sysconfig.get_config_var('EXT_SUFFIX')}"

DRIVER_FUNCTIONS = [
    *("cuInit", "cuDriverGetVersion", "cuGetErrorName", "cuGetErrorString", "cuCtxGetCurrent", "cuCtxSetCurrent"),
    *("cuModuleLoadData", "cuModuleUnload", "cuModuleGetFunction", "cuLaunchKernel", "cuLaunchCooperativeKernel"),
    *("cuFuncGetAttribute", "cuOccupancyMaxActiveBlocksPerMultiprocessor", "cuGetExportTable"),
]
"""What CuPy and we call of the driver. NVRTC asks for the last one, and wants an error rather than nothing."""

OWN_CUBLAS_FUNCTIONS = ["cublasGemmEx_64", "cublasSetWorkspace_v2"]
"""What CuPy does not call."""

IN_C = {"cudaGetErrorName", "cudaGetErrorString", "cudaGetDeviceProperties", "cublasGetStatusName"}
"""They return no error, or fill a large structure."""


def main() -> None:
    """Build everything, in a folder that is put in place at the end."""
    compiler = shutil.which("c++") or sys.exit("a C++ compiler is needed, and there is no c++")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runtime = _compiled_runtime(compiler, folder)
        _library(compiler, folder, "cuda.so.1", _undefined(runtime) + DRIVER_FUNCTIONS, _ERROR_NAMES + _PROPERTIES)
        cublas = _undefined(_installed(CUBLAS), "-D") + OWN_CUBLAS_FUNCTIONS
        _library(compiler, folder, "cublas.so.13", [n for n in cublas if n.startswith("cublas")], _STATUS_NAME)
        shutil.copytree(_installed("cupy_backends"), folder / "cupy_backends")
        link = ["-shared", "-L", folder, "-l:libcuda.so.1", "-o", folder / RUNTIME]
        _run(compiler, runtime, *link)
        (folder / "sitecustomize.py").write_text("import emulated_gpu.start\n")
        shutil.rmtree(FOLDER, ignore_errors=True)  # with what CuPy has compiled
        FOLDER.mkdir()
        for path in folder.iterdir():
            if path.name.startswith(("lib", "names", "cupy_backends", "sitecustomize")):
                shutil.move(path, FOLDER / path.name)


def _compiled_runtime(compiler: str, folder: Path) -> Path:
    """Return CuPy's module for the runtime, compiled and not yet linked."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "cupy", "--dest", folder]
    # Where its documentation is built, CuPy's setup does not insist on a whole CUDA.
    _run(*pip, f"cupy=={version('cupy-cuda13x')}", environment={"READTHEDOCS": "True"})
    with tarfile.open(next(folder.glob("cupy-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(folder.glob("cupy-*/cupy_backends/cuda/api/runtime.pyx"))
    root, output = source.parents[3], folder / "runtime.o"
    _run(sys.executable, "-c", _CYTHON, cwd=root)
    include = [sysconfig.get_path("include"), *_packaged("nvidia/cu13/include"), *_packaged("numpy/_core/include")]
    flags = [f"-I{path}" for path in include] + ["-D_FORCE_INLINES=1", "-fPIC", "-O1", "-w"]
    _run(compiler, *flags, "-c", source.with_suffix(".cpp"), "-o", output, cwd=root)
    return output


_CYTHON = """
from Cython.Compiler.Main import CompilationOptions, compile
constants = {"CUPY_CUDA_VERSION": 13000, "CUPY_HIP_VERSION": 0, "CUPY_USE_CUDA_PYTHON": False}
options = CompilationOptions(cplus=True, language_level=3, include_path=["."], compile_time_env=constants)
compile(["cupy_backends/cuda/api/runtime.pyx"], options=options)
"""


def _library(compiler: str, folder: Path, name: str, names: list[str], more: str) -> None:
    """Build a library whose functions call what Python has put into its table; their names go to a file."""
    stubs = [function for function in sorted(set(names)) if function not in IN_C]
    source = folder / f"{name}.cpp"
    source.write_text(_stubs(stubs) + more)
    (folder / f"names_{name}.txt").write_text("\n".join(stubs))
    include = [f"-I{path}" for path in _packaged("nvidia/cu13/include")]
    flags = ["-shared", "-fPIC", "-O0", "-w", f"-Wl,-soname,lib{name}", *include]
    _run(compiler, *flags, source, "-o", folder / f"lib{name}")


def _stubs(names: list[str]) -> str:
    kinds = ", ".join(["long"] * MOST_ARGUMENTS)
    lines = [
        "#include <cstdio>",
        'extern "C" {',
        f"typedef long (*function)({kinds});",
        f"static function table[{len(names)}];",
        "static int is_over;",
        "void connect_stub(int place, function f) { table[place] = f; }",
        "void end_stubs() { is_over = 1; }  // the interpreter is gone, and CuPy cleans up",
    ]
    for place, name in enumerate(names):
        count = ARGUMENTS.get(name, USUAL_ARGUMENTS)
        declared = ", ".join(f"long a{i}" for i in range(count))
        passed = ", ".join([f"a{i}" for i in range(count)] + ["0"] * (MOST_ARGUMENTS - count))
        lines.append(
            f"long {name}({declared}) {{ if (is_over) return 0; "
            f'if (!table[place_{place}]) {{ std::fprintf(stderr, "{name} is not emulated\\n"); return 801; }} '
            f"return table[place_{place}]({passed}); }}".replace(f"place_{place}", str(place))
        )
    return "\n".join([*lines, "}"])


_ERROR_NAMES = (
    '\nextern "C" const char* cudaGetErrorName(int error) { switch (error) {'
    + "".join(f' case {number}: return "{name}";' for number, name in NAMES.items())
    + ' } return "cudaErrorUnknown"; }\n'
    + 'extern "C" const char* cudaGetErrorString(int) { return "stderr says more"; }\n'
)

_PROPERTIES = f"""
#include <cstring>
#include <driver_types.h>
extern "C" int cudaGetDeviceProperties(struct cudaDeviceProp* p, int) {{
    std::memset(p, 0, sizeof *p);
    std::strcpy(p->name, "Emulated GPU");
    p->totalGlobalMem = 4ul << 30;
    p->major = 9;
    p->multiProcessorCount = {MULTIPROCESSORS};
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->sharedMemPerBlock = 48 << 10;
    p->l2CacheSize = 50 << 20;
    return 0;
}}
"""

_STATUS_NAME = '\nextern "C" const char* cublasGetStatusName(int) { return "CUBLAS_STATUS_EMULATED"; }\n'


def _undefined(library: Path, *options: str) -> list[str]:
    """Return the functions of CUDA that a library takes from others."""
    listed = _run("nm", "--undefined-only", *options, library)
    names = [line.split()[-1].partition("@")[0] for line in listed.splitlines() if line.strip()]
    return [name for name in names if name.startswith(("cuda", "cublas"))]


def _installed(part: str) -> Path:
    spec = importlib.util.find_spec("cupy_backends")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1] / part


def _packaged(folder: str) -> list[Path]:
    """Return a folder in the packages that are installed."""
    return [path for root in sys.path if root and (path := Path(root, folder)).is_dir()]


def _run(*command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    options: dict[str, Any] = {"cwd": cwd, "env": {**os.environ, **environment}}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
