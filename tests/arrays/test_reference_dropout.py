"""The counter-based generator against plain integers, and the statistics of its masks."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest

from accelnn.arrays import reference
from accelnn.arrays.reference import dropout_bits, dropout_keys, lowbias32
from accelnn.errors import ArgumentError

WORD = 1 << 32
KEY = (0x9ABCDEF1, 0xFEDCBA98)


def mix(h: int) -> int:
    h = (h ^ h >> 16) * 0x7FEB352D % WORD
    h = (h ^ h >> 15) * 0x846CA68B % WORD
    return h ^ h >> 16


def bits_of(index: int, key=KEY) -> int:
    return mix((mix(index % WORD ^ key[0]) + key[1]) % WORD)


def test_lowbias32_equals_its_definition_in_integers():
    words = [0, 1, 2, 0x7FFFFFFF, 0x80000000, WORD - 1, 123456789]
    assert lowbias32(np.array(words, dtype=np.uint32)).tolist() == [mix(word) for word in words]


def test_lowbias32_is_a_bijection():
    """So equal bits never come from different positions; checked on every 65536th word."""
    words = lowbias32(np.arange(0, WORD, 65536, dtype=np.uint32))
    assert len(np.unique(words)) == 65536


@pytest.mark.parametrize("first_row", [0, 3, WORD - 2, 5 * WORD + 1])
def test_bits_equal_their_definition_in_integers(first_row):
    expected = [[bits_of((first_row + i) * 5 + j) for j in range(5)] for i in range(4)]
    bits = dropout_bits(4, 5, first_row, KEY, np)
    assert bits.dtype == np.uint32
    assert bits.tolist() == expected
    strict = dropout_bits(4, 5, first_row, np.array(KEY, dtype=np.uint32), array_api_strict)
    assert np.asarray(strict).tolist() == expected


def test_a_batch_in_pieces_gets_the_mask_of_the_whole(space):
    x = np.random.default_rng(12).normal(size=(7, 6))
    whole = space.host(reference.dropout(space.array(x), 0.5, KEY))
    pieces = [(0, 3), (3, 4), (4, 7)]
    found = [space.host(reference.dropout(space.array(x[a:b]), 0.5, KEY, first_row=a)) for a, b in pieces]
    assert np.array_equal(np.concatenate(found), whole)


def test_kept_values_are_scaled_and_the_mask_is_that_of_the_definition(space):
    x = np.random.default_rng(13).normal(size=(6, 5))
    y = space.host(space.call(reference.dropout, space.array(x), 0.25, KEY, 2))
    keep = np.array([[bits_of((2 + i) * 5 + j) >= WORD // 4 for j in range(5)] for i in range(6)])
    np.testing.assert_allclose(y, np.where(keep, space.host(space.array(x)) / 0.75, 0.0), rtol=4 * space.eps)


def test_rate_zero_keeps_everything_and_a_rate_near_one_drops_nearly_everything(space):
    x = space.array([[1e4, -1e4, 0.0, 1e-40]])
    assert np.array_equal(space.host(reference.dropout(x, 0.0, KEY)), space.host(x))
    assert np.all(space.host(reference.dropout(x, 1 - 2**-33, KEY)) == 0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_masks_have_the_rate_in_every_row_and_column_and_are_independent(rate):
    masks = [reference.dropout(np.ones((400, 300)), rate, key) > 0 for key in dropout_keys(7, np.arange(2), 1)[:, 0]]
    sigma = np.sqrt(rate * (1 - rate))
    for mask in masks:
        assert abs(mask.mean() - (1 - rate)) < 5 * sigma / np.sqrt(mask.size)
        assert np.all(abs(mask.mean(axis=0) - (1 - rate)) < 5 * sigma / np.sqrt(400))
        assert np.all(abs(mask.mean(axis=1) - (1 - rate)) < 5 * sigma / np.sqrt(300))
    first, second = masks
    pairs = [(first, second), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])]
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def test_keys_are_the_published_splitmix64_sequence():
    """The first numbers of splitmix64 from seed 0, as published with its reference implementation."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    keys = dropout_keys(0, np.array([0]), 3)
    assert (keys.dtype, keys.shape) == (np.uint32, (1, 3, 2))
    assert [int(low) + (int(high) << 32) for low, high in keys[0]] == published


def test_keys_differ_by_seed_step_and_layer_and_do_not_depend_on_company():
    steps = np.arange(300)
    keys = dropout_keys(2**63 - 1, steps, 4)
    assert len(np.unique(keys.reshape(-1, 2), axis=0)) == 1200
    assert np.array_equal(dropout_keys(2**63 - 1, steps[7:9], 2), keys[7:9, :2])
    assert not np.any(dropout_keys(5, steps, 4) == keys)
    assert dropout_keys(5, steps, 0).shape == (300, 0, 2)


def test_too_many_layers_are_an_error():
    with pytest.raises(ArgumentError, match="at most 4096"):
        dropout_keys(0, np.arange(2), 4097)
