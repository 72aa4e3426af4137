"""How many instructions warps execute in each part of a step of the persistent kernel, between barriers of all blocks.

They are those of the compiled code (PTX), which the assembler changes by some percent. A multiprocessor begins four of
them in a cycle at most. Of 784-128-64-10, with the rows of a batch as argument:

    PYTHONPATH=kernels:.:tests/cuda:tests/cuda/simulator .venv-cuda/bin/python -m ptx.effort 128
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from ptx.machine import Launch
from ptx.thread_block import ThreadBlock
from ptx.traffic import WARP

BLOCKS, UNITS = 132, (784, 128, 64, 10)


class Effort:
    """The instructions of launches from now on; ``parts[i][block]``: behind ``i`` arrivals of the block at barriers."""

    def __init__(self, monkeypatch: Any) -> None:
        self.parts: dict[int, dict[int, int]] = {}
        self._arrivals: dict[int, int] = {}
        self._counted: list[Any] = []
        start, atomic = Launch.__init__, ThreadBlock.atomic

        def begin(launch: Launch, machine: Any, *arguments: Any, **options: Any) -> None:
            self.parts, self._arrivals = defaultdict(lambda: defaultdict(int)), defaultdict(int)
            if not any(machine is other for other in self._counted):
                self._counted.append(machine)
                for step, block in zip(machine.steps, machine.program.blocks, strict=True):
                    step.run = self._counting(step.run, len(block.instructions))
            start(launch, machine, *arguments, **options)

        def arrive(block: ThreadBlock, operation: Any, lanes: Any, addresses: Any, amount: Any) -> Any:
            self._arrivals[block.number] += 1
            return atomic(block, operation, lanes, addresses, amount)

        monkeypatch.setattr(Launch, "__init__", begin)
        monkeypatch.setattr(ThreadBlock, "atomic", arrive)

    def _counting(self, run: Any, size: int) -> Any:
        def counted(registers: Any, lanes: Any, block: ThreadBlock) -> Any:
            warps = np.unique((block.all if lanes is None else lanes) // WARP).size
            self.parts[self._arrivals[block.number]][block.number] += size * warps
            return run(registers, lanes, block)

        return counted


def main(batch: int) -> None:
    """Train two steps, without a search for races, and print the most and the mean of all blocks for each part."""
    import captured_training

    from accelnn import Rescaling
    from ptx.emulated_device import EmulatedDevice

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (2 * batch, UNITS[0])).astype(np.uint8), rng.integers(0, UNITS[-1], 2 * batch)
    hidden = [captured_training.dense(n, "relu") for n in UNITS[1:-1]]
    layers = [Rescaling(1 / 255), *hidden, captured_training.dense(UNITS[-1], "softmax")]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="ignore"):
        patch.setattr(captured_training, "SimulatedDevice", EmulatedDevice)
        patch.setattr(Launch, "note", lambda launch, access: None)
        effort = Effort(patch)
        captured_training.use_form(patch, "persistent")
        captured_training.put_on_device(patch, blocks=BLOCKS)
        captured_training.trained(lambda: layers, x, y, dtype="float32", batch_size=batch, epochs=1)
    for part, blocks in sorted(effort.parts.items()):
        most, mean = max(blocks.values()), np.mean(list(blocks.values()))
        print(f"behind {part} barriers: {most:6d} at most, {mean:8.0f} a block")


if __name__ == "__main__":
    main(int(sys.argv[1]))
