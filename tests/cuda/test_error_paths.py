"""Where CUDA cannot be used: ``"cuda"`` says why and what to install, ``"auto"`` is the CPU and says so once.

Each case runs in a process of its own. They are tried with what is installed: without the CUDA packages, and with them
but without a driver. So ``make test`` and ``make cuda-check`` together try all of them on a machine without a GPU.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from accelnn.arrays import cuda_driver

ROOT = Path(__file__).parents[2]

without_driver = pytest.mark.skipif(cuda_driver.driver_version() > 0, reason="there is an NVIDIA driver here")
without_packages = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is not None,
    reason="CuPy is installed: make test tries this in an environment without it",
)
with_packages = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None or importlib.util.find_spec("numba_cuda") is None,
    reason="the CUDA packages are not installed: make cuda-check installs them and tries this",
)

NO_DRIVER = "no NVIDIA driver was found; to fix it, install a current NVIDIA driver (https://www.nvidia.com/drivers)"
INSTALL_13 = 'pip install "accelnn[cuda13]"'
INSTALL_12 = 'pip install "accelnn[cuda12]"'


def run(code: str, cache: Path | None = None, **variables: str) -> str:
    """Return what ``code`` prints. Every warning is an error there, and Numba's simulator is off."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]), **variables}
    if cache is not None:
        environment["ACCELNN_CACHE_DIR"] = str(cache)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True, text=True, check=False, env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def error_of_cuda(driver: int | None = None, device: str = "cuda") -> str:
    """Return the message for a model on ``device``; ``driver`` pretends that there is one for this CUDA."""
    pretended = "" if driver is None else f"cuda_driver.driver_version = lambda: {driver}"
    message = run(f"""
        from accelnn import Dense, Sequential, errors
        from accelnn.arrays import cuda_driver
        {pretended}
        try:
            Sequential([Dense(2)], backend={device!r})
        except errors.BackendError as error:
            print(error)
    """)
    assert message.count("\n") == 1
    return message.strip()


@without_driver
def test_without_a_driver() -> None:
    message = error_of_cuda()
    assert message.startswith(f"backend 'cuda:0' cannot be used: {NO_DRIVER}, then {INSTALL_13}")
    assert message.endswith("or use backend 'cpu'")
    assert error_of_cuda(device="cuda:3").startswith(f"backend 'cuda:3' cannot be used: {NO_DRIVER}")


@without_driver
def test_auto_trains_on_the_cpu_and_says_why_once() -> None:
    printed = run("""
        import logging, sys
        import numpy as np
        from accelnn import Dense, Sequential
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s %(message)s")
        for _ in range(2):
            model = Sequential([Dense(2, "softmax")], seed=0)
            history = model.fit(np.ones((4, 3)), [0, 1, 0, 1], epochs=1, batch_size=2, verbose=0, runner="plain")
        print(model.backend.device, history.runner, *(name for name in ("cupy", "numba.cuda") if name in sys.modules))
    """)
    lines = [line for line in printed.splitlines() if "'auto'" in line]
    assert lines == [f"accelnn backend 'auto' is the CPU: {NO_DRIVER.replace('; to fix it, ', ' (for CUDA, ')}, then "
                     f'{INSTALL_13} (on a Volta GPU: "accelnn[cuda12]"))']  # fmt: skip
    assert printed.splitlines()[-1] == "cpu plain"


@without_driver
def test_info_says_what_to_install() -> None:
    printed = run("""
        import sys
        sys.argv = ["accelnn", "info"]
        from accelnn.cli import main
        try:
            main()
        except SystemExit as finished:
            assert not finished.code
    """)
    line = next(line for line in printed.splitlines() if "cuda: " in line)
    assert line.startswith("backend  cuda: not usable, no NVIDIA driver was found; to use it, install a current")
    assert INSTALL_13 in line


@without_packages
@pytest.mark.parametrize(("driver", "install"), [(13000, INSTALL_13), (12040, INSTALL_12)])
def test_a_driver_and_no_packages(driver: int, install: str) -> None:
    message = error_of_cuda(driver)
    assert message.startswith(f"backend 'cuda:0' cannot be used: CuPy is not installed; to fix it, {install}")


