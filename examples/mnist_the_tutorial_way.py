"""MNIST the tutorial way: sigmoids, weights of normal(0, 1), raw pixels from a CSV file; then the same done well.

Three layers of 128, 64 and 10 sigmoids, gradient descent with a learning rate of 0.1 on ten rows at a time in the order
of the file, and a cost that is the cross-entropy summed over the ten outputs: many a tutorial in NumPy ends with this
network. It is hard to train. A pixel is a number up to 255, so the sums that enter the first layer go into the
thousands, ``exp`` overflows and most sigmoids are 0 or 1, where their derivative is 0. The second network has the same
layers, and shows what helps: small inputs, weights that suit the width of a layer, ReLU, softmax, and Adam.

``--csv FILE`` says where ``mnist_train.csv`` is or, if it is not there, is to be written (a temporary file otherwise).
``--dataset digits`` takes small digits of 8 x 8 where MNIST cannot be had; ``fashion-mnist`` and ``idx:DIR`` will do
too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from common import arguments, check, check_that, draw_curves, finish

from accelnn import SGD, Callback, Dataset, Dense, History, Rescaling, Sequential, errors, load_dataset
from accelnn.data import read_csv
from accelnn.plotting import plot_confusion_matrix, plot_misclassified

EPOCHS = 30
LEARNING_RATE, BATCH_SIZE = 0.1, 10
LARGEST_EXPONENT = np.log(np.finfo(np.float64).max)  # 709.78: beyond it, exp is infinite
Rows = tuple[np.ndarray, np.ndarray]


# The data: a CSV file as tutorials have it, a label and then the pixels in each line.


def write_csv(file: Path, x: np.ndarray, y: np.ndarray) -> None:
    """Write ``label,pixel,pixel,...`` for each row, a row at a time: as text they are much larger than as bytes."""
    with file.open("w", encoding="ascii") as lines:
        for label, pixels in zip(y.tolist(), x, strict=True):
            lines.write(f"{label},{','.join(map(str, pixels.astype(int).tolist()))}\n")


def training_rows(file: Path, data: Dataset) -> Rows:
    """Return pixels ``(n, n_pixels)`` and labels ``(n,)`` from the CSV file, which is written if it is not there."""
    if not file.exists():
        write_csv(file, data.x_train, data.y_train)
        print(f"{file.name}: written, {file.stat().st_size / 1e6:.0f} MB")
    start = time.perf_counter()
    table = read_csv(file)
    print(f"{file.name}: {len(table.x):,} rows read in {time.perf_counter() - start:.1f} s")
    if table.x.shape[1] != data.n_features or not set(np.unique(table.y)) <= set(range(data.n_outputs)):
        raise SystemExit(f"{file}: its rows are not of the kind of {data.name}: give another --csv or --dataset")
    return table.x, table.y


def load(name: str, csv: str) -> tuple[Rows, Dataset]:
    """Return the training rows, read from the CSV file, and the data set, which has the rows for testing."""
    try:
        data = load_dataset(name)
        if data.n_classes is None or not len(data.x_test):
            raise SystemExit(f"--dataset {name}: use one that has classes and rows for testing")
        with tempfile.TemporaryDirectory() as folder:
            return training_rows(Path(csv or Path(folder, f"{data.name}_train.csv")), data), data
    except (errors.AccelnnError, OSError) as error:
        raise SystemExit(f"the data cannot be had: {error}\n--dataset digits needs no files") from error


# The network of the tutorial.


def initialize_parameters(sizes: Sequence[int]) -> list[np.ndarray]:
    """Return the weights ``(n_out, n_in)`` of each layer as the tutorial draws them; its biases are 0."""
    generator = np.random.RandomState(95)  # the same numbers as after np.random.seed(95)
    return [generator.normal(0, 1, (n_out, n_in)) for n_in, n_out in pairwise(sizes)]


def tutorial_network(data: Dataset, backend: str) -> Sequential:
    """Return the network of the tutorial with its first weights."""
    weights = initialize_parameters([data.n_features, 128, 64, data.n_outputs])
    layers = [Dense(len(W), "sigmoid", initializer=W.T) for W in weights]  # its rows are our columns
    return Sequential(layers, n_in=data.n_features, dtype="float64", backend=backend)


def tutorial_costs(x: np.ndarray, targets: np.ndarray, n_batches: int) -> tuple[list[float], int]:
    """Return the costs of the first batches as the tutorial's own loop gives them, and how often ``exp`` overflowed.

    Columns, plain NumPy, every derivative by hand. The cost of a batch is summed over its rows and over the outputs.
    """
    weights = initialize_parameters([x.shape[1], 128, 64, targets.shape[1]])
    biases = [np.zeros((len(W), 1)) for W in weights]
    costs, overflows = [], 0
    for start in range(0, n_batches * BATCH_SIZE, BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        values, Y = [x[rows].T.astype(np.float64)], targets[rows].T
        for W, b in zip(weights, biases, strict=True):
            Z = W @ values[-1] + b
            overflows += int(np.count_nonzero(-Z > LARGEST_EXPONENT))
            with np.errstate(over="ignore"):  # where exp overflows, 1 / (1 + infinity) is 0, which is right
                values.append(1 / (1 + np.exp(-Z)))
        A = values[-1]
        costs.append(-float(np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))))
        dZ = A - Y
        for layer in reversed(range(len(weights))):
            below = values[layer]
            dW, db, dA = dZ @ below.T / Y.shape[1], dZ.mean(axis=1, keepdims=True), weights[layer].T @ dZ
            weights[layer] = weights[layer] - LEARNING_RATE * dW
            biases[layer] = biases[layer] - LEARNING_RATE * db
            dZ = dA * below * (1 - below)
    return costs, overflows


def check_first_batches(x: np.ndarray, targets: np.ndarray, data: Dataset, backend: str) -> None:
    """Check the costs of the first ten batches against the tutorial's loop.

    Only these: learning is so unsteady here that a difference in the last bit of a sum doubles with every batch.
    """
    n_batches = min(10, len(x) // BATCH_SIZE)
    expected, overflows = tutorial_costs(x, targets, n_batches)
    network = tutorial_network(data, backend)
    costs = []
    for start in range(0, n_batches * BATCH_SIZE, BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        # binary_cross_entropy is the sum over the outputs and the mean over the rows of a batch.
        loss = network.partial_fit(
            x[rows], targets[rows], optimizer=SGD(LEARNING_RATE), batch_size=BATCH_SIZE, shuffle=False
        )
        costs.append(BATCH_SIZE * loss)
    print(f"in these batches the tutorial's exp(-z) overflows {overflows:,} times")
    check(f"costs of the first {n_batches} batches", costs, expected, rtol=1e-8)


class CostPrinter(Callback):
    """Print the cost of every fifth epoch, the sum over all rows, as the tutorial does."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows

    def on_epoch_end(self, model: Sequential, epoch: int, record: dict[str, float]) -> None:
        """Print a line where the number of the epoch is a multiple of five."""
        if epoch % 5 == 0:
            print(f"epoch {epoch:2}: cost {self.n_rows * record['loss']:,.0f}", flush=True)


