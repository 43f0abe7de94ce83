"""The service `clock`: tells the time."""

import argparse
import asyncio
from datetime import UTC, datetime

import mombroker
from mombroker.client import ServiceRequest


async def serve(url: str) -> None:
    """Serve until Ctrl-C."""
    async with mombroker.connect(url) as mom:

        @mom.service("clock")
        async def clock(request: ServiceRequest) -> str:
            return datetime.now(UTC).isoformat(timespec="seconds")

        await mom.serving()
        print("serving clock", flush=True)
        await mom.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883")
    given = parser.parse_args()
    try:
        asyncio.run(serve(given.url))
    except KeyboardInterrupt:
        pass
