"""Signals wait for the end of a block, and whoever handled them does so again."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from accelnn_kernels import compiler
from accelnn_kernels.compiler import compile_loop
from accelnn_kernels.signals import signals_held

from tests.training.own_process import output_of

NUMBERS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def handlers_stay() -> Iterator[None]:
    """Every handler is what it was before, whatever a test raises."""
    before = [signal.getsignal(number) for number in NUMBERS]
    yield
    found = [signal.getsignal(number) for number in NUMBERS]
    for number, handler in zip(NUMBERS, before, strict=True):
        signal.signal(number, handler)
    assert found == before


@contextlib.contextmanager
def handled(handler: Any) -> Iterator[None]:
    """Return the block in which SIGTERM is handled so, at its end too."""
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def inside(*actions: Callable[[], object], **options: Any) -> None:
    """Do something in a block, one after the other."""
    with signals_held(**options):
        for action in actions:
            action()


CTRL_C, TERMINATE = (partial(signal.raise_signal, number) for number in NUMBERS)


def test_ctrl_c_waits_for_the_end() -> None:
    order: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        inside(CTRL_C, partial(order.append, "end"))
    assert order == ["end"]


def test_every_handler_runs_with_its_number_and_the_frame_of_its_signal() -> None:
    seen: list[Any] = []

    def leave(number: int, frame: Any) -> None:
        seen.append((number, frame.f_code.co_name))
        raise SystemExit(3)

    with handled(leave):
        with pytest.raises(SystemExit) as caught:
            inside(CTRL_C, TERMINATE, partial(seen.append, "end"))
        assert seen == ["end", (signal.SIGTERM, "inside")]
    assert isinstance(caught.value.__context__, KeyboardInterrupt)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_what_needs_no_python_is_left_alone(handler: Any) -> None:
    with handled(handler), signals_held():
        assert signal.getsignal(signal.SIGTERM) is handler


def test_a_block_in_a_block_hands_over() -> None:
    order: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        inside(partial(inside, CTRL_C, partial(order.append, "inner")), partial(order.append, "outer"))
    assert order == ["inner", "outer"]


def test_the_second_signal_does_not_wait_if_it_insists() -> None:
    order: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        inside(CTRL_C, partial(order.append, "first"), CTRL_C, partial(order.append, "second"), insistent=True)
    assert order == ["first"]


def test_an_error_of_the_block_stays_visible_behind_the_signal() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        inside(CTRL_C, partial(int, "no number"))
    assert isinstance(caught.value.__context__, ValueError)


def test_handlers_are_put_back_though_one_of_them_raises_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that has its handler again arrives before the next one has."""
    put_back = signal.signal

    def arriving(number: int, handler: Any) -> None:
        put_back(number, handler)
        if handler is signal.default_int_handler:
            signal.raise_signal(signal.SIGINT)

    with handled(lambda *_: None), monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        inside(partial(patch.setattr, signal, "signal", arriving))


def test_a_handler_that_somebody_set_meanwhile_stays() -> None:
    def mine(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, lambda *_: None)
    with signals_held():
        signal.signal(signal.SIGTERM, mine)
    assert signal.signal(signal.SIGTERM, before) is mine


def test_other_threads_hold_nothing() -> None:
    found: list[Any] = []

    def work() -> None:
        with signals_held():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


def test_ctrl_c_while_the_compiler_works_is_heard_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is there, and the next call uses it."""

    def add(x):
        return x + 1

    monkeypatch.setattr(compiler, "cache_directory", lambda: None)
    monkeypatch.setattr(compiler.notice, "announce", lambda: signal.raise_signal(signal.SIGINT))
    loop = compile_loop(add)
    with pytest.raises(KeyboardInterrupt):
        loop.prepare(1)
    assert loop(1) == 2
    assert len(loop.signatures) == 1


WHILE_COMPILING = """
    import signal, sys, warnings
    import numpy as np
    from accelnn import Dense, Sequential
    from accelnn_kernels import compiler, notice

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    for number, activation in ((signal.SIGINT, "relu"), (signal.SIGTERM, "tanh")):
        pressed = iter([number])
        notice.announce = lambda: [signal.raise_signal(n) for n in pressed]
        n_before = len(compiler.compiled_names)
        model = Sequential([Dense(1, activation)], seed=0, backend="cpu")
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                history = model.fit(np.ones((4, 2)), np.zeros(4), epochs=1, verbose=0, runner="compiled")
            print(history.interrupted, len(history), model.history is history, [str(w.message)[:24] for w in told])
        except SystemExit as error:
            print("exit", error.code)
        print(len(compiler.compiled_names) - n_before)
"""


@pytest.mark.slow
def test_a_training_is_interrupted_behind_the_kernel_that_is_compiled(tmp_path: Path) -> None:
    printed = output_of(WHILE_COMPILING, tmp_path).splitlines()
    assert printed == ["True 0 True ['training was interrupted']", "1", "exit 3", "1"]
