"""Sends the letters in the queue `letters`. As many workers as you like may run: they share the work."""

import argparse
import asyncio

import mombroker


def send(address: str, repaired: bool) -> None:
    """Send one letter, or raise OSError: there is no way to hosts in .invalid, until somebody repairs it."""
    if address.endswith(".invalid") and not repaired:
        raise OSError("no such host")


async def work(url: str, name: str, repaired: bool) -> None:
    """Work until Ctrl-C."""
    async with mombroker.connect(url) as mom, mom.queue("letters").consume(credit=10) as messages:
        print(f"{name} works", flush=True)
        async for message in messages:
            address = message.text
            try:
                send(address, repaired)
            except OSError as error:
                print(f"{name} could not send to {address}, attempt {message.deliveries}: {error}", flush=True)
                await message.nack(reason=str(error))
            else:
                print(f"{name} sent a letter to {address}", flush=True)
                await message.ack()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883")
    parser.add_argument("--name", default="worker")
    parser.add_argument("--repaired", action="store_true", help="Every host can be reached.")
    given = parser.parse_args()
    try:
        asyncio.run(work(given.url, given.name, given.repaired))
    except KeyboardInterrupt:
        pass
