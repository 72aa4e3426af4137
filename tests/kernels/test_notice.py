"""Who is told that something is compiled, and that nobody is told when it is only loaded."""

from __future__ import annotations

import logging

import pytest
from accelnn_kernels import notice


@pytest.fixture(autouse=True)
def not_said_yet():
    notice.forget()
    yield
    notice.forget()


def test_a_listener_is_told_once():
    heard: list[str] = []
    with notice.listening(heard.append):
        notice.announce()
        notice.announce()
    with notice.listening(heard.append):
        notice.announce()
    assert heard == [notice.MESSAGE]


def test_without_a_listener_it_is_logged_once(caplog):
    with caplog.at_level(logging.INFO, "accelnn"):
        notice.announce()
        notice.announce()
    assert [(record.levelname, record.message) for record in caplog.records] == [("INFO", notice.MESSAGE)]


def test_what_was_only_logged_is_still_shown_to_people():
    heard: list[str] = []
    notice.announce()
    with notice.listening(heard.append):
        notice.announce()
    assert heard == [notice.MESSAGE]


def test_what_was_shown_is_not_logged_too(caplog):
    with caplog.at_level(logging.INFO, "accelnn"):
        with notice.listening(lambda line: None):
            notice.announce()
        notice.announce()
    assert caplog.messages == []


def test_a_listener_that_has_left_hears_nothing():
    heard: list[str] = []
    with pytest.raises(ZeroDivisionError), notice.listening(heard.append):
        raise ZeroDivisionError
    notice.announce()
    assert heard == []


def test_processors_and_gpus_have_lines_of_their_own():
    heard: list[str] = []
    with notice.listening(heard.append):
        for message in 2 * (notice.MESSAGE, notice.DEVICE_MESSAGE):
            notice.announce(message)
    assert heard == [notice.MESSAGE, notice.DEVICE_MESSAGE]
