"""Teams of threads: how large, how they start together, and how they end when one of them cannot go on."""

from __future__ import annotations

import ctypes
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from accelnn_kernels.team import new_team_memory

from accelnn import SGD, BatchNorm, Sequential
from accelnn.arrays import reference
from accelnn.training.data import TrainingData
from accelnn.training.runners import compiled, team
from accelnn.training.runners.team import bands_pay, rows_of_a_block, run_together, team_size, yield_address
from tests.training.parity import dense, inputs, labels

MANY = 10**9


@pytest.mark.parametrize(
    ("multiplications", "batch_size", "usable", "expected"),
    [
        (MANY, 1024, 4, 4),
        (MANY, 32, 4, 2),  # 16 rows each
        (MANY, 31, 4, 1),
        (500_000, 1024, 4, 2),  # 250,000 multiplications each
        (499_999, 1024, 4, 1),
        (0, 1024, 4, 1),
        (MANY, 1, 4, 1),
        (MANY, 10**6, 1, 1),
    ],
)
def test_threads_are_used_where_they_pay(multiplications, batch_size, usable, expected, monkeypatch):
    monkeypatch.setattr(team, "usable_threads", lambda: usable)
    assert team_size(multiplications, batch_size) == expected


@pytest.mark.parametrize(
    ("batch_size", "first_weight", "expected"),
    [
        (10, (784, 128), 2),  # 4 rows each
        (7, (784, 128), 1),
        (1024, (784, 128), 4),
        (10, None, 1),
        (32, (20, 100), 2),  # so few inputs that products of bands would be more to exchange
        (32, (1, 1), 2),
    ],
)
def test_bands_pay_for_smaller_batches(batch_size, first_weight, expected, monkeypatch):
    monkeypatch.setattr(team, "usable_threads", lambda: 4)
    assert team_size(MANY, batch_size, first_weight) == expected


@pytest.mark.parametrize(("steps", "expected"), [(1, 1), (19, 1), (20, 4), (None, 4)])
def test_threads_are_not_started_for_little(steps, expected, monkeypatch):
    monkeypatch.setattr(team, "usable_threads", lambda: 4)
    assert team_size(1_000_000, 1024, steps=steps) == expected


@pytest.mark.parametrize(
    ("first_weight", "batch_size", "threads", "expected"),
    [
        ((784, 128), 10, 2, True),
        ((784, 128), 10**6, 2, True),
        ((784, 128), 512, 1, False),
        ((784, 128), 2048, 1, True),
        (None, 10, 2, False),
        ((2, 1), 10, 2, True),
        ((2, 1), 10, 3, False),  # a thread without inputs
        ((64, 1000), 64, 2, True),
        ((64, 1000), 1000, 2, False),
    ],
)
def test_inputs_are_shared_out_in_bands_where_it_pays(first_weight, batch_size, threads, expected):
    assert bands_pay(first_weight, batch_size, threads) is expected


@pytest.mark.parametrize(
    ("row_bytes", "batch_size", "expected"),
    [(4 * 784, 2048, 125), (4 * 784, 100, 100), (4, 10**6, 98_304), (10**9, 2048, 64), (10**9, 10, 10)],
)
def test_a_block_of_rows_fits_into_a_cache(row_bytes, batch_size, expected):
    assert rows_of_a_block(row_bytes, batch_size) == expected


def test_all_run_at_once_and_the_first_in_the_calling_thread():
    at_once, names = threading.Barrier(3, timeout=30), {}

    def work(number):
        at_once.wait()
        names[number] = threading.current_thread()

    run_together(work, [(i,) for i in range(3)], new_team_memory())
    assert names[0] is threading.current_thread()
    assert len(set(names.values())) == 3
    assert not any(thread.is_alive() for thread in list(names.values())[1:] if thread is not names[0])


