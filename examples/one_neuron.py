"""One neuron, three ways to train it: the perceptron rule, Adaline and logistic regression.

Each is shown as a tutorial writes it, in loops over plain arrays, and as a network of accelnn with the same numbers.
Tutorials keep samples in columns, ``X (features, examples)``; here they are rows, and ``rows = X.T`` is all there is
to it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import COLOURS, arguments, check, check_that, draw_curves, finish
from sklearn.datasets import load_iris

from accelnn import SGD, Dense, History, Layer, Rescaling, Sequential

N_PIXELS = 64 * 64 * 3
ROWS_AT_A_TIME = 500
FEWEST_ROWS = 1000
"""The pattern in the pictures is too faint to be learned from fewer."""


class Heaviside(Layer):
    """The step function: 1 where ``z >= 0``, else 0.

    Its derivative is 0 everywhere, so gradient descent could learn nothing. The perceptron rule ignores the step on the
    way back, and so does this layer.
    """

    def forward(self, x: Any, context: Any) -> Any:
        """Return the step of ``x (batch, n)``."""
        return context.xp.astype(x >= 0, x.dtype)

    def backward(self, dy: Any) -> Any:
        """Pass the gradient through."""
        return dy


def neuron(activation: str, backend: str, *others: Layer) -> Sequential:
    """Return a network of one neuron whose weights start at 0, with ``others`` behind it."""
    return Sequential([Dense(1, activation, initializer="zeros"), *others], dtype="float64", backend=backend)


# The perceptron rule: after every sample, w += eta * (y - a) * x.


def perceptron_rule(x: np.ndarray, y: np.ndarray, eta: float, epochs: int) -> tuple[np.ndarray, float, list[int]]:
    """Return weights, bias and the number of mistakes in each epoch, as a tutorial computes them."""
    w, b, mistakes = np.zeros(x.shape[1]), 0.0, []
    for _ in range(epochs):
        errors = []
        for row, target in zip(x, y, strict=True):
            error = target - (1 if row @ w + b >= 0 else 0)
            w += eta * error * row
            b += eta * error
            errors.append(abs(error))
        mistakes.append(sum(errors))
    return w, b, mistakes


def perceptron(x: np.ndarray, y: np.ndarray, backend: str) -> tuple[Sequential, History]:
    """Train with the perceptron rule, check it, and return the model."""
    model, epochs, eta = neuron("identity", backend, Heaviside()), 10, 1.0
    # The gradient of the squared error (a - y)^2 is 2 (a - y) x: half the learning rate makes it the rule.
    history = model.fit(x, y, loss="sse", optimizer=SGD(eta / 2), epochs=epochs, batch_size=1, shuffle=False, verbose=0)
    w, b, mistakes = perceptron_rule(x, y, eta, epochs)
    check("perceptron, weights", model.get_weights()[0][:, 0], w)
    check("perceptron, bias", model.get_weights()[1][0], b)
    check("perceptron, mistakes per epoch", history["loss"], mistakes)  # an error of 1, squared, is 1
    check_that("perceptron separates the classes", bool(np.all(model.predict(x)[:, 0] == y)), history["loss"][-1])
    return model, history


# Adaline: the activation is the identity, and w += eta * sum((y - a) * x) after every pass over all samples.


def adaline_rule(x: np.ndarray, y: np.ndarray, eta: float, epochs: int) -> tuple[np.ndarray, float, list[float]]:
    """Return weights, bias and the sum of squared errors before each update, as a tutorial computes them."""
    w, b, costs = np.zeros(x.shape[1]), 0.0, []
    for _ in range(epochs):
        errors = y - (x @ w + b)
        costs.append(float(np.sum(errors**2)))
        w += eta * x.T @ errors
        b += eta * np.sum(errors)
    return w, b, costs


def adaline(x: np.ndarray, y: np.ndarray, backend: str) -> tuple[Sequential, History]:
    """Train Adaline by gradient descent over all rows, check it, and return the model."""
    model, epochs, eta = neuron("identity", backend), 60, 0.01
    history = model.fit(x, y, loss="sse", optimizer=SGD(eta / 2), epochs=epochs, batch_size=None, verbose=0)
    w, b, costs = adaline_rule(x, y, eta, epochs)
    check("Adaline, weights", model.get_weights()[0][:, 0], w)
    check("Adaline, bias", model.get_weights()[1][0], b, atol=1e-12)
    check("Adaline, first four costs", history["loss"][:4], costs[:4])
    check("Adaline, last cost", history["loss"][-1], costs[-1])
    best = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
    check("Adaline, weights of least squares", model.get_weights()[0][:, 0], best[:2], rtol=1e-5)
    return model, history


# Logistic regression: a sigmoid and binary cross-entropy, here on rows as long as a small colour picture.


def write_pictures(file: Path, n: int) -> np.ndarray:
    """Write ``n`` rows of bytes, pictures of 64 x 64 x 3, to ``file`` and return their labels, 0 or 1.

    Noise, and a pattern too faint to see: as a positive where the label is 1, as a negative where it is 0. The file is
    written a few rows at a time, so that it may be larger than the memory.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    angle = np.linspace(0.0, 2 * np.pi, 64)
    pattern = np.einsum("i,j,k->ijk", np.sin(angle), np.cos(angle), [1.0, 0.5, -0.5]).reshape(N_PIXELS)
    pictures = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=(n, N_PIXELS))
    for rows in pieces(n):
        sign = 2.0 * labels[rows, None] - 1.0
        noise = rng.integers(0, 256, (len(sign), N_PIXELS), dtype=np.uint8)
        pictures[rows] = np.clip(noise + 6.0 * sign * pattern, 0, 255)
    pictures.flush()
    return labels


