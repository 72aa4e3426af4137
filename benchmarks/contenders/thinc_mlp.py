"""Thinc: a chain of layers and its optimizer, without its usual gradient clipping and averages, on its fastest BLAS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from thinc.api import SGD, Adam, NumpyOps, Relu, Softmax, chain, set_current_ops

from benchmarks.work import Work, scaled


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    set_current_ops(fastest_ops(work))
    x = scaled(images)
    targets = np.eye(work.units[-1], dtype=np.float32)[labels]
    model = model_from(work)
    optimizer = make_optimizer(work)
    every_row = np.arange(work.batch_size)

    def run(order: np.ndarray) -> np.ndarray:
        likelihoods = []
        for rows in order.reshape(work.n_steps, work.batch_size):
            probabilities, backpropagate = model.begin_update(x[rows])
            likelihoods.append(probabilities[every_row, labels[rows]])
            backpropagate((probabilities - targets[rows]) / work.batch_size)
            model.finish_update(optimizer)
            optimizer.step_schedules()
        return -np.log(likelihoods).mean(axis=1)

    return run


def model_from(work: Work) -> Any:
    """Return the network with the weights of the work; Thinc keeps W as (n_out, n_in)."""
    model: Any = chain(*(Relu(n) for n in work.units[1:-1]), Softmax(work.units[-1]))
    model.initialize(X=np.zeros((2, work.units[0]), np.float32))
    for layer, (w, b) in zip(model.layers, work.initial_weights(), strict=True):
        layer.set_param("W", w.T.copy())
        layer.set_param("b", b)
    return model


def make_optimizer(work: Work) -> Any:
    if work.optimizer == "sgd":
        return SGD(work.learning_rate, grad_clip=0.0, use_averages=False)
    return Adam(work.learning_rate, eps=1e-8, grad_clip=0.0, use_averages=False)


def fastest_ops(work: Work) -> Any:
    """Return Thinc's operations on BLIS or on NumPy's BLAS, whichever is faster at the largest product of this work."""
    x = np.ones((work.batch_size, work.units[0]), np.float32)
    w = np.ones((work.units[1], work.units[0]), np.float32)

    def product_s(ops: Any) -> float:
        times = []
        for _ in range(20):
            start_s = time.perf_counter()
            ops.gemm(x, w, trans2=True)
            times.append(time.perf_counter() - start_s)
        return float(np.median(times))

    return min((NumpyOps(use_blis=True), NumpyOps(use_blis=False)), key=product_s)
