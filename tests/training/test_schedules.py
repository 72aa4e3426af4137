"""Schedules: their curves at points that are known by hand, and their refusals."""

import doctest
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from accelnn.errors import ArgumentError, ArgumentTypeError, ShapeError
from accelnn.training import schedules
from accelnn.training.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    ExponentialDecay,
    InverseScaling,
    OneCycle,
    Schedule,
    StepDecay,
    Warmup,
    as_schedule,
    resolve_schedule,
)


def test_constant():
    np.testing.assert_array_equal(Constant(0.3).rates([0.0, 0.5, 99.0], 3), [0.3, 0.3, 0.3])


def test_step_decay_drops_exactly_at_the_first_step_of_an_epoch():
    steps_per_epoch = 469
    epochs = np.arange(0, 31 * steps_per_epoch) / steps_per_epoch
    rates = StepDecay(1.0, factor=0.5, every=10).rates(epochs, 31)
    expected = 0.5 ** (np.arange(epochs.size) // (10 * steps_per_epoch))
    np.testing.assert_array_equal(rates, expected)


def test_exponential_decay():
    np.testing.assert_allclose(ExponentialDecay(2.0, 0.25).rates([0.0, 0.5, 1.0, 2.0], 2), [2.0, 1.0, 0.5, 0.125])


def test_cosine():
    rates = Cosine(1.0, final=0.2).rates([0.0, 2.5, 5.0, 10.0, 12.0], 10)
    quarter = 0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2
    np.testing.assert_allclose(rates, [1.0, quarter, 0.6, 0.2, 0.2], rtol=1e-15)


def test_inverse_scaling():
    np.testing.assert_allclose(InverseScaling(6.0, power=0.5).rates([0.0, 3.0, 8.0], 9), [6.0, 3.0, 2.0])


def test_one_cycle_passes_through_its_four_corners():
    schedule = OneCycle(1.0, warmup=0.25, start_factor=10, final_factor=100)
    rates = schedule.rates([0.0, 1.25, 2.5, 6.25, 10.0, 11.0], 10)
    np.testing.assert_allclose(rates, [0.1, 0.55, 1.0, (1.0 + 0.001) / 2, 0.001, 0.001], rtol=1e-14)


def test_warmup_ramps_to_a_number_and_stays():
    rates = Warmup(2, 0.5, start_factor=5).rates([0.0, 1.0, 2.0, 7.0], 10)
    np.testing.assert_allclose(rates, [0.1, 0.3, 0.5, 0.5])


def test_warmup_multiplies_a_schedule_that_counts_from_the_beginning():
    epochs = np.linspace(0, 4, 17)
    then = StepDecay(1.0, every=2)
    ramp = 0.04 + 0.96 * np.minimum(epochs / 3, 1)
    np.testing.assert_allclose(Warmup(3, then).rates(epochs, 4), ramp * then.rates(epochs, 4))


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_name_gives_rates_between_0_and_the_rate(name):
    epochs = np.arange(0, 50 * 7) / 7
    rates = resolve_schedule(name, 0.1).rates(epochs, 50)
    assert rates.dtype == np.float64
    assert rates.shape == epochs.shape
    assert rates.min() > 0
    assert rates.max() == pytest.approx(0.1, rel=0.02)
    assert rates.max() <= 0.1


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_do_not_depend_on_how_the_steps_are_cut_into_chunks(name):
    schedule = resolve_schedule(name, 0.1)
    epochs = np.arange(0, 5 * 11) / 11
    parts = [schedule.rates(part, 5) for part in np.array_split(epochs, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), schedule.rates(epochs, 5))


def test_rates_of_no_steps():
    assert Cosine(0.1).rates([], 1).shape == (0,)


def test_schedules_are_values():
    assert Cosine(1) == Cosine(1.0, 0)
    assert isinstance(Cosine(np.float32(1)).rate, float)
    with pytest.raises(FrozenInstanceError):
        Cosine(1.0).rate = 2.0


def test_as_schedule():
    schedule = Cosine(0.1)
    assert as_schedule(schedule) is schedule
    assert as_schedule(0.2) == Constant(0.2)
    assert as_schedule(np.float32(0.25)) == Constant(0.25)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Constant(0), "rate"),
        (lambda: Constant(-0.1), "rate"),
        (lambda: Constant(math.nan), "rate"),
        (lambda: Constant(10**400), "rate"),
        (lambda: StepDecay(0.1, factor=0), "factor"),
        (lambda: StepDecay(0.1, factor=1.1), "factor"),
        (lambda: StepDecay(0.1, every=0), "every"),
        (lambda: ExponentialDecay(0.1, factor=-1), "factor"),
        (lambda: Cosine(0.1, final=-0.1), "final"),
        (lambda: Cosine(0.1, final=0.2), "final"),
        (lambda: InverseScaling(0.1, power=-1), "power"),
        (lambda: OneCycle(math.inf), "max_rate"),
        (lambda: OneCycle(0.1, warmup=0), "warmup"),
        (lambda: OneCycle(0.1, warmup=1), "warmup"),
        (lambda: OneCycle(0.1, start_factor=0.5), "start_factor"),
        (lambda: OneCycle(0.1, final_factor=0.5), "final_factor"),
        (lambda: Warmup(0, 0.1), "epochs"),
        (lambda: Warmup(1, -0.1), "then"),
        (lambda: Warmup(1, 0.1, start_factor=0), "start_factor"),
        (lambda: Constant(0.1).rates([-1.0], 1), "epochs"),
        (lambda: Constant(0.1).rates([math.nan], 1), "epochs"),
        (lambda: Constant(0.1).rates([0.0], 0), "total_epochs"),
        (lambda: as_schedule(0), "learning_rate"),
        (lambda: resolve_schedule("cosine", 0), "learning_rate"),
    ],
)
def test_values_out_of_range(make, argument):
    with pytest.raises(ArgumentError, match=rf"^(an entry of )?{argument} is .*: use "):
        make()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Constant("0.1"), "rate"),
        (lambda: Constant(True), "rate"),
        (lambda: Constant(None), "rate"),
        (lambda: Constant(np.array(0.1)), "rate"),
        (lambda: Warmup(1, "cosine"), "then"),
        (lambda: as_schedule(Cosine), "learning_rate"),
        (lambda: as_schedule([0.1]), "learning_rate"),
        (lambda: Constant(0.1).rates(["a"], 1), "epochs"),
        (lambda: Constant(0.1).rates([0.0], 1.5), "total_epochs"),
        (lambda: resolve_schedule(None, 0.1), "schedule"),
    ],
)
def test_values_of_the_wrong_type(make, argument):
    with pytest.raises(ArgumentTypeError, match=rf"^{argument} is .*: use "):
        make()


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(ArgumentError, match=r"did you mean 'cosine'\?"):
        resolve_schedule("cosin", 0.1)


class Custom(Schedule):
    def __init__(self, returned):
        self.returned = returned

    def __repr__(self):
        return "Custom()"

    def curve(self, epochs, total_epochs):
        return self.returned


def test_a_custom_schedule_is_checked():
    np.testing.assert_array_equal(Custom([0.1, 0.0]).rates([0.0, 1.0], 2), [0.1, 0.0])
    with pytest.raises(ShapeError, match=r"Custom\(\) have shape \(\)"):
        Custom(0.1).rates([0.0, 1.0], 2)
    with pytest.raises(ArgumentError, match=r"Custom\(\) gives the learning rate -0\.1"):
        Custom([0.1, -0.1]).rates([0.0, 1.0], 2)
    with pytest.raises(ArgumentError, match="learning rate nan"):
        Custom([0.1, math.nan]).rates([0.0, 1.0], 2)


def test_the_example_of_the_documentation_is_true():
    result = doctest.testmod(schedules)
    assert result.failed == 0
    assert result.attempted == 2
