"""PyTorch as it is usually written: modules, autograd, ``torch.optim``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.contenders.torch_common import check_device, make_optimizer, model_from, rows_on
from benchmarks.work import Work


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    check_device(device)
    x, y = rows_on(device, images, labels)
    model = model_from(work.initial_weights(), device)
    optimizer = make_optimizer(work, model)
    loss_function = torch.nn.CrossEntropyLoss()

    def run(order: np.ndarray) -> np.ndarray:
        losses = []
        for rows in torch.from_numpy(order).to(device).reshape(work.n_steps, work.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_function(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).cpu().numpy()

    return run
