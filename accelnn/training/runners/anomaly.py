"""The plain runner with eyes: it looks at the result of every operation and stops at the first that is not finite."""

from __future__ import annotations

import math
import types
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accelnn.arrays.typing import Array
from accelnn.training.runners import plain_operations as plain
from accelnn.training.runners import step
from accelnn.training.runners.plain import PlainRunner
from accelnn.training.runners.plain_operations import PlainNet, count_layers, synchronize

__all__ = ["Anomaly", "AnomalyRunner", "count_layers", "synchronize"]


@dataclass
class Anomaly:
    """The first result that is not finite, and the largest gradient before it.

    what: the result, in words that name the layer and the operation; empty as long as there is none. value: what it
    is, NaN or infinite. step: in which step of the epoch, from 0. largest: the largest absolute gradient of the last
    update before it, that of ``where``; 0 if there was none.
    """

    what: str = ""
    value: float = 0.0
    step: int = 0
    largest: float = 0.0
    where: str = ""

    def look_at(self, values: Array, xp: Any, what: str) -> None:
        """Remember ``values`` as the anomaly if they are not all finite and nothing else was before."""
        if not self.what and not bool(xp.all(xp.isfinite(values))):
            flat = xp.reshape(values, (-1,))
            wrong = flat[~xp.isfinite(flat)]
            self.look_at_number(float(wrong[0]), what)

    def look_at_number(self, value: float, what: str) -> None:
        """Do the same with a single number of the host."""
        if not self.what and not math.isfinite(value):
            self.what, self.value = what, value

    def measure(self, net: PlainNet) -> None:
        """Remember the largest gradient; where some are NaN, that of the others."""
        xp, self.largest, self.where = net.network.backend.xp, 0.0, ""
        for parameter in net.network.arena.parameters:
            sizes = xp.abs(parameter.gradients)
            largest = float(xp.max(xp.where(xp.isnan(sizes), xp.zeros_like(sizes), sizes)))
            if largest > self.largest:
                self.largest, self.where = largest, f"{parameter.name} of layer {parameter.layer_name}"


@dataclass
class WatchedNet(PlainNet):
    """A network in the middle of a step that is looked at."""

    anomaly: Anomaly = field(default_factory=Anomaly)

    def look_at(self, values: Array, what: str) -> None:
        """Look at a result, see :class:`Anomaly`."""
        self.anomaly.look_at(values, self.network.backend.xp, what)

    def name(self, index: int) -> str:
        """Return what to call a layer."""
        return f"layer {self.network.layers[index].name}"


class AnomalyRunner(PlainRunner):
    """The plain runner; ``anomaly`` is what it found, after which it does no more steps and returns NaN as losses."""

    net_class = WatchedNet

    @property
    def anomaly(self) -> Anomaly:
        """What was found."""
        net: WatchedNet = self._net  # type: ignore[assignment]  # of the class above
        return net.anomaly

    def train(self, first: int, last: int, hyper: np.ndarray, dropout_keys: np.ndarray) -> np.ndarray:
        """Train on the mini-batches [first, last) as far as results are finite; the losses of the others are NaN."""
        net = self._net
        net.first_step, net.hyper, net.dropout_keys = first, hyper, dropout_keys
        losses = np.full(last - first, np.nan)
        with net.network.backend.active(), np.errstate(all="ignore"):
            _TRAIN_STEPS(net, first, last, losses)
        if self.anomaly.what:
            losses[self.anomaly.step - first :] = np.nan  # its loss may be finite, and its update not
        return losses


def load_batch(net: WatchedNet, step: int) -> None:
    """As in the plain runner."""
    net.anomaly.step = step
    plain.load_batch(net, step)


def forward(net: WatchedNet, index: int) -> None:
    """As in the plain runner."""
    plain.forward(net, index)
    net.look_at(net.values, f"the output of {net.name(index)} (forward)")


def output_gradient(net: WatchedNet) -> float:
    """As in the plain runner."""
    loss = plain.output_gradient(net)
    net.anomaly.look_at_number(loss, f"the loss {net.loss}")
    net.look_at(net.values, f"the gradient of the loss {net.loss}")
    return loss


def backward(net: WatchedNet, index: int) -> None:
    """As in the plain runner."""
    plain.backward(net, index)
    for parameter in net.network.layers[index].parameters:
        net.look_at(parameter.gradients, f"the gradient of {parameter.name} of {net.name(index)} (backward)")
    if index > net.first_trained:
        net.look_at(net.values, f"the gradient of the input of {net.name(index)} (backward)")


def update(net: WatchedNet, step: int) -> float:
    """As in the plain runner."""
    if net.anomaly.what:
        return 0.0
    penalty = plain.update(net, step)
    net.anomaly.measure(net)  # with the penalties in it
    net.anomaly.look_at_number(penalty, "the penalty of the weights")
    arena = net.network.arena
    for parameter in arena.parameters:
        name = f"{parameter.name} of layer {parameter.layer_name}"
        net.look_at(parameter.gradients, f"the gradient of {name}, penalties included,")
        part = slice(parameter.offset, parameter.offset + parameter.size)
        for moment in net.moments:
            net.look_at(moment[part], f"what the optimizer remembers of {name} (update)")
        net.look_at(parameter.values, f"{name} (update)")
    for state in arena.states:
        net.look_at(state.values, f"{state.name} of layer {state.layer_name} (forward)")
    return penalty


def abandoned(net: WatchedNet) -> bool:
    """Return whether there was an anomaly."""
    return bool(net.anomaly.what)


def _bound() -> Any:
    """Return the loop of the step with the operations of this module."""
    scope = dict(globals())
    scope["train_step"] = types.FunctionType(step.train_step.__code__, scope)
    return types.FunctionType(step.train_steps.__code__, scope)


_TRAIN_STEPS = _bound()
