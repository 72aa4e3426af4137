"""PyTorch as it is usually written: modules, autograd, ``torch.optim``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.work import Work, scaled


def prepare(work: Work, images: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    x, y = torch.from_numpy(scaled(images)), torch.from_numpy(labels)
    layers: list[torch.nn.Module] = []
    for w, b in work.initial_weights():
        linear = torch.nn.Linear(*w.shape)
        linear.weight.data, linear.bias.data = torch.from_numpy(w.T.copy()), torch.from_numpy(b)
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    if work.optimizer == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), work.learning_rate)
    else:
        optimizer = torch.optim.Adam(model.parameters(), work.learning_rate, fused=True)
    loss_function = torch.nn.CrossEntropyLoss()

    def run(order: np.ndarray) -> np.ndarray:
        losses = []
        for rows in torch.from_numpy(order).reshape(work.n_steps, work.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_function(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
