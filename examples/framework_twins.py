"""The framework twins: two networks that tutorials build in TensorFlow, Keras or PyTorch, and the same ones here.

The first tells six signs of a hand apart, 12288-25-12-6, in pictures of 64 x 64 x 3; the second is two sigmoids in a
row, trained with the mean squared error. In Keras the second is

    model = keras.Sequential([layers.Dense(4, activation="sigmoid"), layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="mean_squared_error", metrics=["accuracy"])
    model.fit(x, y, epochs=10, batch_size=100)

Adam is repeated in plain NumPy for the second. Where Keras or PyTorch is installed, it trains both from the same first
weights on the same batches, and the losses are compared.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from common import arguments, check, check_that, draw_curves, finish

from accelnn import Adam, Dense, History, Rescaling, Sequential

N_PIXELS = 64 * 64 * 3
SIGNS_RATE, SIGNS_BATCH = 1e-4, 32
KERAS_RATE, KERAS_BATCH, KERAS_EPOCHS = 1e-3, 100, 10  # the defaults of Adam, and what the tutorial chooses
COMPARED_EPOCHS = 3
"""So many epochs of the signs are repeated in the frameworks."""

FEWEST_EPOCHS = 10
"""After fewer epochs the signs cannot be told apart yet."""

KERAS_BACKENDS = ("tensorflow", "jax", "torch")

Rows = tuple[np.ndarray, np.ndarray]


def signs(n: int, seed: int) -> Rows:
    """Return made-up pictures, bytes ``(n, 12288)``, and which of six signs each of them shows.

    The signs are bright spots at six places, of any brightness, before a background of noise.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, n)
    row, column = np.mgrid[0:64, 0:64]
    places = [(16, 16), (16, 32), (16, 48), (48, 16), (48, 32), (48, 48)]
    spots = np.array([np.exp(-((row - r) ** 2 + (column - c) ** 2) / 50.0) for r, c in places])
    strength = rng.uniform(60, 160, (n, 1, 1))
    noise = rng.integers(0, 96, (n, 64, 64, 3))
    pictures = noise + (strength * spots[labels])[..., None]  # the same in red, green and blue
    return pictures.reshape(n, N_PIXELS).astype(np.uint8), labels


def signs_network(backend: str) -> Sequential:
    """Return 12288-25-12-6 with Xavier weights; Xavier Glorot's are "glorot_uniform" here, as in Keras.

    Tutorials leave the softmax out of the network and give the loss its logits. Here the network ends in softmax and
    cross_entropy is computed from the logits all the same, which is why no probability is ever rounded to 0.
    """
    xavier = {"initializer": "glorot_uniform"}
    dense = [Dense(25, "relu", **xavier), Dense(12, "relu", **xavier), Dense(6, "softmax", **xavier)]
    return Sequential([Rescaling(1 / 255), *dense], n_in=N_PIXELS, dtype="float64", backend=backend, seed=1)


def train_signs(backend: str, epochs: int) -> History:
    """Train the signs with Adam and mini-batches of 32, check what must hold, and return the history."""
    (x, y), (x_test, y_test) = signs(1080, seed=0), signs(120, seed=1)
    model = signs_network(backend)
    weights = model.get_weights()
    for W in weights[::2]:
        bound = np.sqrt(6 / sum(W.shape))
        check_that(f"signs: Xavier weights {W.shape} are within {bound:.4f}", np.abs(W).max() <= bound, np.abs(W).max())
    history = model.fit(x, y, optimizer=Adam(SIGNS_RATE), epochs=epochs, batch_size=SIGNS_BATCH, verbose=0)
    if epochs >= FEWEST_EPOCHS:
        check_that("signs: the loss has fallen", history["loss"][-1] < history["loss"][0], history["loss"][-1])
        for name, rows in (("training", (x, y)), ("new", (x_test, y_test))):
            accuracy = model.evaluate(*rows, metrics="accuracy")["accuracy"]
            check_that(f"signs: accuracy on {name} rows >= 0.95", accuracy >= 0.95, accuracy)

    # The same again without shuffling: the frameworks are to see the same batches.
    model.set_weights(weights)
    ours = model.fit(
        x, y, optimizer=Adam(SIGNS_RATE), epochs=COMPARED_EPOCHS, batch_size=SIGNS_BATCH, shuffle=False, verbose=0
    )
    check_with_frameworks("signs", ours, weights, "relu", (x / 255, y), SIGNS_RATE, SIGNS_BATCH)
    return history