def the_tutorial_way(x: np.ndarray, y: np.ndarray, data: Dataset, backend: str, epochs: int) -> np.ndarray:
    """Train the network of the tutorial; check and return the cost of each epoch, summed over all rows."""
    targets = np.eye(data.n_outputs)[y]  # one-hot: a 1 at the label, 0 elsewhere
    check_first_batches(x, targets, data, backend)
    network, start = tutorial_network(data, backend), time.perf_counter()
    history = network.fit(
        x,
        targets,
        optimizer=SGD(LEARNING_RATE),
        epochs=epochs,
        batch_size=BATCH_SIZE,
        shuffle=False,
        callbacks=CostPrinter(len(x)),
        verbose=0,
    )
    elapsed_s = time.perf_counter() - start
    costs = len(x) * np.array(history["loss"])
    right = np.mean(network.predict_proba(data.x_test).argmax(axis=1) == data.y_test)
    print(f"{epochs} epochs in {elapsed_s:.1f} s; {100 * right:.2f} % of {len(data.y_test):,} new rows are right")
    check_that("every cost is a finite number", bool(np.all(np.isfinite(costs))), costs[-1])
    if is_tutorial(data, epochs):
        check_that("first cost is of the order of 1.2e5", 0.9e5 < costs[0] < 1.5e5, costs[0])
        check_that("all costs printed later are lower", bool(np.all(costs[5::5] < costs[0])), costs[5::5].max())
        # Of the median epoch: another program that is busy for a while is not to count.
        pace = EPOCHS * float(np.median(history["seconds"]))
        check_that("30 epochs at the usual pace take less than 60 s", pace < 60, round(pace, 1))
    return costs


