"""PyTorch as it is usually written."""

from __future__ import annotations

import torch

from benchmarks.accuracy import WORK, AfterEpoch, Data, Train, orders_of, weights_of
from benchmarks.contenders.torch_common import make_optimizer, model_from, rows_on


def prepare(data: Data) -> Train:
    x, y = rows_on("cpu", data.x_train, data.y_train)
    x_test, y_test = rows_on("cpu", data.x_test, data.y_test)
    loss_function = torch.nn.CrossEntropyLoss()

    def train(seed: int, after_epoch: AfterEpoch) -> None:
        model = model_from(weights_of(seed), "cpu")
        optimizer = make_optimizer(WORK, model)
        for order in orders_of(seed):
            for rows in torch.from_numpy(order).reshape(WORK.n_steps, WORK.batch_size):
                optimizer.zero_grad(set_to_none=True)
                loss_function(model(x[rows]), y[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                correct = model(x_test).argmax(1) == y_test
            if after_epoch(correct.double().mean().item()):
                return

    return train
