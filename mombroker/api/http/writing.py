"""From Structs to responses: JSON with readable payloads, and contents as they are."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

from mombroker.api.texts import as_text
from mombroker.operations.queues import Done
from mombroker.operations.services import Reply

JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
REPLY: Final = "application/vnd.mombroker.reply+json"

_encoder: Final = msgspec.json.Encoder()
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+([ ]*;[\x20-\x7e]*)?")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# A worker's HTML in a browser must not be taken for a page of the broker's.
_HARMLESS: Final = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'"}


def json_response(answer: Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON. Done has nothing to tell: 204."""
    if isinstance(answer, Done):
        return Response(status_code=204)
    return Response(encoded(answer), status, headers, JSON)


def encoded(answer: Struct) -> bytes:
    """An answer in JSON: what is UTF-8 as ``text``, anything else as ``payload`` in base64."""
    return _encoder.encode(as_text(answer))


def reply_response(reply: Reply, as_json: bool) -> Response:
    """A reply: one part as it is, with its content type and properties; several, or where asked for, in JSON."""
    if as_json or len(reply.parts) != 1:
        return Response(encoded(reply), 200, media_type=REPLY)
    part = reply.parts[0]
    response = Response(part.content(), 200, dict(_HARMLESS))
    response.raw_headers.append((b"content-type", _media_type(part.content_type).encode("ascii")))
    response.raw_headers.extend(_property_headers(part.properties))
    return response


def _media_type(given: str) -> str:
    return given if _MEDIA_TYPE.fullmatch(given) else BYTES


def _property_headers(properties: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Properties as headers, without those that HTTP has no way to write; in JSON they are all there."""
    return [
        (b"mom-property-" + name.lower().encode("ascii"), value.strip().encode("utf-8"))
        for name, value in properties
        if _TOKEN.fullmatch(name) and not _CONTROL.search(value)
    ]
