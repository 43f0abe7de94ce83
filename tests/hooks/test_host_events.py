"""Events, start-up, shutdown, and what is said about plugins that fail or dawdle."""

import asyncio

import pytest

from mombroker.hooks import SessionEnded, hookimpl
from mombroker.model import PluginError
from mombroker.wiring import hook_calls, hook_observers


class Observer:
    def __init__(self, answer=None):
        self.answer = answer
        self.seen = []

    @hookimpl
    def mombroker_event(self, event):
        self.seen.append(event.client_id)
        return self.answer(event) if callable(self.answer) else self.answer


def ended(name):
    return SessionEnded(0.0, name)


def broken(event):
    raise ValueError(event)


async def test_every_observer_is_told_also_after_one_has_failed(host):
    last = Observer()
    observed = host(Observer(broken), Observer("an answer"), last)
    observed.event(ended("c"))
    assert last.seen == ["c"]
    assert observed.faults == {"mombroker_event": 2}


async def test_an_async_observer_sees_events_one_after_the_other(host):
    happened = []
    done = asyncio.Event()

    async def observe(event):
        happened.append(f"begin {event.client_id}")
        await asyncio.sleep(0)
        happened.append(f"end {event.client_id}")
        if event.client_id == "b":
            done.set()

    observed = host(Observer(observe), budget=5)
    observed.event(ended("a"))
    observed.event(ended("b"))
    assert happened == []
    await done.wait()
    assert happened == ["begin a", "end a", "begin b", "end b"]


async def test_an_observer_that_hangs_or_fails_still_gets_its_next_event(host, never):
    done = asyncio.Event()

    async def observe(event):
        if event.client_id == "hang":
            await never
        if event.client_id == "fail":
            raise ValueError
        done.set()

    observed = host(Observer(observe))
    for name in ("hang", "fail", "good"):
        observed.event(ended(name))
    await done.wait()
    assert observed.faults == {"mombroker_event": 2}


async def test_a_backlog_has_an_end(host, never, monkeypatch):
    monkeypatch.setattr(hook_observers, "LONGEST_BACKLOG", 3)
    seen = []

    async def observe(event):
        seen.append(event.client_id)

    observed = host(Observer(observe), budget=30)
    for number in range(5):
        observed.event(ended(str(number)))
    assert observed.faults == {"mombroker_event": 2}
    await observed.shutdown()
    assert seen == ["0", "1", "2"]


async def test_events_that_nobody_has_finished_with_are_given_up_at_the_end(host, never):
    async def observe(event):
        await never

    observed = host(Observer(observe), budget=30)
    observed.event(ended("a"))
    observed.event(ended("b"))
    await observed.close()
    observed.event(ended("c"))
    assert observed.faults == {"mombroker_event": 1}


class Lifecycle:
    def __init__(self, name, happened, answer=None):
        self.name = name
        self.happened = happened
        self.answer = answer

    @hookimpl
    def mombroker_startup(self):
        self.happened.append(f"start {self.name}")
        return self.answer() if callable(self.answer) else None

    @hookimpl
    def mombroker_shutdown(self):
        self.happened.append(f"stop {self.name}")
        return self.answer() if callable(self.answer) else None


async def test_plugins_start_in_order_and_stop_in_reverse(host):
    happened = []
    running = host(Lifecycle("a", happened), Lifecycle("b", happened))
    await running.startup()
    await running.shutdown()
    assert happened == ["start a", "start b", "stop b", "stop a"]


async def test_a_plugin_that_cannot_start_stops_the_broker_and_says_why(host):
    def fail():
        raise OSError("no database at db.example")

    async def fail_later():
        fail()

    for answer in (fail, fail_later):
        happened = []
        with pytest.raises(PluginError, match=r"Lifecycle failed: raised OSError: no database at db\.example"):
            await host(Lifecycle("a", happened, answer), Lifecycle("b", happened)).startup()
        assert happened == ["start a"]


async def test_a_start_may_take_longer_than_the_budget_but_is_spoken_of(host, log, never):
    starting = asyncio.ensure_future(host(Lifecycle("a", [], lambda: never)).startup())
    while "still waiting" not in log:
        await asyncio.sleep(0)
    never.set_result(None)
    await starting


async def test_a_shutdown_that_fails_or_hangs_does_not_keep_the_others_from_stopping(host, never):
    happened = []

    def fail():
        raise ValueError

    stopping = host(Lifecycle("a", happened), Lifecycle("b", happened, fail), Lifecycle("c", happened, lambda: never))
    await stopping.shutdown()
    assert happened == ["stop c", "stop b", "stop a"]
    assert stopping.faults == {"mombroker_shutdown": 2}


async def test_the_same_fault_is_logged_once_a_minute_and_counted_always(host, log):
    time = [0.0]
    observed = host(Observer(broken), clock=lambda: time[0])
    for _ in range(5):
        observed.event(ended("c"))
    assert len(log.lines) == 1
    time[0] = 61.0
    observed.event(ended("c"))
    assert len(log.lines) == 2
    assert log.lines[1][1]["times_since_last_report"] == 5
    assert observed.faults == {"mombroker_event": 6}


async def test_a_plain_function_that_holds_up_the_loop_is_counted_and_logged(host, log, monkeypatch):
    monkeypatch.setattr(hook_calls, "SLOW_CALL", -1.0)
    observed = host(Observer())
    observed.event(ended("a"))
    observed.event(ended("b"))
    assert observed.slow == {"mombroker_event": 2}
    assert [event for event, _ in log.lines] == ["plugin hook is slow and holds up all clients"]


async def test_plugins_are_named_in_the_order_in_which_they_are_asked(host):
    assert host(Observer(), Lifecycle("a", []), Observer()).plugin_names() == ["Observer", "Lifecycle", "Observer-2"]
