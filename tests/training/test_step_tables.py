"""Hyperparameters and dropout keys of many steps at once are those of the steps one by one."""

from __future__ import annotations

import numpy as np
import pytest

from accelnn import SGD, Adam, AdamW, Dropout, RMSprop, Sequential, schedules
from accelnn.arrays import reference
from accelnn.training.runners.step_tables import STEPS_AHEAD, DropoutKeys, HyperTable
from tests.training.parity import dense

OPTIMIZERS = (
    SGD(0.1),
    SGD(schedules.Cosine(0.1), momentum=0.9),
    RMSprop(schedules.Constant(0.01)),
    Adam(0.01),
    AdamW(schedules.OneCycle(0.01)),
)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("before", [0, 12_345])
def test_rows_are_those_of_the_single_steps(optimizer, before):
    """In chunks of any length, over epochs, and for an optimizer that has made steps before this training."""
    epochs, steps_per_epoch = 3, 2 * STEPS_AHEAD + 7
    table = HyperTable(optimizer, epochs, steps_per_epoch)
    rng, done = np.random.default_rng(0), before
    for epoch in range(epochs):
        first = 0
        while first < steps_per_epoch:
            last = min(steps_per_epoch, first + int(rng.choice([1, 5, 700, STEPS_AHEAD + 1])))
            at = epoch + np.arange(first, last) / steps_per_epoch
            steps = done + np.arange(last - first)
            expected = optimizer.hyper(steps, optimizer.schedule.rates(at, epochs))
            np.testing.assert_array_equal(table.rows(epoch, first, last, done), expected)
            done, first = done + last - first, last


def test_steps_may_be_asked_for_again():
    """Training that was interrupted in a chunk goes on where the optimizer says it is."""
    table = HyperTable(Adam(0.01), 1, 5000)
    once = table.rows(0, 0, 10, 0).copy()
    table.rows(0, 2000, 2010, 2000)
    np.testing.assert_array_equal(table.rows(0, 0, 10, 0), once)


def test_a_schedule_of_the_user_may_change_its_mind():
    class Falling(schedules.Schedule):
        rate = 1.0

        def curve(self, epochs, total_epochs):
            return np.full_like(epochs, self.rate)

    schedule = Falling()
    table = HyperTable(SGD(schedule), 2, 4)
    assert table.rows(0, 0, 4, 0).tolist() == [[1.0]] * 4
    schedule.rate = 0.5
    assert table.rows(1, 0, 4, 4).tolist() == [[0.5]] * 4


def test_dropout_keys_are_numbered_over_all_trainings():
    model = Sequential([Dropout(0.2), dense(3), Dropout(0.5)], n_in=2, seed=3)
    keys = DropoutKeys(model).rows(100, 5)
    np.testing.assert_array_equal(keys, reference.dropout_keys(model.dropout_seed, np.arange(100, 105), 2))


def test_no_dropout_needs_no_keys():
    keys = DropoutKeys(Sequential([dense(3)], n_in=2, seed=3)).rows(0, 5)
    assert (keys.shape, keys.dtype) == ((5, 0, 2), np.uint32)
