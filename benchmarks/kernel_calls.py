"""How each kind of kernel is called in a step of 784-128 on a batch of 128: one function per kind makes the arguments.

A change of a kernel's signature changes one function here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from accelnn_kernels.catalog import SIGNATURES, kernel
from accelnn_kernels.matmul import scratch_bytes
from accelnn_kernels.memory import invoke, measure
from accelnn_kernels.optimizers import N_HYPER
from numba import njit, types

from accelnn import SGD, Adam, RMSprop
from accelnn.training.full_gradient import GradientSum

BATCH, N_IN, N_OUT, N_CLASSES = 128, 784, 128, 10
N_IMAGES = 60_000
SCALE = 1 / 255
OPTIMIZERS = (SGD(), SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True), RMSprop(), Adam(), GradientSum())
HYPER = {optimizer.update_name: optimizer.hyper([0], [1e-3])[0] for optimizer in OPTIMIZERS}
"""Hyperparameters of a first step by update formula."""

rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Return normal random numbers, float32."""
    return rng.standard_normal(shape).astype(np.float32)


@cache
def _repeater(returns_a_number: bool) -> Callable[..., None]:
    """Return a compiled loop over calls of a kernel: from Python, a call costs as much as a small kernel."""
    call = measure if returns_a_number else invoke

    @njit
    def repeat(address: int, arguments: tuple[Any, ...], count: int) -> None:
        for _ in range(count):
            call(address, arguments)

    return repeat


class KernelCall:
    """A kernel with its arguments; arrays go by their address and are kept."""

    def __init__(self, kind: str, variant: str, *arguments: Any) -> None:
        self._kept = arguments
        self._address = kernel(kind, variant, "float32").address
        self._arguments = tuple(item.ctypes.data if isinstance(item, np.ndarray) else item for item in arguments)
        self._repeat = _repeater(SIGNATURES[kind].return_type != types.void)

    def __call__(self, count: int) -> None:
        """Call the kernel ``count`` times."""
        self._repeat(self._address, self._arguments, count)


def gemm() -> int:
    """Return the address of the kernel that all products are made of."""
    return int(kernel("gemm", "", "float32").address)


def gather_rows(source: str) -> KernelCall:
    images = rng.integers(0, 256, (N_IMAGES, N_IN), np.uint8).astype(source)
    rows = rng.integers(0, N_IMAGES, BATCH)
    return KernelCall("gather_rows", source, images, N_IN, rows, BATCH, BATCH, N_IN, normal(BATCH, N_IN), SCALE, 0.0)


def matmul(_: str) -> KernelCall:
    x, w, z = normal(BATCH, N_IN), normal(N_IN, N_OUT), normal(BATCH, N_OUT)
    return KernelCall("matmul", "", gemm(), x, w, z, BATCH, N_IN, N_OUT)


def matmul_transposed(_: str) -> KernelCall:
    piece = np.empty(scratch_bytes(), np.uint8)
    dz, w, dx = normal(BATCH, N_OUT), normal(N_IN, N_OUT), normal(BATCH, N_IN)
    return KernelCall("matmul_transposed", "", gemm(), piece, dz, w, dx, BATCH, N_IN, N_OUT)


def weight_gradient(_: str) -> KernelCall:
    x, dz, dw = normal(BATCH, N_IN), normal(BATCH, N_OUT), normal(N_IN, N_OUT)
    return KernelCall("weight_gradient", "", gemm(), x, dz, dw, BATCH, N_IN, N_OUT, 0, N_IN, 1.0, 0.0)


def bias_activation(name: str) -> KernelCall:
    """With a bias of zeros: where ``a`` is computed in place, its values must not grow from call to call."""
    z, bias, a = normal(BATCH, N_OUT), np.zeros(N_OUT, np.float32), normal(BATCH, N_OUT)
    return KernelCall("bias_activation", name, z, bias, a, BATCH, N_OUT)


def activation_gradient(name: str) -> KernelCall:
    """With gradients of zero: they are computed in place and would otherwise shrink to denormals from call to call."""
    d, z, a = np.zeros((BATCH, N_OUT), np.float32), normal(BATCH, N_OUT), normal(BATCH, N_OUT)
    return KernelCall("activation_gradient", name, d, z, a, normal(N_OUT), BATCH, N_OUT)


def loss(name: str) -> KernelCall:
    output, d, weights = normal(BATCH, N_CLASSES), normal(BATCH, N_CLASSES), np.ones(BATCH)
    rows = abs(normal(BATCH, N_CLASSES))
    target = rng.integers(0, N_CLASSES, BATCH) if name == "cross_entropy" else rows / rows.sum(axis=1, keepdims=True)
    return KernelCall("loss", name, output, d, target, weights, 1 / BATCH, BATCH, N_CLASSES)


def update(name: str) -> KernelCall:
    size = N_IN * N_OUT
    hyper = np.zeros(N_HYPER)
    hyper[: len(HYPER[name])] = HYPER[name]
    parameters, gradients, m, v = normal(size), normal(size), np.zeros(size, np.float32), np.zeros(size, np.float32)
    return KernelCall("update", name, parameters, gradients, m, v, hyper, size)


def dropout(_: str) -> KernelCall:
    return KernelCall("dropout", "", normal(BATCH, N_OUT), normal(BATCH, N_OUT), BATCH, N_OUT, 0, 12345, 67890, 0.2)


def column_sums(_: str) -> KernelCall:
    return KernelCall("column_sums", "", normal(BATCH, N_OUT), BATCH, N_OUT, normal(N_OUT))


def column_squares(_: str) -> KernelCall:
    return KernelCall("column_squares", "", normal(BATCH, N_OUT), normal(N_OUT), BATCH, N_OUT, normal(N_OUT))


def batch_norm(_: str) -> KernelCall:
    vectors = [normal(N_OUT) for _ in range(4)]
    return KernelCall("batch_norm", "", normal(BATCH, N_OUT), *vectors, normal(BATCH, N_OUT), BATCH, N_OUT)


def batch_norm_sums(_: str) -> KernelCall:
    dy, x, vectors = normal(BATCH, N_OUT), normal(BATCH, N_OUT), [normal(N_OUT) for _ in range(4)]
    return KernelCall("batch_norm_sums", "", dy, x, *vectors, BATCH, N_OUT)


def batch_norm_gradient(_: str) -> KernelCall:
    dy, x, dx, vectors = normal(BATCH, N_OUT), normal(BATCH, N_OUT), normal(BATCH, N_OUT), [normal(N_OUT)] * 5
    return KernelCall("batch_norm_gradient", "", dy, x, *vectors, dx, BATCH, N_OUT, BATCH)


def layer_norm(_: str) -> KernelCall:
    x, gamma, beta, y = normal(BATCH, N_OUT), normal(N_OUT), normal(N_OUT), normal(BATCH, N_OUT)
    return KernelCall("layer_norm", "", x, gamma, beta, y, BATCH, N_OUT, 1e-5)


def layer_norm_gradient(_: str) -> KernelCall:
    dy, x, dx = normal(BATCH, N_OUT), normal(BATCH, N_OUT), normal(BATCH, N_OUT)
    sums = normal(N_OUT), normal(N_OUT)
    return KernelCall("layer_norm_gradient", "", dy, x, normal(N_OUT), dx, *sums, BATCH, N_OUT, 1e-5)
