"""Puts letters to be sent into the queue `letters`, which tries each three times and keeps what cannot be sent."""

import argparse

import mombroker
from mombroker.client import OutMessage

ADDRESSES = ["ann@example.com", "bob@example.invalid", "cid@example.com", "dan@example.invalid"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883")
    given = parser.parse_args()
    with mombroker.connect_sync(given.url) as mom:
        letters = mom.queue("letters")
        # Making a queue that is there already, and the same, changes nothing.
        letters.create(max_deliveries=3, retry_delay=0.1, dead_letter="letters.dead", dedup_window=3600)
        count = letters.put_many(OutMessage(text=address, id=f"letter-to-{address}") for address in ADDRESSES)
        print(f"{count} letters are in the queue, and on disk", flush=True)


if __name__ == "__main__":
    main()
