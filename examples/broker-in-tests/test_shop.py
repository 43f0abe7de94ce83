"""`mom_sync` is a connected client, with a broker of the test's own behind it. That is all there is to it."""

import pytest
import shop

import mombroker
from mombroker.client import Problem


def test_an_order_is_packed_once(mom_sync):
    shop.order(mom_sync, "a teapot")
    with mom_sync.subscribe("parcels") as parcels:
        assert shop.pack_one(mom_sync) == "a teapot"
        assert next(parcels).text == "a teapot"
    assert shop.pack_one(mom_sync) is None


def test_every_test_begins_with_an_empty_broker(mom_sync):
    with pytest.raises(Problem, match="no-such-queue"):
        shop.pack_one(mom_sync)


def test_a_program_may_connect_by_itself(mombroker_broker):
    with mombroker.connect_sync(mombroker_broker.url) as mom:
        assert shop.order(mom, "a cup")
        assert mom.queue("orders").info().numbers.ready == 1
