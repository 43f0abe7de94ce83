"""The one who asks and the one who answers, with clients that do one thing wrong."""

import threading
from collections import deque

import pytest

from bench.load import asking
from bench.load.asking import Ask, Serve, ask, serve
from bench.load.board import Board


class Exchange:
    """Between the two: hands requests to whoever serves, and ``spoil`` changes what comes back."""

    def __init__(self, spoil=lambda reply: reply, repeats=False):
        self.spoil, self.repeats = spoil, repeats
        self.answer = None

    def reply(self, payload):
        if self.repeats:
            self.answer(payload)
        return self.spoil(self.answer(payload))


class FakeClient:
    """A client of the exchange that is its ``port``."""

    def __init__(self, port):
        self._exchange = port

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def ask(self, payload):
        return self._exchange.reply(payload)

    async def serve(self, answer):
        self._exchange.answer = answer

    async def rest(self):
        pass


def asked(exchange, monkeypatch, in_flight=0):
    """The reports of the one who serves and of the one who asks."""
    monkeypatch.setitem(asking.CLIENTS, "fake", FakeClient)
    board, serving, found = Board(), threading.Event(), deque()
    order = Serve("fake", exchange, 3, 64, seconds=60)
    thread = threading.Thread(target=lambda: found.append(serve(order, board, lambda report=None: serving.set())))
    thread.start()
    assert serving.wait(60)
    report = ask(Ask("fake", exchange, 3, 64, 0.05, in_flight), board, lambda report=None: None)
    thread.join(60)
    return found[0], report


@pytest.mark.parametrize("in_flight", [0, 20])
def test_honest_replies_are_counted_on_both_sides(monkeypatch, in_flight):
    served, report = asked(Exchange(), monkeypatch, in_flight)
    assert served.verdict.faults() == () == report.verdict.faults() and not served.late
    assert served.count == report.count > asking.WARMING
    assert report.values["p50"] > 0 and report.values["serial"] > 0 and ("rate" in report.values) == bool(in_flight)


def test_a_reply_that_nobody_worked_for_is_corrupted(monkeypatch):
    _, report = asked(Exchange(lambda reply: reply[::-1]), monkeypatch)
    assert report.verdict.corrupted == report.count > 0


def test_a_request_that_is_served_twice_is_found(monkeypatch):
    served, _ = asked(Exchange(repeats=True), monkeypatch)
    assert any(fault.startswith("DUPLICATED") for fault in served.verdict.faults())
