"""What clients may rely on with durability ``interval``: what was acknowledged in time for the commit before the last.

A commit holds all that had been acknowledged when the one before it ended. So once it is on disk, a power cut takes
nothing that is older; it may take anything younger, and with it acknowledgements in either direction.
"""

from tests.reliability.powerloss.books import Books, Client, Entry, Message


def reliable(older: Books, books: Books) -> Books:
    """The books of now, with no more certainty than the older ones have as well."""
    merged = Books()
    merged.clients = {name: _client(older.clients.get(name), client) for name, client in books.clients.items()}
    for key, message in books.messages.items():
        before = older.messages.get(key)
        certain = message.must & before.must if before is not None and before.accepted else set()
        merged.messages[key] = Message(1, certain, message.must | message.may, message.accepted)
    merged.queues = {queue: _both(older.queues.get(queue), there) for queue, there in books.queues.items()}
    for queue, entries in books.entries.items():
        known = older.entries.get(queue, {})
        merged.entries[queue] = {
            id: Entry(_both(known[id].there if id in known else None, entry.there)) for id, entry in entries.items()
        }
    return merged


def _client(before: Client | None, client: Client) -> Client:
    """A client that repeats nothing: what it knows may be ahead of what the broker does."""
    filters = {} if before is None else before.filters
    return Client(
        client.version,
        None if before is None else _both(before.session, client.session),
        {filter: _both(filters.get(filter), there) for filter, there in client.filters.items()},
        got=client.got,
        settled=client.settled,
    )


def _both(before: bool | None, now: bool | None) -> bool | None:
    return now if before == now else None
