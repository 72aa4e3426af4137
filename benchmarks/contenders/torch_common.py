"""The network in PyTorch, for all ways of running it."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.contenders import Unavailable
from benchmarks.work import Weights, Work, scaled


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
    """Return the scaled images and the labels on the device."""
    return torch.from_numpy(scaled(images)).to(device), torch.from_numpy(labels).to(device)


def make_optimizer(work: Work, model: torch.nn.Module, **options: bool) -> torch.optim.Optimizer:
    """Return the optimizer of the work; Adam in its fused form."""
    if work.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), work.learning_rate)
    return torch.optim.Adam(model.parameters(), work.learning_rate, fused=True, **options)
