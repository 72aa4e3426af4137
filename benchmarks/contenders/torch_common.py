"""The network in PyTorch, for all ways of running it."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

from benchmarks.contenders import Unavailable
from benchmarks.work import SCALE, Weights, Work, scaled


def check_device(device: str) -> None:
    """Raise Unavailable if PyTorch cannot use it."""
    if device == "cuda" and not torch.cuda.is_available():
        raise Unavailable("this build of PyTorch finds no usable GPU")


def model_from(weights: Weights, device: str) -> torch.nn.Sequential:
    """Return a network that ends in scores, with ReLU in between; ``weights`` are (W, b) per layer."""
    layers: list[torch.nn.Module] = []
    for w, b in weights:
        linear = torch.nn.Linear(*w.shape)
        linear.weight.data, linear.bias.data = torch.from_numpy(w.T.copy()), torch.from_numpy(b)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).to(device)


def rows_on(device: str, images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels on the device: bytes on a GPU, where a step scales them, else scaled before."""
    x = images if device == "cuda" else scaled(images)
    return torch.tensor(x, device=device), torch.tensor(labels, device=device)


def batch_of(x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a mini-batch: float32 in [0, 1], and labels."""
    if x.dtype == torch.uint8:
        return x.index_select(0, rows) * SCALE, y.index_select(0, rows)
    return x[rows], y[rows]


def set_precision(work: Work) -> None:
    """Set the precision of products of float32 matrices."""
    torch.set_float32_matmul_precision("high" if work.precision == "tf32" else "highest")


def autocast(work: Work, device: str) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which layers compute in bfloat16, if the work says so; weights are cast in every step."""
    if work.precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(device, torch.bfloat16, cache_enabled=False)  # a cache must not outlive a captured step


def make_optimizer(work: Work, model: torch.nn.Module, **options: bool) -> torch.optim.Optimizer:
    """Return the optimizer of the work, in its fused form: Adam's, and on a GPU also that of plain descent."""
    if work.optimizer == "sgd":
        fused = True if next(model.parameters()).is_cuda else None
        return torch.optim.SGD(model.parameters(), work.learning_rate, fused=fused)
    return torch.optim.Adam(model.parameters(), work.learning_rate, fused=True, **options)
