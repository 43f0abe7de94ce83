"""Turns go to places one after the other, however many ask from one of them."""

import asyncio

import pytest

from mombroker_plugins.user_turns import Turns


class Askers:
    """Those who ask for turns, and in which order they got them."""

    def __init__(self, most: int) -> None:
        self.turns = Turns(most)
        self.served: list[str] = []

    async def _ask(self, source: str) -> None:
        await self.turns.take(source)
        self.served.append(source)

    async def ask(self, sources: str) -> list["asyncio.Task[None]"]:
        """Ask from each of these, in order; the tasks that wait."""
        tasks = [asyncio.create_task(self._ask(source)) for source in sources]
        await settle()
        return tasks

    async def give(self, count: int) -> None:
        """So many turns are over, one after the other."""
        for _ in range(count):
            self.turns.give()
            await settle()


async def settle() -> None:
    """Let everybody who can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_come_while_there_is_room_do_not_wait():
    askers = Askers(2)
    waiting = await askers.ask("aab")
    assert askers.served == ["a", "a"]
    await askers.give(1)
    assert askers.served == ["a", "a", "b"]
    await asyncio.gather(*waiting)


async def test_sources_take_turns_however_many_wait_from_one_of_them():
    askers = Askers(1)
    waiting = await askers.ask("xaaaaaabbc")
    await askers.give(9)
    assert "".join(askers.served) == "xabcabaaaa"
    await asyncio.gather(*waiting)


async def test_who_gives_up_waiting_costs_nobody_a_turn():
    askers = Askers(1)
    _, first, second, third = await askers.ask("xaab")
    first.cancel()
    second.cancel()
    await settle()
    await askers.give(1)
    assert askers.served == ["x", "b"]
    await askers.give(1)
    assert (await askers.ask("c"))[0].done()
    await third


async def test_a_turn_that_comes_together_with_the_end_of_the_asker_goes_to_the_next():
    askers = Askers(1)
    _, first, second = await askers.ask("xab")
    askers.turns.give()
    first.cancel()
    await settle()
    assert askers.served == ["x", "b"]
    await second


async def test_those_who_wait_are_cancelled_at_the_end():
    askers = Askers(1)
    _, waiting = await askers.ask("xa")
    askers.turns.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