def train_keras_network(backend: str) -> History:
    """Train Dense(4, sigmoid), Dense(1, sigmoid) with Adam, check it, and return the history."""
    x = np.random.RandomState(0).randn(20_000, 3)
    y = (x @ [1.0, 2.0, -1.0] > 0).astype(float)
    model = Sequential([Dense(4, "sigmoid"), Dense(1, "sigmoid")], n_in=3, dtype="float64", backend=backend, seed=0)
    weights = model.get_weights()
    # The loss has to be named: that which belongs to a sigmoid would be binary_cross_entropy.
    history = model.fit(
        x, y, loss="mse", optimizer="adam", epochs=KERAS_EPOCHS, batch_size=KERAS_BATCH, metrics="accuracy",
        shuffle=False, verbose=0,
    )  # fmt: skip
    expected = adam_by_hand(weights, (x, y), KERAS_RATE, KERAS_BATCH, KERAS_EPOCHS)
    check("keras network: loss of each epoch, as in plain NumPy", history["loss"], expected, rtol=1e-9)
    check_that("keras network: accuracy >= 0.95", history["accuracy"][-1] >= 0.95, history["accuracy"][-1])
    check_with_frameworks("keras network", history, weights, "sigmoid", (x, y), KERAS_RATE, KERAS_BATCH)
    return history


def adam_by_hand(weights: list[np.ndarray], rows: Rows, rate: float, batch_size: int, epochs: int) -> list[float]:
    """Return the mean loss of each epoch of two sigmoid layers, the mean squared error and Adam, in plain NumPy."""
    parameters = [array.copy() for array in weights]
    m, v = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    step, losses = 0, []
    for _ in range(epochs):
        losses.append(0.0)
        for start in range(0, len(rows[0]), batch_size):
            loss, gradients = mse_gradients(parameters, *(array[start : start + batch_size] for array in rows))
            losses[-1] += loss * batch_size / len(rows[0])
            step += 1
            for i, gradient in enumerate(gradients):
                m[i] = 0.9 * m[i] + 0.1 * gradient
                v[i] = 0.999 * v[i] + 0.001 * gradient**2
                m_hat, v_hat = m[i] / (1 - 0.9**step), v[i] / (1 - 0.999**step)
                parameters[i] -= rate * m_hat / (np.sqrt(v_hat) + 1e-8)
    return losses


