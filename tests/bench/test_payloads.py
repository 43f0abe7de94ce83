"""Payloads without packets, and the verdict on them."""

import pytest

from bench.load.payloads import Payloads, form, rows
from bench.verify import Roll, Tally

RUN = 7


def test_payloads_are_numbered_and_have_their_size():
    layout = form(64)
    made = Payloads(layout, RUN).make(10, 5000)
    assert len(made) == 5000 and all(len(one) == 64 for one in made)
    table = rows(layout, made)
    assert table["seq"].tolist() == list(range(10, 5010)) and set(table["run"].tolist()) == {RUN}


@pytest.mark.parametrize("kind", [Roll, Tally])
def test_what_comes_back_whole_is_without_fault(kind):
    layout = form(64)
    made = Payloads(layout, RUN).make(0, 100)
    checked = Roll(layout, RUN, 100) if kind is Roll else Tally(layout, RUN)
    checked.take(rows(layout, made))
    assert (checked.verdict() if kind is Roll else checked.verdict([100])).faults() == ()


def test_a_payload_of_another_length_is_foreign_and_missing():
    layout = form(64)
    made = Payloads(layout, RUN).make(0, 100)
    made[3] += b"x"
    roll = Roll(layout, RUN, 100)
    roll.take(rows(layout, made))
    assert roll.verdict().faults() == ("LOST 1", "FOREIGN 1")


def test_nothing_is_no_row():
    assert len(rows(form(64), [])) == 0
