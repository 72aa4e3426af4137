"""The bundle of operations offers the reference formulas under their own names."""

from __future__ import annotations

import inspect

from accelnn.arrays import PlainOps, reference

OPERATIONS = {
    "bias_activation",
    "activation_gradient",
    "loss_and_gradient",
    "dropout",
    "batch_norm",
    "batch_norm_gradient",
    "batch_norm_inference",
    "layer_norm",
    "layer_norm_gradient",
    "gather",
}


def test_plain_operations_are_the_reference_formulas():
    public = {name for name in dir(PlainOps) if not name.startswith("_")}
    assert public == OPERATIONS
    for name in OPERATIONS:
        assert getattr(PlainOps(), name) is getattr(reference, name)


def test_everything_public_is_documented():
    for name in reference.__all__:
        value = getattr(reference, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), name
