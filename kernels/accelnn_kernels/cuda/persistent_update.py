"""What the persistent kernel does with the gradient of a parameter: it updates the parameter on the spot."""

from __future__ import annotations


def update_parameter(target, is_weight, place, gradient):
    """Update an element of the weight or of the bias by its gradient; its penalty is added up.

    ``target``: (the layer, the address of its own bias, the net).
    """
    index, _, net = target
    values, moments_1, moments_2, hyper = net.arena
    first = field(net, index, at_weight if is_weight else at_own_bias)
    h = hyper + ((6 * net.turn[0]) << real_bits)
    i = ((first - values) >> real_bits) + place
    p = load_real(values, i)
    m = load_real(moments_1, i) if n_moments() > 0 else real(0)
    v = load_real(moments_2, i) if n_moments() > 1 else real(0)
    if net.limits[2] != 0:
        gradient = penalize_element(net, index * factors_of_layer + (0 if is_weight else 2), p, gradient)
    h0, h1, h2, h3, h4, h5 = (
        load_real(h, 0), load_real(h, 1), load_real(h, 2), load_real(h, 3), load_real(h, 4), load_real(h, 5)
    )  # fmt: skip
    p, m, v = update_formula(p, gradient, m, v, h0, h1, h2, h3, h4, h5)
    store_real(values, i, p)
    if n_moments() > 0:
        store_real(moments_1, i, m)
    if n_moments() > 1:
        store_real(moments_2, i, v)


def penalize_element(net, factors, p, gradient):
    """Return the gradient with that of the penalties, clipped; the penalty of this parameter is added up."""
    l1 = net.reals[word(factors)] / net.limits[0]
    l2 = net.reals[word(factors + 1)] / net.limits[0]
    net.penalty[0] += (l1 + l2 * real(0.5) * abs(p)) * abs(p)
    return penalized(gradient, p, l1, l2, net.limits[1])


TEMPLATES = (update_parameter, penalize_element)
