"""A broker process among hostile clients: a well-behaved pair loses nothing, is served on, and stays connected.

No time is measured here; ``python tests/reliability fuzzing --target hostile`` does that.
"""

import asyncio

import pytest
from hypothesis import given, settings

from mombroker.mqtt import Publish
from tests.reliability.fuzzing.company import COMPANIES, TOPIC, Pair, company
from tests.reliability.fuzzing.hostile import BEHAVIOURS, Behaviour


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One broker for all companies of the module."""
    with company(tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest.mark.parametrize("version", [3, 5])
def test_a_pair_loses_nothing_beside_one_of_each_kind(shared, version):
    shared.endure([Behaviour(name, version, 60, 1, version == 5, who) for who, name in enumerate(BEHAVIOURS)])


@settings(max_examples=6)
@given(behaviours=COMPANIES)
def test_a_pair_loses_nothing_beside_any_company(shared, behaviours):
    shared.endure(behaviours)


class Spoiled:
    """Both clients of a pair, of whose messages the second one is lost, and whose third one is refused."""

    def __init__(self):
        self.sent = 0

    async def publish(self, topic, payload, qos):
        self.sent += 1
        return 0x97 if self.sent == 3 else 0

    async def message(self, timeout):
        await asyncio.sleep(0)  # the publish is a task
        return Publish.create(TOPIC, b"3" if self.sent == 2 else b"%d" % self.sent)


async def test_a_lost_message_and_a_refused_one_are_noticed():
    spoiled = Spoiled()
    pair = Pair(spoiled, spoiled)
    await pair.exchange([])
    with pytest.raises(AssertionError, match="instead of message 2 came b'3'"):
        await pair.exchange([])
    with pytest.raises(AssertionError, match="message 3 was refused"):
        await pair.exchange([])


def test_a_line_in_the_log_about_a_defect_is_noticed(shared):
    shared.server.log.append({"event": "internal error", "level": "error"})
    with pytest.raises(AssertionError, match="internal error"):
        shared.check_log()