def is_tutorial(data: Dataset, epochs: int) -> bool:
    """Return whether this is the run that the figures belong to."""
    return data.name == "mnist" and epochs == EPOCHS


# The same layers, done well.


def done_well(x: np.ndarray, y: np.ndarray, data: Dataset, backend: str, epochs: int) -> tuple[Sequential, History]:
    """Train the network as one would today; check its accuracy on new rows."""
    layers = [
        Rescaling(data.scale),  # pixels from 0 to 1
        Dense(128, "relu", initializer="he_normal"),
        Dense(64, "relu", initializer="he_normal"),
        Dense(data.n_outputs, "softmax"),
    ]
    model = Sequential(layers, seed=95, backend=backend)
    history = model.fit(
        x,
        y,
        epochs=epochs,
        batch_size=min(128, len(x)),
        validation_data=(data.x_test, data.y_test),
        metrics="accuracy",
        verbose=0,
    )
    accuracy = history["val_accuracy"][-1]
    print(f"done well, {epochs} epochs: {100 * accuracy:.2f} % of {len(data.y_test):,} new rows are right")
    if is_tutorial(data, 2 * epochs):
        check_that("done well, accuracy >= 97.5 %", accuracy >= 0.975, 100 * accuracy)
    return model, history


def draw(costs: np.ndarray, history: History, model: Sequential, data: Dataset, path: str) -> None:
    """Draw costs, accuracy and the confusion matrix into ``path``, and digits taken for others beside it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.6, 4.1), layout="constrained")
    cost, accuracy, confusion = figure.subplots(1, 3, width_ratios=[1, 1, 1.35])
    draw_curves(cost, {"": costs / 1000}, "epoch", "cost / 1000", "The tutorial way")
    curves = {name: [100 * value for value in history[column]] for name, column in ACCURACIES.items()}
    draw_curves(accuracy, curves, "epoch", "accuracy / %", "Done well")
    predicted = model.predict(data.x_test)
    plot_confusion_matrix(data.y_test, predicted, axes=confusion, class_names=data.class_names)
    figure.savefig(path, dpi=66)
    if np.any(predicted != data.y_test):
        beside = Path(path).with_stem(f"{Path(path).stem}_misclassified")
        plot_misclassified(data.x_test, data.y_test, predicted, beside, n=12, class_names=data.class_names)


ACCURACIES = {"training rows": "accuracy", "new rows": "val_accuracy"}


def main(given: Sequence[str] | None = None) -> None:
    """Run the example."""
    options = arguments(__doc__, given, epochs=EPOCHS, csv="", dataset="mnist")
    (x, y), data = load(options.dataset, options.csv)
    if not is_tutorial(data, options.epochs):
        print(f"figures that belong to {EPOCHS} epochs of mnist are left out")
    costs = the_tutorial_way(x, y, data, options.backend, options.epochs)
    model, history = done_well(x, y, data, options.backend, max(1, options.epochs // 2))
    if options.plot:
        draw(costs, history, model, data, options.plot)
    finish()


if __name__ == "__main__":
    main()
