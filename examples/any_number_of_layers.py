"""Any number of layers: the widths are a list, and neither the network nor the formulas care how long it is.

Tutorials number their parameters, ``W1, b1, W2, b2, ...``, and loop over them; accelnn takes a list of layers. Both
are here, from the same first weights and with the same costs. A tutorial keeps samples in columns, ``X (features,
examples)``; here they are rows, ``x = X.T``, and the weights of a layer are ``W (n_in, n_out)``, where the tutorial has
``W.T``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from common import arguments, check, check_that, draw_curves, finish

from accelnn import SGD, Dense, History, Sequential

N_SAMPLES = 600
ITERATIONS = 2000
COMPARED = 200
"""So many iterations are repeated in plain NumPy."""

Rows = tuple[np.ndarray, np.ndarray]


def sigmoid_network(layer_dims: Sequence[int], backend: str, seed: int = 0) -> Sequential:
    """Return a network with the widths ``[n_in, ..., n_out]`` that ends every layer in a sigmoid."""
    n_in, *widths = layer_dims
    return Sequential([Dense(n, "sigmoid") for n in widths], n_in=n_in, dtype="float64", backend=backend, seed=seed)


def one_hot(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return a row for each label, 1 at the place of its class and 0 elsewhere."""
    return np.eye(n_classes)[labels]


def tutorial_costs(model: Sequential, rows: Rows, learning_rate: float, iterations: int) -> list[float]:
    """Return the cost before each update as a tutorial computes it: columns, plain NumPy, numbered parameters.

    It starts from the present weights of ``model``, which it does not change. The cost is the cross-entropy summed over
    the outputs, and its mean over the samples.
    """
    X, Y = rows[0].T, rows[1].reshape(len(rows[0]), -1).T
    weights, m, costs = model.get_weights(), X.shape[1], []
    W = {layer: W.T for layer, W in enumerate(weights[::2], start=1)}
    b = {layer: b[:, None] for layer, b in enumerate(weights[1::2], start=1)}
    for _ in range(iterations):
        A = {0: X}
        for layer in W:
            A[layer] = 1 / (1 + np.exp(-(W[layer] @ A[layer - 1] + b[layer])))
        last = len(W)
        costs.append(-float(np.sum(Y * np.log(A[last]) + (1 - Y) * np.log(1 - A[last]))) / m)
        dZ = A[last] - Y
        for layer in reversed(W):
            dW, db = dZ @ A[layer - 1].T / m, dZ.mean(axis=1, keepdims=True)
            dZ = W[layer].T @ dZ * A[layer - 1] * (1 - A[layer - 1])  # that of the layer before
            W[layer], b[layer] = W[layer] - learning_rate * dW, b[layer] - learning_rate * db
    return costs


def train(name: str, model: Sequential, rows: Rows, learning_rate: float, iterations: int) -> History:
    """Train on all rows at once, check the costs, and return the history."""
    n = min(COMPARED, iterations)
    expected = tutorial_costs(model, rows, learning_rate, n)
    # The loss that belongs to sigmoid outputs is binary_cross_entropy, which sums over the outputs of a row.
    history = model.fit(*rows, optimizer=SGD(learning_rate), epochs=iterations, batch_size=None, verbose=0)
    costs = history["loss"]
    check(f"{name}: first cost", costs[0], expected[0], rtol=1e-12)
    largest = np.max(np.abs(np.subtract(costs[:n], expected)))
    check_that(f"{name}: first {n} costs as in plain NumPy, largest difference <= 1e-9", largest <= 1e-9, largest)
    check_that(f"{name}: the cost has fallen", costs[-1] < costs[0], [costs[0], costs[-1]])
    return history


# A class that grows with its list of hidden layers, as tutorials end in one.


class Classifier:
    """Two classes; as many hidden layers as ``hidden_layer_units`` has numbers."""

    def __init__(self, hidden_layer_units: Sequence[int], backend: str = "auto") -> None:
        hidden = [Dense(units, "tanh") for units in hidden_layer_units]
        self.model = Sequential([*hidden, Dense(1, "sigmoid")], dtype="float64", backend=backend, seed=0)

    def fit(self, x: np.ndarray, y: np.ndarray, learning_rate: float, iterations: int) -> History:
        """Train by gradient descent on all rows."""
        return self.model.fit(x, y, optimizer=SGD(learning_rate), epochs=iterations, batch_size=None, verbose=0)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return labels (n,): the probability of class 1, rounded."""
        return np.round(self.model.predict_proba(x)[:, 0]).astype(int)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """Return how many of the labels are right, in percent."""
        return 100.0 * float(np.mean(self.predict(x) == y))


def extensible(backend: str, points: np.ndarray, labels: np.ndarray, iterations: int) -> dict[str, History]:
    """Train classifiers of several depths, check predictions and accuracy, and return the histories."""
    x_train, y_train, x_test, y_test = *(a[::2] for a in (points, labels)), *(a[1::2] for a in (points, labels))
    histories = {}
    for hidden_layer_units in ([8], [8, 8], [16, 8, 4]):
        name = f"hidden_layer_units={hidden_layer_units}"
        classifier = Classifier(hidden_layer_units, backend)
        histories[name] = classifier.fit(x_train, y_train, 0.1, iterations)
        same = bool(np.all(classifier.predict(x_test) == classifier.model.predict(x_test)))
        check_that(f"{name}: rounding is what model.predict does", same, classifier.predict(x_test[:5]))
        accuracy = classifier.accuracy(x_test, y_test)
        measured = 100 * classifier.model.evaluate(x_test, y_test, metrics="accuracy")["accuracy"]
        check(f"{name}: accuracy in percent, by hand and by evaluate", accuracy, measured)
        check_that(f"{name}: accuracy on new rows >= 90 %", accuracy >= 90, accuracy)
    return histories


def draw(deep: dict[str, History], extended: dict[str, History], path: str) -> None:
    """Draw the costs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, histories, title in ((left, deep, "Sigmoid layers"), (right, extended, "Layers from a list")):
        curves = {name: history["loss"] for name, history in histories.items()}
        draw_curves(axes, curves, "iteration", "cost", title)
    figure.savefig(path, dpi=100)


def main(given: Sequence[str] | None = None) -> None:
    """Run the example."""
    options = arguments(__doc__, given)
    points = np.random.RandomState(1).randn(N_SAMPLES, 3)
    radius = np.linalg.norm(points, axis=1)
    inside = (radius < 1.5).astype(int)
    shell = np.searchsorted([1.0, 1.5, 2.0], radius)  # four classes: shells around the origin
    rows = {"[3, 4, 4, 4, 4, 3, 1]": (points, inside), "[3, 5, 5, 4]": (points, one_hot(shell, 4))}
    deep = {}
    # Six sigmoids in a row learn little more than how frequent the classes are: the derivative of each is 1/4 at most,
    # so next to nothing of the gradient reaches the first layers. tanh, further down, does better.
    for name, (x, y) in rows.items():
        model = sigmoid_network([int(width) for width in name.strip("[]").split(",")], options.backend)
        print(f"{name}: {model.count_parameters()} parameters")
        deep[name] = train(name, model, (x, y), 0.5, ITERATIONS)
    extended = extensible(options.backend, points, inside, 2 * ITERATIONS)
    if options.plot:
        draw(deep, extended, options.plot)
    finish()


if __name__ == "__main__":
    main()
