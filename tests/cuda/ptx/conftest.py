"""Kernels as compiled code, on a machine that checks every access: see :mod:`ptx.machine`.

The tests of the simulator say what kernels are given and what is right. They need no simulator for that: their
functions are called here, with launches on the machine.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cuda_packages import reason_to_skip

SIMULATOR = Path(__file__).parents[1] / "simulator"


class SkippedModule(pytest.Module):
    """A file of tests that is not even imported."""

    def collect(self) -> list[pytest.Item]:
        raise pytest.skip.Exception(reason_to_skip(), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if reason_to_skip():
        return SkippedModule.from_parent(parent, path=module_path)
    if str(SIMULATOR) not in sys.path:
        sys.path.append(str(SIMULATOR))
    return None


@pytest.fixture(autouse=True)
def arithmetic_of_devices() -> Iterator[None]:
    """Poison and overflow are met in tests on purpose; all other warnings are errors, as everywhere."""
    with warnings.catch_warnings():
        for cause in ("overflow", "invalid value", "divide by zero", "underflow"):
            warnings.filterwarnings("ignore", f"{cause} encountered", RuntimeWarning)
        yield


@pytest.fixture(autouse=True)
def on_the_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let ``simulation.simulate`` launch on the machine, which knows the arrays of the test and nothing else."""
    import simulation

    from ptx import compiled
    from ptx.memory import Memory

    def execute(kernel: Any, arguments: tuple[float, ...], grid: Any, block: Any) -> None:
        memory = Memory()
        for array, poison in simulation.arrays():
            memory.add_array(array).forbid(poison)
        launch = kernel.launch_shape(*arguments)
        compiled.execute(kernel, arguments, grid or launch.grid, block or launch.block, memory)

    monkeypatch.setattr(simulation, "execute", execute)
    compiled.restart_seeds()
    compiled.launched.clear()
    simulation.forget_arrays()
    yield
    simulation.check_guards()
    simulation.forget_arrays()


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes fits from now on run on an emulated device, which it returns."""
    import captured_training

    from ptx.emulated_device import EmulatedDevice

    monkeypatch.setattr(captured_training, "SimulatedDevice", EmulatedDevice)
    return partial(captured_training.put_on_device, monkeypatch)


@pytest.fixture
def use_form(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that says what steps are made of, one of ``captured_training.FORMS``."""
    import captured_training

    return partial(captured_training.use_form, monkeypatch)
