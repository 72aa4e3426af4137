"""NumPy as in the classic tutorials on deep learning: float64, a column per example, one function per formula.

This is what many people write first. ``X (n_x, m)``, ``Y (n_y, m)`` is one-hot, ``W1 (n_1, n_x)``, ``b1 (n_1, 1)``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.work import Weights, Work

Arrays = dict[str, np.ndarray]


def initialize_parameters(weights: Weights) -> Arrays:
    parameters = {}
    for layer, (w, b) in enumerate(weights, start=1):
        parameters[f"W{layer}"] = w.T.astype(np.float64)
        parameters[f"b{layer}"] = b.astype(np.float64).reshape(-1, 1)
    return parameters


def softmax(Z: np.ndarray) -> np.ndarray:
    exponentials = np.exp(Z - np.max(Z, axis=0, keepdims=True))
    return exponentials / np.sum(exponentials, axis=0, keepdims=True)


def forward_propagation(X: np.ndarray, parameters: Arrays) -> tuple[np.ndarray, Arrays]:
    n_layers = len(parameters) // 2
    cache = {"A0": X}
    for layer in range(1, n_layers + 1):
        Z = np.dot(parameters[f"W{layer}"], cache[f"A{layer - 1}"]) + parameters[f"b{layer}"]
        cache[f"Z{layer}"] = Z
        cache[f"A{layer}"] = softmax(Z) if layer == n_layers else np.maximum(0, Z)
    return cache[f"A{n_layers}"], cache


def compute_cost(A: np.ndarray, Y: np.ndarray) -> float:
    m = Y.shape[1]
    return float(-np.sum(Y * np.log(A)) / m)


def backward_propagation(parameters: Arrays, cache: Arrays, Y: np.ndarray) -> Arrays:
    m = Y.shape[1]
    n_layers = len(parameters) // 2
    gradients = {}
    dZ = cache[f"A{n_layers}"] - Y
    for layer in range(n_layers, 0, -1):
        gradients[f"dW{layer}"] = np.dot(dZ, cache[f"A{layer - 1}"].T) / m
        gradients[f"db{layer}"] = np.sum(dZ, axis=1, keepdims=True) / m
        if layer > 1:
            dZ = np.dot(parameters[f"W{layer}"].T, dZ) * (cache[f"Z{layer - 1}"] > 0)
    return gradients


def update_parameters(parameters: Arrays, gradients: Arrays, learning_rate: float) -> Arrays:
    return {name: value - learning_rate * gradients[f"d{name}"] for name, value in parameters.items()}


def initialize_adam(parameters: Arrays) -> tuple[Arrays, Arrays]:
    v = {name: np.zeros_like(value) for name, value in parameters.items()}
    s = {name: np.zeros_like(value) for name, value in parameters.items()}
    return v, s


def update_parameters_with_adam(
    parameters: Arrays, gradients: Arrays, v: Arrays, s: Arrays, t: int, learning_rate: float
) -> Arrays:
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    updated = {}
    for name, value in parameters.items():
        gradient = gradients[f"d{name}"]
        v[name] = beta1 * v[name] + (1 - beta1) * gradient
        s[name] = beta2 * s[name] + (1 - beta2) * np.square(gradient)
        v_corrected = v[name] / (1 - beta1**t)
        s_corrected = s[name] / (1 - beta2**t)
        updated[name] = value - learning_rate * v_corrected / (np.sqrt(s_corrected) + epsilon)
    return updated


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    X_train = images.T / 255
    Y_train = np.eye(work.units[-1])[labels].T
    parameters = initialize_parameters(work.initial_weights())
    v, s = initialize_adam(parameters)
    t = 0

    def run(order: np.ndarray) -> np.ndarray:
        nonlocal parameters, t
        costs = []
        for rows in order.reshape(work.n_steps, work.batch_size):
            X, Y = X_train[:, rows], Y_train[:, rows]
            A, cache = forward_propagation(X, parameters)
            costs.append(compute_cost(A, Y))
            gradients = backward_propagation(parameters, cache, Y)
            t += 1
            if work.optimizer == "sgd":
                parameters = update_parameters(parameters, gradients, work.learning_rate)
            else:
                parameters = update_parameters_with_adam(parameters, gradients, v, s, t, work.learning_rate)
        return np.array(costs)

    return run
