"""Orders of rows: every row once, in an epoch that differs from the last; by blocks, neighbours are read together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from accelnn import Checkpoint, Sequential
from accelnn.errors import AccelnnError, ArgumentTypeError
from accelnn.training import row_orders
from accelnn.training.row_orders import OrderAhead, RowOrder, blocks_permuted, row_order, shuffle_of
from tests.training.parity import inputs, small_net, targets


@pytest.mark.parametrize(("n", "in_block", "in_group"), [(1, 4, 2), (10, 3, 2), (100, 10, 4), (97, 8, 100), (7, 1, 1)])
def test_every_row_comes_once(n: int, in_block: int, in_group: int) -> None:
    rows = np.arange(n) * 3
    order = blocks_permuted(rows, generator=np.random.default_rng(0), in_block=in_block, in_group=in_group)
    assert order.dtype == rows.dtype
    assert np.array_equal(np.sort(order), rows)
    assert np.array_equal(rows, np.arange(n) * 3)  # not changed in place


def test_a_group_reads_a_few_whole_blocks() -> None:
    order = blocks_permuted(np.arange(1000), generator=np.random.default_rng(0), in_block=10, in_group=5)
    for group in order.reshape(-1, 50):
        assert len(np.unique(group // 10)) == 5
        assert len(np.unique(group // 10, return_counts=True)[0]) == 5
        assert not np.array_equal(group, np.sort(group))


def test_rows_may_come_anywhere() -> None:
    """The mean place of a row over many epochs is the middle, for the first and for the last."""
    generator = np.random.default_rng(0)
    places = np.zeros(40)
    for _ in range(2000):
        places[blocks_permuted(np.arange(40), generator=generator, in_block=4, in_group=2)] += np.arange(40)
    assert np.abs(places / 2000 - 19.5).max() < 1.5  # a place has a deviation of 11.5, so its mean one of 0.26


def test_the_order_says_what_it_was_made_of() -> None:
    generator = np.random.default_rng(0)
    assert [shuffle_of(row_order(shuffle, generator, 4)) for shuffle in (True, False, "blocks")] == [
        True, False, "blocks",
    ]  # fmt: skip


def weights(shuffle: bool | str, **options: object) -> np.ndarray:
    model = Sequential(small_net(), seed=0)
    model.fit(inputs(), targets(), epochs=3, batch_size=16, shuffle=shuffle, verbose=0, **options)  # type: ignore[arg-type]
    return model.arena.values.copy()


def test_a_model_learns_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_orders, "BLOCK_BYTES", 400)
    monkeypatch.setattr(row_orders, "GROUP_BYTES", 1600)
    found = weights("blocks")
    assert np.isfinite(found).all()
    assert np.array_equal(found, weights("blocks"))
    assert not np.array_equal(found, weights(True))


def test_a_run_is_not_resumed_in_another_order(tmp_path: object) -> None:
    weights("blocks", checkpoint=Checkpoint(f"{tmp_path}/run"))
    with pytest.raises(AccelnnError, match=r"settings\.shuffle was 'blocks' and is True"):
        weights(True, checkpoint=Checkpoint(f"{tmp_path}/run"), resume=True)


@pytest.mark.parametrize("shuffle", ["block", None, 1, ["blocks"]])
def test_other_values_are_refused(shuffle: object) -> None:
    with pytest.raises(ArgumentTypeError, match=r"shuffle is .*: use True, False or 'blocks'"):
        weights(shuffle)  # type: ignore[arg-type]


def orders_of(ahead: bool, epochs: int = 4) -> tuple[list[np.ndarray], list[object]]:
    """Return the orders of epochs and the states of the generator after each, drawn in advance or not."""
    generator, rows = np.random.default_rng(3), np.arange(10, 40)
    orders, taken, states = OrderAhead(generator.permutation), [], []
    for _ in range(epochs):
        taken.append(orders.take(rows))
        if ahead:
            orders.prepare(rows)
        states.append(generator.bit_generator.state)
    return taken, states


def test_orders_drawn_in_advance_change_nothing() -> None:
    (expected, states), (orders, own_states) = orders_of(ahead=False), orders_of(ahead=True)
    np.testing.assert_array_equal(orders, expected)
    assert own_states == states


def test_an_order_is_drawn_anew_if_something_else_was_drawn_in_between() -> None:
    generator, plain, rows = np.random.default_rng(3), np.random.default_rng(3), np.arange(30)
    orders = OrderAhead(generator.permutation)
    orders.prepare(rows)
    assert generator.random() == plain.random()
    np.testing.assert_array_equal(orders.take(rows), plain.permutation(rows))
    orders.prepare(rows)
    np.testing.assert_array_equal(orders.take(rows[:20]), plain.permutation(rows[:20]))
    assert generator.random() == plain.random()


def test_what_is_taken_was_really_drawn_in_advance() -> None:
    generator, rows = np.random.default_rng(3), np.arange(30)
    orders = OrderAhead(generator.permutation)
    orders.prepare(rows)
    assert orders._drawn is not None
    assert orders.take(rows) is not None
    assert orders._drawn is None


def blocks() -> RowOrder | None:
    return row_order("blocks", np.random.default_rng(3), 1 << 18)


@pytest.mark.parametrize("make", [lambda: None, lambda: np.random.RandomState(3).permutation, blocks])
def test_other_orders_are_drawn_when_they_are_taken(make: Callable[[], RowOrder | None]) -> None:
    rows, order = np.arange(30), make()
    orders = OrderAhead(make())
    orders.prepare(rows)
    np.testing.assert_array_equal(orders.take(rows), rows if order is None else order(rows))
