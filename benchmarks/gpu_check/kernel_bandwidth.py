"""Section kernel_bandwidth: bytes per second of each memory-bound kernel, against a device copy in the same process.

The matrices are much larger than the L2 cache, and calls alternate between two sets of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from benchmarks.gpu_check.child import Skipped, Task
from benchmarks.gpu_check.copy_bandwidth import device_copy_bytes_per_s
from benchmarks.gpu_check.timing import as_stored, event_times_us, noise, spread_of

ROWS, COLUMNS = 262_144, 512
REPEATS, SETS = 20, 2
COPY_BYTES = 1 << 30
N_COUNTERS, N_PARTS = 4096, 1 << 20
ITEMSIZE = {"uint8": 1, "bfloat16": 2, "float32": 4, "int64": 8}
STORED = {"uint8": np.uint8, "bfloat16": np.uint16, "float32": np.float32, "int64": np.int64}
LEAST_S = 4.0
"""With less time left no further kernel is begun."""

NOT_MEASURED = frozenset(
    {
        *("advance", "add_parts", "sum_weights", "inverse_deviation", "running_average", "copy", "rescaling"),
        *("copy_parameters", "dense_forward", "dense_forward_gathered", "dense_backward", "dense_backward_gathered"),
    }
)
"""Kinds whose work is small in every network, that few networks have, or that compute rather than move memory."""


@dataclass(frozen=True)
class Case:
    """A kernel and the arrays that its speed depends on.

    arrays: argument -> (shape, dtype, how often it passes through memory). The shape is "matrix" (rows, columns),
    "row" (columns,) or "column" (rows,); the dtype "element" is that of the batch. same: argument -> the other
    argument whose address it gets. numbers: arguments that are not those of NUMBERS.
    """

    kind: str
    variant: str
    arrays: Mapping[str, tuple[str, str, int]]
    element: str = "float32"
    rows: int = ROWS
    columns: int = COLUMNS
    same: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ".".join(part for part in (self.kind, self.variant, self.element) if part)

    def size_of(self, shape: str) -> int:
        """Return the elements of a shape."""
        return {"matrix": self.rows * self.columns, "row": self.columns, "column": self.rows}[shape]

    def dtype_of(self, dtype: str) -> str:
        """Return the dtype by name."""
        return self.element if dtype == "element" else dtype

    @property
    def traffic_bytes(self) -> int:
        """The bytes that have to be read and written."""
        return sum(
            self.size_of(shape) * ITEMSIZE[self.dtype_of(dtype)] * passes
            for shape, dtype, passes in self.arrays.values()
        )


MATRIX, VALUES = ("matrix", "element", 1), ("matrix", "float32", 1)
IN_PLACE, VALUES_IN_PLACE = ("matrix", "element", 2), ("matrix", "float32", 2)
MOMENTS = {"sgd": (), "momentum": ("moments_1",), "nesterov": ("moments_1",), "rmsprop": ("moments_1",),
           "adam": ("moments_1", "moments_2")}  # fmt: skip
FEW = 10
"""Columns of an output layer."""


def cases() -> list[Case]:
    """Return all cases; those whose kind does not exist are reported as such."""
    few = {"rows": ROWS * COLUMNS // FEW // 4, "columns": FEW}
    both = ("float32", "bfloat16")
    return [
        *(Case("bias_activation", "relu", {"a": IN_PLACE}, e, same={"z": "a"}) for e in both),
        Case("bias_activation", "tanh", {"a": IN_PLACE}, same={"z": "a"}),
        Case("bias_activation", "gelu", {"z": IN_PLACE, "a": MATRIX}),
        Case("bias_activation", "softmax", {"a": IN_PLACE}, same={"z": "a"}),
        *(Case("activation_gradient", "relu", {"d": IN_PLACE, "a": MATRIX}, e, same={"z": "a"}) for e in both),
        Case("activation_gradient", "identity", {"d": MATRIX}, same={"z": "d", "a": "d"}),
        Case("activation_gradient", "tanh", {"d": IN_PLACE, "a": MATRIX}, same={"z": "a"}),
        Case("activation_gradient", "gelu", {"d": IN_PLACE, "z": MATRIX}, same={"a": "z"}),
        Case("loss", "mse", {"output": MATRIX, "d": MATRIX, "target": VALUES, "indices": ("column", "int64", 1)}),
        Case("loss", "cross_entropy", {"output": MATRIX, "d": MATRIX, "target": ("column", "int64", 1),
                                       "indices": ("column", "int64", 1)}, **few),
        *(Case("update", name, {"parameters": VALUES_IN_PLACE, "gradients": VALUES,
                                **dict.fromkeys(moments, VALUES_IN_PLACE)}) for name, moments in MOMENTS.items()),
        *(Case("gather_rows", source, {"x": ("matrix", source, 1), "out": MATRIX, "indices": ("column", "int64", 1)},
               columns=784, numbers={"scale": 1 / 255}) for source in ("uint8", "float32")),
        Case("dropout", "", {"x": MATRIX, "y": MATRIX}),
        Case("penalize", "", {"gradients": VALUES_IN_PLACE, "parameters": VALUES}),
        Case("sum_of_squares", "", {"values": VALUES}),
        Case("scale", "", {"values": VALUES_IN_PLACE}),
        Case("copy_parameters", "", {"parameters": VALUES, "copy": MATRIX}, "bfloat16"),
        Case("column_sums", "", {"x": MATRIX}),
        Case("column_squares", "", {"x": MATRIX}),
        Case("batch_norm", "", {"x": MATRIX, "y": MATRIX}),
        Case("batch_norm_sums", "", {"dy": MATRIX, "x": MATRIX}),
        Case("batch_norm_gradient", "", {"dy": MATRIX, "x": MATRIX, "dx": MATRIX}),
        Case("layer_norm", "", {"x": MATRIX, "y": MATRIX}),
        Case("layer_norm_gradient", "", {"dy": MATRIX, "x": MATRIX, "dx": MATRIX}),
    ]  # fmt: skip


NUMBERS: dict[str, float] = {
    "ahead": 0, "moments_1": 0, "moments_2": 0, "total": 0, "squares": 0,
    "weights": 0, "copy": 0, "first_row": 0, "key_0": 2, "key_1": 0, "steps": 0,
    "clip_norm": 0.0, "factor": 1.0, "scale": 1.0, "offset": 0.0, "l1": 1e-6, "l2": 1e-6, "limit": 1.0, "rate": 0.2,
    "threshold": int(0.2 * 2**32), "keep_scale": 1.25,
    "epsilon": 1e-5, "momentum": 0.9,
}  # fmt: skip
"""Numbers by argument, 0 for addresses of what is not there; rows, columns and size come from the case."""

VECTORS = {"bias", "mean", "inverse", "gamma", "beta", "db", "dgamma", "dbeta", "variance", "sums"}
SCRATCH = {"parts": (N_PARTS, np.float32), "counter": (N_COUNTERS, np.int64), "cursor": (2, np.int64),
           "hyper": (64, np.float32), "result": (64, np.float32), "keys": (64, np.int64)}  # fmt: skip


def measure(task: Task) -> None:
    from accelnn_kernels.cuda.kinds import KINDS

    copy_bytes_per_s = device_copy_bytes_per_s(COPY_BYTES)
    task.report("copy_bytes_per_s", copy_bytes_per_s)
    known = cases()
    task.report("kinds_without_a_case", sorted(set(KINDS) - {case.kind for case in known} - NOT_MEASURED))
    for case in known:
        task.attempt(case.name, lambda case=case: bandwidth(task, case, copy_bytes_per_s, KINDS))


def bandwidth(task: Task, case: Case, copy_bytes_per_s: float, kinds: Mapping[str, Any]) -> dict[str, float]:
    """Return times of a kernel, and its bytes per second, also as a part of the copy's."""
    import cupy
    from accelnn_kernels.cuda.catalog import cuda_kernel

    if case.kind not in kinds:
        raise Skipped("there is no such kernel")
    if task.left_s < LEAST_S:
        raise Skipped("no time was left")
    device = open_device()
    kernel = cuda_kernel(case.kind, case.variant, case.element)
    with device._stream:
        sets = [arguments_of(case, kernel) for _ in range(SETS)]
        times = event_times_us(lambda i: launch(device, kernel, sets[i % SETS][0]), REPEATS)
    sets.clear()
    cupy.get_default_memory_pool().free_all_blocks()
    rate = 1e6 * case.traffic_bytes / median(times)
    return {
        **spread_of(times, "us"), "traffic_bytes": case.traffic_bytes, "bytes_per_s": rate,
        "of_copy": rate / copy_bytes_per_s,
    }  # fmt: skip


