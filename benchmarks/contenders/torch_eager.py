"""PyTorch as it is usually written: modules, autograd, ``torch.optim``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.contenders.torch_common import (
    autocast,
    batch_of,
    check_device,
    make_optimizer,
    model_from,
    rows_on,
    set_precision,
)
from benchmarks.work import Work


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    check_device(device)
    set_precision(work)
    x, y = rows_on(device, images, labels)
    model = model_from(work.initial_weights(), device)
    optimizer = make_optimizer(work, model)
    loss_function = torch.nn.CrossEntropyLoss()

    def run(order: np.ndarray) -> np.ndarray:
        losses = []
        for rows in torch.from_numpy(order).to(device).reshape(work.n_steps, work.batch_size):
            optimizer.zero_grad(set_to_none=True)
            inputs, targets = batch_of(x, y, rows)
            with autocast(work, device):
                loss = loss_function(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).cpu().numpy()

    return run