def mse_gradients(parameters: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """Return the mean squared error of two sigmoid layers on a batch, and its gradient for W1, b1, W2, b2."""
    W1, b1, W2, b2 = parameters
    a1 = 1 / (1 + np.exp(-(x @ W1 + b1)))
    a2 = 1 / (1 + np.exp(-(a1 @ W2 + b2)))
    error = a2 - y[:, None]
    dz2 = 2 * error / len(x) * a2 * (1 - a2)
    dz1 = dz2 @ W2.T * a1 * (1 - a1)
    return float(np.mean(error**2)), [x.T @ dz1, dz1.sum(axis=0), a1.T @ dz2, dz2.sum(axis=0)]


def check_with_frameworks(
    name: str, history: History, weights: list[np.ndarray], hidden: str, rows: Rows, rate: float, batch_size: int
) -> None:
    """Check the losses of all epochs of ``history`` against Keras and PyTorch, or say that one is not there."""
    repeat = (weights, hidden, rows, rate, batch_size, len(history))
    if is_installed("keras") and any(map(is_installed, KERAS_BACKENDS)):
        # Adam of Keras adds its epsilon before it corrects sqrt(v) for the start: the first steps differ a little.
        check(f"{name}: loss of each epoch, as in Keras", history["loss"], keras_losses(*repeat), rtol=1e-5)
    else:
        print(f"  left out {name}: Keras is not installed, or none of {', '.join(KERAS_BACKENDS)} for it")
    if is_installed("torch"):
        check(f"{name}: loss of each epoch, as in PyTorch", history["loss"], torch_losses(*repeat), rtol=1e-7)
    else:
        print(f"  left out {name}: PyTorch is not installed")


def is_installed(module: str) -> bool:
    """Return whether ``module`` can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def keras_losses(
    weights: list[np.ndarray], hidden: str, rows: Rows, rate: float, batch_size: int, epochs: int
) -> list[float]:
    """Return the mean loss of each epoch of the same network in Keras, from the same weights, on the same batches."""
    os.environ.setdefault("KERAS_BACKEND", next(filter(is_installed, KERAS_BACKENDS)))
    os.environ.setdefault("JAX_ENABLE_X64", "1")  # JAX has no float64 without it
    import keras

    usual = keras.config.floatx()
    keras.config.set_floatx("float64")
    *first, last = [b.size for b in weights[1::2]]
    output = None if hidden == "relu" else "sigmoid"  # None: the loss takes logits
    dense = [*(keras.layers.Dense(n, hidden) for n in first), keras.layers.Dense(last, output)]
    model = keras.Sequential([keras.Input(shape=rows[0].shape[1:]), *dense])
    model.set_weights(weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if output is None else "mean_squared_error"
    model.compile(optimizer=keras.optimizers.Adam(rate, epsilon=1e-8), loss=loss)
    seen = model.fit(*rows, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0)
    keras.config.set_floatx(usual)
    return seen.history["loss"]


def torch_losses(
    weights: list[np.ndarray], hidden: str, rows: Rows, rate: float, batch_size: int, epochs: int
) -> list[float]:
    """Return the mean loss of each epoch of the same network in PyTorch, from the same weights, on the same batches."""
    import torch

    x, y = (torch.from_numpy(np.ascontiguousarray(array)) for array in rows)
    network = torch_network(weights, hidden)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for inputs, targets in zip(x.split(batch_size), y.split(batch_size), strict=True):
            output = network(inputs)
            if hidden == "relu":
                loss = torch.nn.functional.cross_entropy(output, targets)  # from logits
            else:
                loss = torch.nn.functional.mse_loss(torch.sigmoid(output), targets[:, None])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
        losses.append(total / len(x))
    return losses


def torch_network(weights: list[np.ndarray], hidden: str) -> Any:
    """Return linear layers with ``weights`` and an activation between two of them; torch keeps ``W.T``, row by row."""
    import torch

    modules: list[Any] = []
    for W, b in zip(weights[::2], weights[1::2], strict=True):
        linear = torch.nn.Linear(*W.shape, dtype=torch.float64)
        linear.load_state_dict({"weight": torch.from_numpy(W.T.copy()), "bias": torch.from_numpy(b.copy())})
        modules += [linear, torch.nn.ReLU() if hidden == "relu" else torch.nn.Sigmoid()]
    return torch.nn.Sequential(*modules[:-1])


def draw(signs_history: History, keras_history: History, path: str) -> None:
    """Draw the losses of both, and the accuracy of the second."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_curves(left, {"loss": signs_history["loss"]}, "epoch", "cross-entropy", "12288-25-12-6, Adam")
    curves = {"mean squared error": keras_history["loss"], "accuracy": keras_history["accuracy"]}
    draw_curves(right, curves, "epoch", "", "3-4-1, sigmoid, Adam")
    figure.savefig(path, dpi=100)


def main(given: Sequence[str] | None = None) -> None:
    """Run the example."""
    options = arguments(__doc__, given, epochs=40)
    if options.epochs < FEWEST_EPOCHS:
        print(f"figures of the signs that belong to {FEWEST_EPOCHS} epochs or more are left out")
    signs_history = train_signs(options.backend, options.epochs)
    keras_history = train_keras_network(options.backend)
    if options.plot:
        draw(signs_history, keras_history, options.plot)
    finish()


if __name__ == "__main__":
    main()