def open_device() -> Any:
    """Return accelnn's device."""
    from accelnn.arrays.backend import get_backend
    from accelnn.arrays.cuda.device import cuda_device

    return cuda_device(get_backend("cuda"))


def launch(device: Any, kernel: Any, arguments: tuple[float, ...]) -> None:
    """Start a kernel as the captured runner does."""
    device.launch(kernel, arguments)


def arguments_of(case: Case, kernel: Any) -> tuple[tuple[float, ...], list[Any]]:
    """Return the arguments of a kernel, in its order, and the arrays that they point to, which have to be kept."""
    import cupy

    kept: dict[str, Any] = {
        name: random_array(case.size_of(shape), case.dtype_of(dtype)) for name, (shape, dtype, _) in case.arrays.items()
    }
    kept |= {name: cupy.zeros(case.columns, np.float32) for name in VECTORS}
    kept |= {name: cupy.zeros(size, dtype) for name, (size, dtype) in SCRATCH.items()}
    kept["hyper"] += 0.5  # no formula grows with these
    if case.kind == "gather_rows":
        kept["indices"] = cupy.asarray(np.random.default_rng(0).permutation(case.rows))
    values: dict[str, float] = dict(NUMBERS) | sizes_of(case) | dict(case.numbers)
    values |= {name: int(array.data.ptr) for name, array in kept.items()}
    values |= {name: values[other] for name, other in case.same.items()}
    return by_name(kernel, values), list(kept.values())


