"""A forward pass by hand: networks whose weights are given, so that every number can be followed on paper.

Nothing is trained here. A tutorial writes the weights that lead into each node; a dense layer keeps them as the columns
of ``W (n_in, n_out)``, so that all nodes of a layer are one matrix product ``x W``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from common import arguments, check, finish

from accelnn import Dense, Sequential

Weights = list[list[float]]
"""The weights of a layer as in the tutorial: for each of its nodes a list, with a number for each input."""


def network_by_hand(layers: Sequence[tuple[Weights, str]], backend: str) -> Sequential:
    """Return a network without biases from the weights and the activation of each layer."""
    # A list of nodes is W transposed: row i of the list is column i of W.
    dense = [
        Dense(len(nodes), activation, initializer=np.transpose(nodes), use_bias=False) for nodes, activation in layers
    ]
    return Sequential(dense, n_in=len(layers[0][0][0]), dtype="float64", backend=backend)


def forward_propagation(network: Sequential, rows: Sequence[Sequence[float]]) -> list[np.ndarray]:
    """Return the values of all layers, the inputs first."""
    return [np.array(rows, float), *network.layer_outputs(rows)]


def one_hidden_layer(backend: str) -> None:
    """Check two inputs, two hidden nodes, one output: first without an activation, then with tanh."""
    hidden, output = [[1, 1], [-1, 1]], [[2, -1]]
    for activation, nodes, result in (("identity", [5, 1], 9), ("tanh", [0.9999092, 0.76159416], 1.23822425257)):
        network = network_by_hand([(hidden, activation), (output, "identity")], backend)
        values = forward_propagation(network, [[2, 3]])
        check(f"{activation}, hidden nodes", values[1][0], nodes, atol=5e-9)  # printed with 8 decimals
        check(f"{activation}, output", network.predict([[2, 3]])[0, 0], result, rtol=1e-11)


def rectified(backend: str) -> None:
    """Check the rectified linear unit, ``max(0, z)``: in the hidden layer, then in the output as well."""
    hidden, output = [[3, 3], [1, 5]], [[2, -1]]
    network = network_by_hand([(hidden, "relu"), (output, "identity")], backend)
    _, nodes, result = forward_propagation(network, [[-1, 2]])
    check("relu, hidden nodes", nodes[0], [3, 9])
    check("relu, output", result[0, 0], -3)

    everywhere = network_by_hand([(hidden, "relu"), (output, "relu")], backend)
    rows = [[3, 5], [2, -1], [0, 0], [8, 4]]  # a batch: one row for each sample, all computed at once
    check("relu on every node, four rows", everywhere.predict(rows)[:, 0], [20, 6, 0, 44])


def two_hidden_layers(backend: str) -> tuple[Sequential, list[np.ndarray]]:
    """Check a deeper network: the output of a layer is the input of the next."""
    weights = [[[2, 4], [4, -5]], [[-1, 1], [2, 2]], [[-3, 7]]]
    network = network_by_hand(list(zip(weights, ["relu", "relu", "identity"], strict=True)), backend)
    values = forward_propagation(network, [[3, 5]])
    check("two hidden layers, first", values[1][0], [26, 0])
    check("two hidden layers, second", values[2][0], [0, 52])
    check("two hidden layers, output", network.predict([[3, 5]])[0, 0], 364)
    return network, values


def draw_network(network: Sequential, values: list[np.ndarray], path: str) -> None:
    """Draw nodes with their values and edges with their weights, as one would on paper."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, W in enumerate(network.get_weights()):
        for i, j in np.ndindex(W.shape):
            draw_edge(axes, (place, height(i, len(W))), (place + 1, height(j, W.shape[1])), W[i, j])
    for place, row in enumerate(values):
        for i, value in enumerate(row[0]):
            node = {"boxstyle": "circle,pad=0.6", "facecolor": "#deebf7", "edgecolor": "#08519c"}
            axes.text(place, height(i, row.shape[1]), f"{value:g}", ha="center", va="center", bbox=node)
    axes.set_xticks(range(len(values)), ["input", *(f"hidden {i}" for i in range(1, len(values) - 1)), "output"])
    axes.set_yticks([])
    axes.set(
        xlim=(-0.3, len(values) - 0.7), ylim=(-1.0, 1.0), title="A forward pass: values in nodes, weights on edges"
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(path, dpi=120)


def draw_edge(axes: Any, start: tuple[float, float], end: tuple[float, float], weight: float) -> None:
    """Draw a line from node to node with its weight, a third of the way along, where no other weight is."""
    (x0, y0), (x1, y1) = start, end
    axes.plot([x0, x1], [y0, y1], color="#bdbdbd", zorder=0)
    label = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
    axes.text(x0 + (x1 - x0) / 3, y0 + (y1 - y0) / 3, f"{weight:g}", ha="center", va="center", fontsize=9, bbox=label)


def height(node: int, n_nodes: int) -> float:
    """Return where a node of a layer is drawn: the first on top, all of them centred."""
    return (n_nodes - 1) / 2 - node if n_nodes > 1 else 0.0


def main(given: Sequence[str] | None = None) -> None:
    """Run the example."""
    options = arguments(__doc__, given)
    one_hidden_layer(options.backend)
    rectified(options.backend)
    network, values = two_hidden_layers(options.backend)
    if options.plot:
        draw_network(network, values, options.plot)
    finish()


if __name__ == "__main__":
    main()
