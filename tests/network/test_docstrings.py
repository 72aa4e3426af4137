"""The examples in the docstrings of the network floor run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import accelnn.network

MODULES = sorted(m.name for m in pkgutil.walk_packages(accelnn.network.__path__, "accelnn.network."))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_custom_layer_example_is_among_them():
    result = doctest.testmod(importlib.import_module("accelnn.network.layers.base"))
    assert result.attempted >= 3
