"""Names of activations and losses, and which of them belong together."""

from __future__ import annotations

import pytest

from accelnn.arrays.reference import ACTIVATIONS, LOSSES
from accelnn.errors import ArgumentError, ArgumentTypeError
from accelnn.network import (
    ACTIVATION_ENTRIES,
    INITIALIZERS,
    check_pair,
    resolve_activation,
    resolve_loss,
)


def test_the_registry_has_an_entry_for_every_formula():
    assert set(ACTIVATION_ENTRIES) == set(ACTIVATIONS)
    for name, entry in ACTIVATION_ENTRIES.items():
        assert entry.name == name
        assert entry.default_initializer in INITIALIZERS


def test_pairs_agree_with_the_formulas():
    paired = {entry.paired_loss: name for name, entry in ACTIVATION_ENTRIES.items() if entry.paired_loss}
    fused = {name: f.fused_activation for name, f in LOSSES.items() if f.fused_activation}
    assert paired == fused


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_pair(loss, activation):
    formula = resolve_loss(loss)
    if formula.fused_activation in (None, activation):
        check_pair(formula, activation)
    else:
        with pytest.raises(ArgumentError, match=f"ends in '{formula.fused_activation}'"):
            check_pair(formula, activation)


def test_a_wrong_pair_names_the_right_one():
    with pytest.raises(ArgumentError) as caught:
        check_pair(resolve_loss("binary_cross_entropy"), "softmax")
    assert str(caught.value) == (
        "loss is 'binary_cross_entropy': it needs a network that ends in 'sigmoid', and this one ends in "
        "'softmax'; use loss='cross_entropy', or end the network in 'sigmoid'"
    )
    with pytest.raises(ArgumentError, match="end the network in 'softmax', or use loss='mse'"):
        check_pair(resolve_loss("cross_entropy"), "relu")


def test_unknown_names():
    with pytest.raises(ArgumentError, match="did you mean 'relu'"):
        resolve_activation("rleu")
    with pytest.raises(ArgumentError, match="did you mean 'cross_entropy'"):
        resolve_loss("crossentropy")
    with pytest.raises(ArgumentTypeError, match="activation is None"):
        resolve_activation(None)
    with pytest.raises(ArgumentTypeError, match="loss is 3"):
        resolve_loss(3)
