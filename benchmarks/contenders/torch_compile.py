"""PyTorch under ``torch.compile``: gathering, the gradient by ``torch.func`` and the update are one graph."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.contenders import Unavailable
from benchmarks.contenders.torch_common import batch_of, check_device, model_from, rows_on
from benchmarks.work import Work

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

Tensors = list[torch.Tensor]


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    check_device(device)
    check_compiler()
    parameters, loss = functional_loss(work, *rows_on(device, images, labels), device)
    update = make_update(work, parameters)

    # Without the C++ wrapper, Python calls the compiled loops one by one: a quarter more time for a batch of 10.
    @torch.compile(fullgraph=True, dynamic=False, options={"cpp_wrapper": True})
    def step(rows: torch.Tensor) -> torch.Tensor:
        gradients, value = torch.func.grad_and_value(loss)(parameters, rows)
        update(gradients)
        return value

    @torch.no_grad()
    def run(order: np.ndarray) -> np.ndarray:
        batches = torch.from_numpy(order).to(device).reshape(work.n_steps, work.batch_size)
        return torch.stack([step(rows) for rows in batches]).cpu().numpy()

    return run


def check_compiler() -> None:
    """Raise Unavailable without a C++ compiler, which ``torch.compile`` needs on a CPU."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None and shutil.which("clang++") is None:
        raise Unavailable(f"torch.compile needs a C++ compiler, and there is no {compiler}")


def functional_loss(
    work: Work, x: torch.Tensor, y: torch.Tensor, device: str
) -> tuple[Tensors, Callable[[Tensors, torch.Tensor], torch.Tensor]]:
    """Return the initial parameters and the loss as a function of parameters and rows."""
    model = model_from(work.initial_weights(), device)
    names = [name for name, _ in model.named_parameters()]

    def loss(parameters: Tensors, rows: torch.Tensor) -> torch.Tensor:
        inputs, targets = batch_of(x, y, rows)
        scores = torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (inputs,))
        return torch.nn.functional.cross_entropy(scores, targets)

    return [parameter.detach().clone() for parameter in model.parameters()], loss


def make_update(work: Work, parameters: Tensors) -> Callable[[Tensors], None]:
    """Return a function that changes the parameters in place, given their gradients."""
    m = [torch.zeros_like(parameter) for parameter in parameters]
    v = [torch.zeros_like(parameter) for parameter in parameters]
    t = torch.zeros((), device=parameters[0].device)

    def sgd(gradients: Tensors) -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=work.learning_rate)

    def adam(gradients: Tensors) -> None:
        t.add_(1)
        rate, root = work.learning_rate / (1 - BETA_1**t), torch.rsqrt(1 - BETA_2**t)
        for parameter, gradient, mean, square in zip(parameters, gradients, m, v, strict=True):
            mean.lerp_(gradient, 1 - BETA_1)
            square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            parameter.sub_(rate * mean / (square.sqrt() * root + EPSILON))

    return sgd if work.optimizer == "sgd" else adam