class Run:
    """A training step of a compiled runner with a team of three, whose threads can be made to fail."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(compiled, "team_size", lambda *_: 3)
        model = Sequential([BatchNorm(), dense(7, "tanh"), BatchNorm(), dense(3, "softmax")], n_in=5, seed=0)
        data = TrainingData(inputs(), labels())
        self.model = model
        self.runner = compiled.CompiledRunner(model, data, "cross_entropy", SGD(0.1), (), 16)
        self.runner.begin_epoch(np.arange(len(data)))
        self.loop = compiled._train_steps()
        monkeypatch.setattr(compiled, "_train_steps", lambda: self.run)
        self.failing: dict[int, BaseException] = {}
        self.threads: list[threading.Thread] = []

    def run(self, net, *arguments):
        self.threads.append(threading.current_thread())
        rank = int(net.frame["rank"][0])
        if rank in self.failing:
            raise self.failing[rank]
        self.loop(net, *arguments)

    def train(self, n_steps=4):
        keys = reference.dropout_keys(0, np.arange(n_steps), 0)
        return self.runner.train(0, n_steps, np.full((n_steps, 1), 0.1), keys)

    def all_ended(self) -> bool:
        return not any(thread.is_alive() for thread in self.threads if thread is not threading.current_thread())


@pytest.fixture
def run(monkeypatch) -> Run:
    return Run(monkeypatch)


def test_a_whole_team_trains(run):
    before = run.model.get_weights()
    assert run.train().shape == (4,)
    assert len(run.threads) == 3
    assert run.all_ended()
    assert not any(np.array_equal(a, b) for a, b in zip(before, run.model.get_weights(), strict=True))


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("no memory")], ids=["interrupt", "error"])
def test_a_team_gives_up_when_a_thread_does_not_get_there(rank, error, monkeypatch):
    for _ in range(5):  # threads that wait see it in varying order
        run = Run(monkeypatch)
        before = run.model.get_weights()
        run.failing = {rank: error}
        with pytest.raises(type(error)):
            run.train()
        assert run.all_ended()
        assert all(np.array_equal(a, b) for a, b in zip(before, run.model.get_weights(), strict=True))


def test_a_team_gives_up_when_a_thread_cannot_start(run, monkeypatch):
    start, started = threading.Thread.start, []

    def start_first_only(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_first_only)
    before = run.model.arena.values.copy()
    with pytest.raises(RuntimeError, match="can't start"):
        run.train()
    assert len(started) == 1
    assert run.all_ended()
    np.testing.assert_array_equal(run.model.arena.values, before)


def test_a_thread_that_starts_too_late_touches_nothing(monkeypatch):
    """Ctrl-C while a thread is being started: nobody knows whether it will run, so nobody can wait for it."""
    late, start = [], threading.Thread.start

    def interrupted(thread):
        late.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    calls = []
    with pytest.raises(KeyboardInterrupt):
        run_together(calls.append, [(0,), (1,)], new_team_memory())
    start(late[0])
    late[0].join()
    assert calls == []


def test_ctrl_c_is_raised_after_all_threads_have_ended(monkeypatch):
    join, interrupted, go_on = threading.Thread.join, [], threading.Event()

    def interrupted_twice(thread, timeout=None):
        if len(interrupted) < 2:
            interrupted.append(thread)
            raise KeyboardInterrupt
        go_on.set()
        join(thread, timeout)

    def work(number):
        if number:
            ended.append(go_on.wait(30))

    ended: list[bool] = []
    monkeypatch.setattr(threading.Thread, "join", interrupted_twice)
    with pytest.raises(KeyboardInterrupt):
        run_together(work, [(0,), (1,)], new_team_memory())
    assert ended == [True]


def test_the_address_to_yield_is_that_of_a_c_function():
    assert ctypes.CFUNCTYPE(ctypes.c_int)(yield_address())() == 0


def test_the_address_to_yield_on_windows(monkeypatch):
    function = ctypes.CDLL(None).sched_yield
    monkeypatch.setattr(team, "os", SimpleNamespace(name="nt"))
    kernel32 = SimpleNamespace(SwitchToThread=function)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel32), raising=False)
    assert yield_address() == ctypes.cast(function, ctypes.c_void_p).value
