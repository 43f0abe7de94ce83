"""A program that is to be tested: takes orders, and packs them."""

from mombroker.client.sync import SyncMom


def order(mom: SyncMom, item: str) -> str:
    """Order something; the order's number, when it is on disk."""
    orders = mom.queue("orders")
    orders.create(max_deliveries=5)
    return orders.put(item)


def pack_one(mom: SyncMom) -> str | None:
    """Pack the next order; what was in it, None if there is none."""
    for message in mom.queue("orders").pull():
        mom.publish("parcels", message.payload)
        message.ack()
        return message.text
    return None
