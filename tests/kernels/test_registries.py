"""The kernels' floor repeats names and constants of the reference formulas, because it may not import them."""

from __future__ import annotations

import numpy as np
import pytest
from accelnn_kernels import activations, catalog, losses, optimizers
from kernel_case import VARIANTS, all_kernels

from accelnn.arrays import reference


def test_names_are_those_of_the_reference():
    assert set(VARIANTS["bias_activation"]) == set(reference.ACTIVATIONS)
    assert set(activations.NAMES) == set(reference.DERIVATIVES)
    assert set(losses.NAMES) == set(reference.LOSSES)
    assert set(VARIANTS["update"]) == set(reference.UPDATES)


def test_moments_and_thresholds_are_those_of_the_reference():
    assert {name: formula.n_moments for name, formula in reference.UPDATES.items()} == optimizers.N_MOMENTS
    assert dict(reference.FLUSH) == optimizers.SMALLEST_MOMENT


def test_constants_are_those_of_the_reference():
    assert activations.CONSTANTS["selu_scale"] == reference.SELU_SCALE
    assert activations.CONSTANTS["selu_scale_alpha"] == reference.SELU_SCALE * reference.SELU_ALPHA
    assert 2 * activations.CONSTANTS["gelu_scale"] == reference.activations.GELU_LINEAR
    assert reference.LEAKY_RELU_SLOPE == 0.01
    assert reference.HUBER_DELTA == 1.0
    assert reference.activations.GELU_CUBIC == 0.044715


def test_means_over_outputs_are_those_of_the_reference():
    """A loss is a mean over outputs when doubling all columns leaves it as it is."""
    rng = np.random.default_rng(0)
    output, target = rng.uniform(size=(3, 2)), rng.uniform(size=(3, 2))
    means = set()
    for name, formula in reference.LOSSES.items():
        once = formula.rows(output, target)[0]
        twice = formula.rows(np.tile(output, 2), np.tile(target, 2))[0]
        means |= {name} if np.allclose(once, twice) else set()
    assert means == losses.MEAN_OVER_OUTPUTS


@pytest.mark.parametrize("name", reference.DERIVATIVES)
def test_z_is_kept_exactly_where_the_derivative_needs_it(name):
    """Elsewhere the layer's buffer holds ``a`` only, and the kernel is handed ``a`` for ``z``."""
    z = np.linspace(-4.1, 4.1, 40).reshape(5, 8)
    d, db = np.ones_like(z), np.zeros(8)
    a = reference.ACTIVATIONS[name](z)
    catalog.kernel("activation_gradient", name, "float64")(*(m.ctypes.data for m in (d, a, a, db)), 5, 8)
    from_a_alone = np.allclose(d, reference.DERIVATIVES[name](z, a), rtol=1e-9, atol=1e-12)
    assert from_a_alone == (name not in activations.KEEPS_Z)


def test_every_kernel_has_a_name_of_its_own():
    """The name is part of the file name in the cache of machine code."""
    names = [catalog.kernel(*key).name for key in all_kernels()]
    assert len(names) == len(set(names))
    assert "bias_activation.relu.float32" in names


@pytest.mark.parametrize(("kind", "variant", "dtype"), all_kernels())
def test_every_kernel_compiles_to_an_address_of_its_own(kind, variant, dtype):
    kernel = catalog.kernel(kind, variant, dtype)
    assert kernel is catalog.kernel(kind, variant, dtype)
    assert kernel.address > 0
    assert len(kernel.signature.args) == kernel.python.__code__.co_argcount


@pytest.mark.parametrize("key", [("convolution", "", "float32"), ("loss", "hinge", "float32"), ("copy", "", "float16")])
def test_unknown_kernels_are_an_error(key):
    with pytest.raises(KeyError):
        catalog.kernel(*key)
