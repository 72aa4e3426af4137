"""The table that shows a network to a person."""

from __future__ import annotations

from collections.abc import Sequence

from accelnn.network.layers.base import Layer


def summary_table(layers: Sequence[Layer], footer: str) -> str:
    """Return one line per built layer (name, output shape, number of parameters), then ``footer``."""
    rows = [("layer", "output shape", "parameters"), *(_row(layer) for layer in layers)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {n:>{widths[2]}}" for name, shape, n in rows]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:], rule, footer])


def _row(layer: Layer) -> tuple[str, str, str]:
    n_parameters = sum(parameter.size for parameter in layer.parameters)
    return f"{layer.name} ({type(layer).__name__})", f"(batch, {layer.n_out})", f"{n_parameters:,}"