def pieces(n: int) -> Iterator[slice]:
    """Cut ``n`` rows into pieces that fit into memory."""
    for start in range(0, n, ROWS_AT_A_TIME):
        yield slice(start, start + ROWS_AT_A_TIME)


def logistic_costs(x: np.ndarray, y: np.ndarray, learning_rate: float, iterations: int) -> list[float]:
    """Return the cost before each update as a tutorial computes it, with samples in columns."""
    m, w, b, costs = len(x), np.zeros((N_PIXELS, 1)), 0.0, []
    for _ in range(iterations):
        cost, dw, db = 0.0, np.zeros_like(w), 0.0
        for rows in pieces(m):
            X, Y = x[rows].T / 255 - 0.5, y[rows]
            A = 1 / (1 + np.exp(-(w.T @ X + b)))
            cost -= float(np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))) / m
            dw += X @ (A - Y).T / m
            db += float(np.sum(A - Y)) / m
        costs.append(cost)
        w, b = w - learning_rate * dw, b - learning_rate * db
    return costs


def logistic_regression(n: int, backend: str) -> dict[str, History]:
    """Train on pictures that stay in a file: by all rows at a time, and by mini-batches; check both."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npy"
        y = write_pictures(file, n)
        x = np.load(file, mmap_mode="r")  # rows come from the file when a batch needs them
        trained = n * 4 // 5
        histories = {}
        for name, rate, batch_size in (("all rows at a time", 0.02, None), ("mini-batches of 100", 0.01, 100)):
            # Rescaling turns bytes into numbers around 0 while a batch is loaded: the file stays as it is.
            layers = [Rescaling(1 / 255, -0.5), Dense(1, "sigmoid", initializer="zeros")]
            model = Sequential(layers, dtype="float64", backend=backend, seed=0)
            histories[name] = model.fit(
                x[:trained], y[:trained], optimizer=SGD(rate), epochs=20, batch_size=batch_size, verbose=0
            )
            accuracy = model.evaluate(x[trained:], y[trained:], metrics="accuracy")["accuracy"]
            check_that(f"logistic regression, {name}, accuracy on new rows >= 0.9", accuracy >= 0.9, accuracy)
        expected = logistic_costs(x[:trained], y[:trained], 0.02, 3)
    costs = histories["all rows at a time"]["loss"]
    check("logistic regression, first three costs", costs[:3], expected)
    check("logistic regression, cost of zero weights", costs[0], np.log(2))
    return histories


def draw(
    points: tuple[np.ndarray, np.ndarray],
    lines: dict[str, tuple[np.ndarray, float]],
    mistakes: History,
    errors: History,
    costs: dict[str, History],
    path: str,
) -> None:
    """Draw the classes with the lines that divide them, ``w . x + b = 0``, and what fell while they were learned."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 6.8), layout="constrained")
    (plane, perceptron_curve), (adaline_curve, logistic_curve) = figure.subplots(2, 2)
    x, y = points
    for label, (name, marker) in enumerate((("setosa", "o"), ("versicolor", "s"))):
        plane.scatter(*x[y == label].T, marker=marker, color=COLOURS[label], s=16, alpha=0.7, label=name)
    ends = np.array([x[:, 0].min(), x[:, 0].max()])
    for (name, (w, b)), style in zip(lines.items(), ("-", "--"), strict=True):
        plane.plot(ends, -(w[0] * ends + b) / w[1], style, color="black", label=name)
    plane.set(xlabel="sepal length / mm", ylabel="petal length / mm", title="Two kinds of iris", ylim=(0, 80))
    plane.legend(frameon=False, ncols=2, loc="upper left", fontsize=9)
    draw_curves(perceptron_curve, {"": mistakes["loss"]}, "epoch", "mistakes", "Perceptron rule")
    draw_curves(adaline_curve, {"": errors["loss"]}, "epoch", "sum of squared errors", "Adaline")
    curves = {name: history["loss"] for name, history in costs.items()}
    draw_curves(logistic_curve, curves, "epoch", "binary cross-entropy", "Logistic regression")
    figure.savefig(path, dpi=72)


def line(model: Sequential, centre: Any = 0.0, spread: Any = 1.0) -> tuple[np.ndarray, float]:
    """Return weights and bias of a neuron for inputs as they were before ``(x - centre) / spread``."""
    w, b = model.get_weights()
    return w[:, 0] / spread, b[0] - np.sum(w[:, 0] * centre / spread)


def main(given: Sequence[str] | None = None) -> None:
    """Run the example."""
    options = arguments(__doc__, given, rows=10_000)
    if options.rows < FEWEST_ROWS:
        raise SystemExit(f"--rows is {options.rows}: use {FEWEST_ROWS} or more, fewer are not enough to learn from")
    flowers = load_iris()
    # Two kinds of iris, sepal and petal length. In millimetres all numbers of the perceptron are whole, hence exact.
    x, y = np.rint(10 * flowers.data[:100, [0, 2]]), flowers.target[:100]
    perceptron_model, mistakes = perceptron(x, y, options.backend)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    adaline_model, errors = adaline((x - centre) / spread, 2.0 * y - 1.0, options.backend)
    costs = logistic_regression(options.rows, options.backend)
    if options.plot:
        lines = {"perceptron": line(perceptron_model), "Adaline": line(adaline_model, centre, spread)}
        draw((x, y), lines, mistakes, errors, costs, options.plot)
    finish()


if __name__ == "__main__":
    main()
