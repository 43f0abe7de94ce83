"""Two services: `thumbs` makes small images of large ones, `words` counts the words of a text."""

import argparse
import asyncio
import json
from collections import Counter

import mombroker
from mombroker.client import Part, ServiceError, ServiceRequest
from mombroker.operations.queues import PutGrant

LONGEST_SIDE = 32


def thumbnail(image: bytes) -> bytes:
    """A small version of a portable graymap (PGM, binary): each of its pixels is the mean of a square."""
    try:
        magic, width, height, depth, pixels = image.split(maxsplit=4)
        columns, rows = int(width), int(height)
    except ValueError:
        raise ServiceError("not-an-image", "the request is no portable graymap") from None
    if magic != b"P5" or depth != b"255" or len(pixels) != columns * rows:
        raise ServiceError("not-an-image", f"expected {columns} x {rows} gray pixels of one byte each")
    square = max(1, -(-max(columns, rows) // LONGEST_SIDE))
    small = bytearray()
    for top in range(0, rows, square):
        for left in range(0, columns, square):
            lines = [
                pixels[row * columns + left : row * columns + min(left + square, columns)]
                for row in range(top, min(top + square, rows))
            ]
            small.append(sum(map(sum, lines)) // sum(map(len, lines)))
    return b"P5 %d %d 255\n%b" % (-(-columns // square), -(-rows // square), bytes(small))


async def serve(url: str, callers: list[str]) -> None:
    """Serve both until Ctrl-C."""
    async with mombroker.connect(url) as mom:
        # A plain function runs in a thread: it may take its time.
        @mom.service("thumbs", concurrency=2)
        def thumbs(request: ServiceRequest) -> Part:
            return Part(payload=thumbnail(request.payload), content_type="image/x-portable-graymap")

        @mom.service("words")
        async def words(request: ServiceRequest) -> Part:
            counted = Counter(request.text.lower().split()).most_common(3)
            return Part(text=json.dumps(dict(counted)), content_type="application/json")

        await mom.serving()
        for user in callers:
            await mom.call(PutGrant(user=user, pattern="*", rights=("write",)))
        print("serving thumbs and words", flush=True)
        await mom.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="mqtt://services:secret@127.0.0.1:1883")
    parser.add_argument("--caller", action="append", default=[], help="A user that may ask. May be repeated.")
    given = parser.parse_args()
    try:
        asyncio.run(serve(given.url, given.caller))
    except KeyboardInterrupt:
        pass
