"""Writing in the background: one at a time, and nothing that goes wrong is lost."""

from __future__ import annotations

import threading

import pytest

from accelnn.training.checkpoints.background_writer import BackgroundWriter


def fail() -> None:
    raise OSError("disk full")


def test_the_next_one_waits_for_the_one_before() -> None:
    writer, gate, done = BackgroundWriter(), threading.Event(), []

    def first() -> None:
        gate.wait(10)
        done.append("first")

    writer.start(first)
    writer.check()
    assert done == []
    timer = threading.Timer(0.05, gate.set)
    timer.start()
    writer.start(lambda: done.append("second"))
    assert done[0] == "first"
    writer.wait()
    assert done == ["first", "second"]
    timer.join()


def test_an_error_is_raised_by_the_next_call_and_once() -> None:
    writer = BackgroundWriter()
    writer.start(fail)
    with pytest.raises(OSError, match="disk full"):
        writer.wait()
    writer.wait()
    writer.start(fail)
    with pytest.raises(OSError, match="disk full"):
        writer.start(lambda: None)


def test_check_raises_once_the_work_is_over() -> None:
    writer = BackgroundWriter()
    writer.start(fail)
    assert writer._thread is not None
    writer._thread.join()
    with pytest.raises(OSError, match="disk full"):
        writer.check()


def test_no_thread_is_left() -> None:
    writer = BackgroundWriter()
    before = threading.active_count()
    writer.start(lambda: None)
    writer.wait()
    assert threading.active_count() == before