@without_packages
def test_numbas_own_cuda_target_will_not_do() -> None:
    """It is another one than NVIDIA's, or it is gone, or it warns that it is going to be."""
    printed = run("""
        import warnings
        from accelnn.arrays import cuda_packages
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            print(cuda_packages.numba_problem(13000))
    """)
    assert "numba-cuda is not installed" in printed or "numba.cuda cannot be imported" in printed
    assert INSTALL_13 in printed


@with_packages
@without_driver
def test_a_device_that_does_not_answer() -> None:
    """The driver is pretended, so the first real question to the device fails."""
    message = error_of_cuda(99000)
    assert "no CUDA device answers (CUDARuntimeError: cudaErrorInsufficientDriver" in message
    assert "nvidia-smi" in message or "CUDA_VISIBLE_DEVICES" in message


@with_packages
def test_a_driver_older_than_the_packages() -> None:
    assert "the driver supports CUDA 11.8 and 12.0 is needed; to fix it, install a current" in error_of_cuda(11080)
    runtime = int(run("import cupy; print(cupy.cuda.runtime.runtimeGetVersion())"))
    if runtime >= 13000:
        message = error_of_cuda(12040)
        assert "the driver supports CUDA 12.4 and the installed CuPy needs CUDA 13; to fix it, install a" in message
        assert INSTALL_12 in message


CHECKS = """
    from accelnn.arrays import cuda_packages
    print(cuda_packages.cupy_problem(99000))
    print(cuda_packages.numba_problem(13000))
    print(cuda_packages.cublas_problem(13000))
    print(cuda_packages.compiler_problem(13000, (9, 0)))
"""
CUPY, NUMBA, CUBLAS, COMPILER = range(4)

BLOCKED = """
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == {package!r} or name.startswith({package!r} + "."):
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Missing())
"""

NOT_FOUND = """
    from cuda import pathfinder

    found = pathfinder.load_nvidia_dynamic_lib

    def load(name):
        if name == {library!r}:
            raise pathfinder.DynamicLibNotFoundError(f'Failure finding "lib{{name}}.so": No such file\\nmore')
        return found(name)

    pathfinder.load_nvidia_dynamic_lib = load
"""

NEW_NUMPY = """
    import numpy
    numpy.__version__ = "2.5.0"
"""


def checked(spoil: str, cache: Path) -> list[str]:
    """Return what the checks of the packages answer after some code has spoiled them."""
    return run(textwrap.dedent(spoil) + textwrap.dedent(CHECKS), cache).splitlines()


@with_packages
def test_packages_that_fit(tmp_path: Path) -> None:
    assert checked("", tmp_path) == ["None"] * 4


@with_packages
@pytest.mark.parametrize(
    ("spoil", "check", "cause"),
    [
        (BLOCKED.format(package="cupy"), CUPY, "CuPy is not installed"),
        (BLOCKED.format(package="cuda.pathfinder"), CUPY, "the package 'cuda.pathfinder', which CuPy needs, is not"),
        (BLOCKED.format(package="numba_cuda"), NUMBA, "numba.cuda cannot be imported (ModuleNotFoundError: No mod"),
        (BLOCKED.format(package="cuda.core"), NUMBA, "No module named 'cuda.core'"),
        (BLOCKED.format(package="cuda.bindings"), NUMBA, "No module named 'cuda.bindings'"),
        (BLOCKED.format(package="cuda.core"), COMPILER, "kernels cannot be compiled (ModuleNotFoundError: No module"),
        (NEW_NUMPY, NUMBA, "does not work with NumPy 2.5.0"),
        (NOT_FOUND.format(library="cublas"), CUBLAS, 'cuBLAS cannot be loaded (DynamicLibNotFoundError: Failure find'),
        (NOT_FOUND.format(library="nvJitLink"), COMPILER, "kernels cannot be compiled ("),
        (NOT_FOUND.format(library="nvvm"), COMPILER, "kernels cannot be compiled ("),
    ],
    ids=["CuPy", "pathfinder", "numba-cuda", "cuda-core", "cuda-bindings", "no compiler", "NumPy", "cuBLAS",
         "nvJitLink", "NVVM"],
)  # fmt: skip
def test_packages_that_are_missing_or_do_not_fit(spoil: str, check: int, cause: str, tmp_path: Path) -> None:
    problem = checked(spoil, tmp_path)[check]
    assert cause in problem
    assert INSTALL_13 in problem
