"""The captured runner with compiled kernels, whose every access is checked: the weights of the plain runner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from accelnn_kernels.cuda import dense_shapes, persistent_shapes
from captured_training import check_agrees, dense, labels

from accelnn import SGD, Adam, BatchNorm, Dropout, LayerNorm, Rescaling
from ptx import compiled
from ptx.faults import Race
from ptx.traffic import Banks
from ptx.translation import translate

ROWS, COLUMNS = 15, 12
OF_FLOAT32 = {"dtype": "float32", "tolerance": 2e-6}


def pixels() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (ROWS, COLUMNS)).astype(np.uint8)


def numbers(dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(5).normal(size=(ROWS, COLUMNS)).astype(dtype)


def small(**options: Any) -> Any:
    """Return the layers of a network 12-8-6-3 of dense layers, behind a scale for its inputs."""
    sizes = (8, "relu"), (6, "relu"), (3, "softmax")
    return lambda: [Rescaling(1 / 255), *(dense(n, activation, **options) for n, activation in sizes)]


def check(on_device: Any, layers: Any, x: np.ndarray, **options: Any) -> Any:
    """Train on both; the second of two batches of an epoch is a partial one, after two full ones."""
    return check_agrees(on_device, layers, x, labels(n=ROWS), batch_size=6, **options)


@pytest.mark.parametrize("form", ["persistent", "fused"])
def test_dense_layers_and_adam(on_device: Any, use_form: Any, form: str) -> None:
    use_form(form)
    device = check(on_device, small(), pixels(), optimizer=Adam(0.01), **OF_FLOAT32)
    assert any(line.startswith("persistent_steps") for line in device.log) == (form == "persistent")


@pytest.mark.parametrize(("instruction", "weaker"), [
    ("red.release.gpu", "red.relaxed.gpu"),
    ("ld.acquire.gpu", "ld.relaxed.gpu"),
    ("membar.gl;", ""),
])  # fmt: skip
def test_blocks_that_do_not_wait_properly_are_found(
    on_device: Any, use_form: Any, monkeypatch: pytest.MonkeyPatch, instruction: str, weaker: str
) -> None:
    use_form("persistent")

    def machine_of(kernel: Any) -> Any:
        ptx = compiled.ptx_of(kernel)
        assert instruction in ptx
        return translate(ptx.replace(instruction, weaker))

    monkeypatch.setattr(compiled, "machine_of", machine_of)
    with pytest.raises(Race, match=r"^persistent_steps\.relu.*\n.*'(ld|st)\..*\n.*'(ld|st)\."):
        check(on_device, small(), pixels(), optimizer=Adam(0.01), **OF_FLOAT32)


def test_blocks_with_several_tiles_and_quads_of_rows(on_device: Any, use_form: Any) -> None:
    """61-32-16-3 and 30 rows in five blocks, with a partial batch: no size is a multiple of four or of a tile."""
    use_form("persistent")
    x = np.random.default_rng(4).normal(size=(39, 61))
    layers = lambda: [dense(32, "tanh"), dense(16, "tanh"), dense(3, "softmax")]  # noqa: E731
    check_agrees(on_device, layers, x, labels(n=39), batch_size=30, optimizer=Adam(0.01))


def test_inputs_that_are_read_16_bytes_at_a_time(on_device: Any, use_form: Any, monkeypatch: Any) -> None:
    """Tiles as large as those of large layers: 64 inputs, of which each of four groups has 16; the last tile has 16."""
    use_form("persistent")
    monkeypatch.setattr(dense_shapes, "MIN_TILES", 1)
    lanes, *_ = persistent_shapes.lanes([persistent_shapes.Layer(80, 16), persistent_shapes.Layer(16, 3)], 128, 512)
    assert (lanes["gradient_rows"], lanes["part_groups"]) == (4, 2)
    rng = np.random.default_rng(7)
    layers = lambda: [Rescaling(1 / 255), dense(16, "relu"), dense(3, "softmax")]  # noqa: E731
    x = rng.integers(0, 256, (128, 80)).astype(np.uint8)
    check_agrees(on_device, layers, x, labels(n=128), batch_size=128, optimizer=SGD(0.1), **OF_FLOAT32)


def test_the_persistent_kernel_does_not_wait_for_banks(on_device: Any, use_form: Any, monkeypatch: Any) -> None:
    """Except in products whose lanes are four: their groups lie turned round by fewer places than there are banks."""
    use_form("persistent")
    banks = Banks(monkeypatch)
    check(on_device, small(), pixels(), optimizer=Adam(0.01), **OF_FLOAT32)
    assert banks.accesses > 10_000
    assert banks.cycles < 1.02 * banks.accesses


def test_the_usual_network_at_its_full_size(on_device: Any, use_form: Any) -> None:
    """784-128-64-10 and 128 rows, with the blocks and threads that a GPU gets."""
    use_form("fused")
    rng = np.random.default_rng(6)
    x, y = rng.integers(0, 256, (128, 784)).astype(np.uint8), rng.integers(0, 10, 128)
    sizes = (128, "relu"), (64, "relu"), (10, "softmax")
    layers = lambda: [Rescaling(1 / 255), *(dense(n, activation) for n, activation in sizes)]  # noqa: E731
    check_agrees(on_device, layers, x, y, batch_size=128, epochs=1, optimizer=SGD(0.1), **OF_FLOAT32)


def test_dense_layers_with_penalties_and_a_clipped_norm(on_device: Any) -> None:
    optimizer = SGD(0.1, momentum=0.9, clip_norm=0.5)
    check(on_device, small(l2=0.01), numbers(), optimizer=optimizer, **OF_FLOAT32)


def test_dense_layers_in_float64(on_device: Any, use_form: Any) -> None:
    use_form("fused")
    layers = lambda: [dense(8), dense(6), dense(3, "softmax")]  # noqa: E731
    check(on_device, layers, numbers("float64"), optimizer=SGD(0.1), tolerance=1e-11)


def test_other_layers_between_products(on_device: Any) -> None:
    layers = lambda: [BatchNorm(), dense(8, "gelu"), Dropout(0.3), LayerNorm(), dense(3, "softmax")]  # noqa: E731
    device = check(on_device, layers, numbers("float64"), optimizer=SGD(0.05), tolerance=1e-11)
    assert "gemm" in device.log


def test_bfloat16_products(on_device: Any, use_form: Any) -> None:
    use_form("products")
    options = {"precision": "bf16", "dtype": "float32", "tolerance": 2e-2, "epochs": 1}
    check(on_device, lambda: [dense(8, "relu"), dense(3, "softmax")], numbers(), optimizer=SGD(0.1), **options)
