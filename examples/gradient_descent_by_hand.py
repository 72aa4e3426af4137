"""Gradient descent by hand: a slope, one step down it, then twenty; and which of two sets of weights is better.

The network is a single output without a bias, so that everything can be followed on paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from common import arguments, check, check_that, draw_curves, finish

from accelnn import SGD, Dense, History, Sequential

WEIGHTS, X, TARGET = [0.0, 2.0, 1.0], [1.0, 2.0, 3.0], 0.0
LEARNING_RATE = 0.01


def one_output(weights: Sequence[float], backend: str) -> Sequential:
    """Return the network ``prediction = sum(weights * input)``."""
    column = np.reshape(weights, (-1, 1))  # W has a row for each input and a column for each output
    return Sequential(
        [Dense(1, initializer=column, use_bias=False)], n_in=len(weights), dtype="float64", backend=backend
    )


def squared_error(error: float) -> float:
    """Return the loss of a single row with a single output."""
    return error**2


def slope(network: Sequential) -> np.ndarray:
    """Return the derivative of the squared error with respect to each weight, by backpropagation.

    The chain rule: ``d(error^2)/dw = 2 error * d(error)/dw = 2 error * input``. The script gives the factor
    ``2 error``; ``backward`` takes it back through the layers and leaves the gradient of ``W`` in ``dW``.
    """
    x = network.backend.asarray([X], dtype="float64")
    prediction = network.forward(x, network.context(training=True))
    network.backward(2.0 * (prediction - TARGET))
    return network.backend.to_host(network.layers[0].dW)[:, 0]


def slope_from_differences(backend: str, step: float = 1e-4) -> np.ndarray:
    """Return the same derivative without any calculus: move one weight a little and see how the loss changes."""
    slopes = []
    for direction in step * np.eye(len(WEIGHTS)):
        higher, lower = (one_output(WEIGHTS + side * direction, backend).predict([X])[0, 0] for side in (1, -1))
        slopes.append((squared_error(higher - TARGET) - squared_error(lower - TARGET)) / (2 * step))
    return np.array(slopes)


def one_update(backend: str) -> None:
    """Check the slope, and that a step down the slope makes the error smaller."""
    network = one_output(WEIGHTS, backend)
    check("error before", network.predict([X])[0, 0] - TARGET, 7)
    check("slope", slope(network), [14, 28, 42])
    check("slope from differences", slope_from_differences(backend), [14, 28, 42], rtol=1e-6)

    # One call with all rows in one batch is one update: w -= learning_rate * slope.
    loss = network.partial_fit([X], [TARGET], optimizer=SGD(LEARNING_RATE), loss="mse", batch_size=None)
    check("loss before", loss, 49)
    check("weights after", network.get_weights()[0][:, 0], np.subtract(WEIGHTS, LEARNING_RATE * np.array([14, 28, 42])))
    check("error after", network.predict([X])[0, 0] - TARGET, 5.04)


def twenty_updates(backend: str) -> History:
    """Check the loss curve of twenty updates; return it."""
    network = one_output(WEIGHTS, backend)
    history = network.fit(
        [X], [TARGET], optimizer=SGD(LEARNING_RATE), loss="mse", epochs=20, batch_size=None, verbose=0
    )
    # Each update takes 2 * 0.01 * sum(input^2) = 0.28 of the error away, whatever the error is.
    on_paper = [squared_error(7 * 0.72**update) for update in range(20)]
    check("loss before each of 20 updates", history["loss"], on_paper, rtol=1e-9)
    check_that("loss falls in every update", bool(np.all(np.diff(history["loss"]) < 0)), history["loss"][-1])
    return history


def two_sets_of_weights(backend: str) -> None:
    """Check the mean squared error of two networks on four rows: the smaller one is the better model of them."""
    rows, targets = [[0, 3], [1, 2], [-1, -2], [4, 0]], [1, 3, 5, 7]
    sets = [([[2, 1], [1, 2]], [[1, 1]], 37.5), ([[2, 1], [1, 1.5]], [[1, 1.5]], 49.890625)]
    for number, (hidden, output, expected) in enumerate(sets, start=1):
        # The tutorial lists weights by node, and W has a column for each node: hence .T, once, on the way in.
        layers = [Dense(2, "relu", use_bias=False), Dense(1, "relu", use_bias=False)]
        network = Sequential(layers, n_in=2, dtype="float64", backend=backend)
        network.set_weights([np.array(hidden, float).T, np.array(output, float).T])
        error = network.evaluate(rows, targets, loss="mse")["loss"]
        check(f"mean squared error of weights {number}", error, expected, rtol=1e-12)


def draw_loss(history: History, path: str) -> None:
    """Draw the loss over the updates."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    draw_curves(figure.subplots(), {"loss": history["loss"]}, "update", "squared error", "Twenty steps down the slope")
    figure.savefig(path, dpi=120)


def main(given: Sequence[str] | None = None) -> None:
    """Run the example."""
    options = arguments(__doc__, given)
    one_update(options.backend)
    history = twenty_updates(options.backend)
    two_sets_of_weights(options.backend)
    if options.plot:
        draw_loss(history, options.plot)
    finish()


if __name__ == "__main__":
    main()
