"""PyTorch with the whole step, gathering included, captured as one CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.contenders import Unavailable
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

WARM_UP_STEPS = 3


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    if device != "cuda":
        raise Unavailable("CUDA graphs need a GPU")
    check_device(device)
    set_precision(work)
    x, y = rows_on(device, images, labels)
    model = model_from(work.initial_weights(), device)
    optimizer = make_optimizer(work, model, capturable=True)
    loss_function = torch.nn.CrossEntropyLoss()
    rows = torch.zeros(work.batch_size, dtype=torch.int64, device=device)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        inputs, targets = batch_of(x, y, rows)
        with autocast(work, device):
            loss = loss_function(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.detach()  # so that what backward needs does not outlive the step

    graph, loss = captured(step)
    start_afresh(model, optimizer, work)

    def run(order: np.ndarray) -> np.ndarray:
        losses = torch.empty(work.n_steps, device=device)
        for index, batch in enumerate(torch.from_numpy(order).to(device).reshape(work.n_steps, work.batch_size)):
            rows.copy_(batch)
            graph.replay()
            losses[index] = loss
        return losses.cpu().numpy()

    run.keeps = step  # a graph knows addresses alone: data, weights and optimizer have to live as long as it
    return run


def captured(step: Callable[[], torch.Tensor]) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
    """Return the graph of a step and the tensor that holds its loss, after some steps on a side stream."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    return graph, loss


def start_afresh(model: torch.nn.Module, optimizer: torch.optim.Optimizer, work: Work) -> None:
    """Undo the warm-up in place, because the graph knows the memory: initial weights, moments and step counts 0."""
    with torch.no_grad():
        initial = model_from(work.initial_weights(), "cuda")
        for mine, fresh in zip(model.parameters(), initial.parameters(), strict=True):
            mine.copy_(fresh)
        for state in optimizer.state.values():
            for value in state.values():
                if isinstance(value, torch.Tensor):
                    value.zero_()
