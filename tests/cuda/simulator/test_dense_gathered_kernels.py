"""Dense layers that read the rows of the data themselves; and what kernels of dense layers read at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from accelnn_kernels.cuda.catalog import cuda_kernel
from dense_layers import a_layer, check_sums, scores
from simulation import device_array, host_values, poisoned, simulate

from accelnn.arrays import reference


def some_data(source: str, n: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(columns)
    return device_array(
        rng.integers(0, 256, (n, columns)) if source == "uint8" else rng.normal(size=(n, columns)), source
    )


SCALING = (1 / 255, -0.25)


def check_gathered(
    data: np.ndarray, indices: np.ndarray, layer: SimpleNamespace, cursor: Any = 0, ahead: int = 0, first: int = 0
) -> None:
    """Run both kernels for the rows ``indices[first :]`` of ``data``, and check what they leave."""
    rows, n_in, n_out = layer.shape
    source, element, d = data.dtype.name, layer.element, layer.device
    place = (data, data.strides[0] // data.itemsize, device_array(indices))
    a = poisoned((rows, n_out), element)
    behind = (*layer.shape, *SCALING, cursor, ahead)
    kernel = cuda_kernel("dense_forward_gathered", f"identity.{source}", element)
    simulate(kernel, (*place, d.weight, d.bias, 0, a, *behind))
    layer.x = data[indices[first : first + rows]].astype(np.float64) * SCALING[0] + SCALING[1]
    inner = np.abs(layer.x) + 1
    check_sums(
        host_values(a, element),
        scores(layer)[0],
        inner @ np.abs(layer.weight) + np.abs(layer.bias),
        layer.real,
        element,
    )
    dw, db = poisoned((n_in, n_out), layer.real), poisoned(n_out, layer.real)
    simulate(cuda_kernel("dense_backward_gathered", source, element), (d.dz, *place, dw, db, *behind))
    check_sums(host_values(dw), layer.x.T @ layer.dz, inner.T @ np.abs(layer.dz), layer.real, layer.real)
    check_sums(host_values(db), layer.dz.sum(axis=0), np.abs(layer.dz).sum(axis=0), layer.real, layer.real)


@pytest.mark.parametrize("element", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("source", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 20, 8), (6, 7, 5)])
def test_rows_of_the_data(shape: tuple[int, int, int], source: str, element: str) -> None:
    indices = np.random.default_rng(0).integers(0, 11, shape[0])
    check_gathered(some_data(source, 11, shape[1]), indices, a_layer(*shape, element))


@pytest.mark.parametrize("ahead", [0, 2])
def test_rows_of_a_later_step(ahead: int) -> None:
    indices = np.random.default_rng(1).permutation(20)
    layer, cursor = a_layer(5, 16, 8, "float32"), device_array([7, 3])
    check_gathered(some_data("uint8", 20, 16), indices, layer, cursor, ahead, first=3 + 5 * ahead)


@pytest.mark.parametrize("source", ["uint8", "float32", "float64"])
def test_rows_that_lie_apart_or_begin_anywhere(source: str) -> None:
    data, odd, indices = some_data(source, 8, 24), some_data(source, 8, 17), np.array([2, 0, 3, 2])
    for rows in (data[::2, :16], data[:, 1:17], data[::-1, 4:20], odd[:, :16], data[:, :14]):
        check_gathered(rows, indices, a_layer(4, rows.shape[1], 8, "float32"))


def test_gathered_activations_that_keep_z() -> None:
    layer, data = a_layer(3, 8, 4, "float64"), some_data("uint8", 3, 8)
    z, a = poisoned((3, 4), "float64"), poisoned((3, 4), "float64")
    d, kernel = layer.device, cuda_kernel("dense_forward_gathered", "gelu.uint8", "float64")
    simulate(kernel, (data, 8, device_array([0, 1, 2]), d.weight, d.bias, z, a, *layer.shape, 1.0, 0.0, 0, 0))
    expected = data.astype(np.float64) @ layer.weight + layer.bias
    np.testing.assert_allclose(z, expected, rtol=1e-12)
    np.testing.assert_allclose(a, reference.ACTIVATIONS["gelu"](expected), rtol=1e-12, atol=1e-12)


class Watch:
    """Looks at every place from which a kernel reads: it has to be one of the arrays that it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str, variant: str, arrays: list[np.ndarray]) -> None:
        self.kernel = cuda_kernel(kind, variant, "float32")
        self._spans = [(array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays]
        scope = self.kernel.python.__globals__
        sizes = {"": 4, "_real": 4, "_int": 8, "_source": 1}
        for suffix, size in sizes.items():
            for name, count in (("load", 1), ("load_four", 4)):
                read = scope.get(name + suffix)
                if read is not None:
                    monkeypatch.setitem(scope, name + suffix, self._watched(read, size, count * size))

    def _watched(self, read: Any, itemsize: int, n_bytes: int) -> Any:
        def watched(address: int, index: int, *values: Any) -> Any:
            place = int(address) + int(index) * itemsize
            assert any(start <= place and place + n_bytes <= end for start, end in self._spans)
            return read(address, index, *values)

        return watched


@pytest.mark.parametrize("shape", [(5, 12, 20), (5, 11, 9), (1, 4, 4), (7, 16, 12)])
def test_nothing_is_read_that_is_not_there(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, n_in, n_out = shape
    layer, data, indices = a_layer(*shape, "float32"), some_data("uint8", 9, n_in), device_array(np.arange(rows) % 9)
    z, a, dx = poisoned((rows, n_out), "float32"), poisoned((rows, n_out), "float32"), poisoned((rows, n_in), "float32")
    dw, db, d = poisoned((n_in, n_out), "float32"), poisoned(n_out, "float32"), layer.device
    place, behind = (data, n_in, indices), (*shape, 1.0, 0.0, 0, 0)
    launches: list[tuple[str, str, tuple[Any, ...]]] = [
        ("dense_forward", "relu", (d.x, d.weight, d.bias, z, a, *shape)),
        ("dense_forward_gathered", "relu.uint8", (*place, d.weight, d.bias, z, a, *behind)),
        ("dense_backward", "relu", (d.dz, d.x, d.weight, 0, d.x, dx, dw, db, *shape)),
        ("dense_backward_gathered", "uint8", (d.dz, *place, dw, db, *behind)),
    ]
    for kind, variant, arguments in launches:
        watch = Watch(monkeypatch, kind, variant, [item for item in arguments if isinstance(item, np.ndarray)])
        simulate(watch.kernel, arguments)