def sizes_of(case: Case) -> dict[str, float]:
    """Return the arguments that are sizes."""
    rows, columns = case.rows, case.columns
    return {"rows": rows, "columns": columns, "size": rows * columns, "stride": columns, "n_indices": rows, "n": rows}


def by_name(kernel: Any, values: Mapping[str, float]) -> tuple[float, ...]:
    """Return the arguments in the kernel's order; raise LookupError for one that nobody knows."""
    unknown = [name for name in kernel.parameters if name not in values]
    if unknown:
        raise LookupError(f"{kernel.name} takes {', '.join(unknown)}, which benchmarks/gpu_check does not know")
    return tuple(values[name] for name in kernel.parameters)


def random_array(size: int, dtype: str) -> Any:
    """Return noise in [0, 1), or bytes; for int64 the numbers of the rows in their order."""
    import cupy

    if dtype == "int64":
        return cupy.arange(size)
    values = noise(size)
    return (values * 255.0).astype(np.uint8) if dtype == "uint8" else as_stored(values, dtype)


def dropped(x: np.ndarray, rate: float, key: tuple[int, int]) -> np.ndarray:
    """Return what the dropout kernel makes of ``x`` (rows, columns), float32, on the host."""
    import cupy
    from accelnn_kernels.cuda.catalog import cuda_kernel

    device, kernel = open_device(), cuda_kernel("dropout", "", "float32")
    with device._stream:
        source, target = cupy.asarray(x), cupy.full(x.shape, np.nan, np.float32)
        keys, cursor = cupy.asarray(np.array(key, np.int64)), cupy.zeros(2, np.int64)
        places = {"x": source, "y": target, "keys": keys, "cursor": cursor}
        rows, columns = x.shape
        values = NUMBERS | {"rows": rows, "columns": columns, "rate": rate}
        values |= {"threshold": int(rate * 2**32), "keep_scale": 1 / (1 - rate)}
        values |= {name: int(array.data.ptr) for name, array in places.items()}
        launch(device, kernel, by_name(kernel, values))
        device._stream.synchronize()
        result: np.ndarray = target.get()
    return result
