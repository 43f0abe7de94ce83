"""From a request to Structs: path and query parameters, JSON bodies, raw contents. Whatever is wrong is a Problem that
says where."""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import NODEFAULT, Struct, inspect, structs
from starlette.requests import Request

from mombroker.operations.messages import OutMessage
from mombroker.operations.problems import BAD_REQUEST, UNSUPPORTED_CONTENT, Problem

JSON: Final = "application/json"
CURL_DEFAULT: Final = "application/x-www-form-urlencoded"
"""What curl -d says of any body, unless it is told better: as good as nothing."""
PROPERTY: Final = "mom-property-"
_MAX_PARAMETERS: Final = 100


def part_of(request: type[Struct], fields: Collection[str], name: str, doc: str = "") -> type[Struct]:
    """A Struct of some fields of an operation's request, with their types, ranges and defaults."""
    infos = {field.name: field for field in structs.fields(request)}
    made = structs_from([infos[name] for name in fields], name)
    made.__doc__ = doc or request.__doc__
    return made


def structs_from(infos: Collection[structs.FieldInfo], name: str) -> type[Struct]:
    """A Struct with these fields."""
    fields = [
        (info.name, info.type) if info.default is NODEFAULT else (info.name, info.type, info.default) for info in infos
    ]
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True)


def fields_of(values: Struct) -> dict[str, Any]:
    """The fields of a Struct, not of those within."""
    return {name: getattr(values, name) for name in values.__struct_fields__}


class Parameters:
    """Reads the path and query parameters of one endpoint."""

    def __init__(self, kind: type[Struct]) -> None:
        self.kind = kind
        self._flags = frozenset(field.name for field in structs.fields(kind) if field.type is bool or _is_flag(field))

    def read(self, request: Request) -> Any:
        """The parameters. Raises Problem (bad-request)."""
        given: dict[str, str] = dict(request.path_params)
        query: bytes = request.scope["query_string"]
        if query:
            for name, value in _pairs(query):
                if name in given:
                    raise Problem(BAD_REQUEST, f"the parameter {name[:100]!r} is given more than once")
                # `?patient` means `?patient=true`.
                given[name] = "true" if value == "" and name in self._flags else value
        try:
            return msgspec.convert(given, self.kind, strict=False)
        except msgspec.ValidationError as error:
            raise Problem(BAD_REQUEST, f"in the path or the query: {_sentence(error)}") from None


def _is_flag(field: structs.FieldInfo) -> bool:
    kind = inspect.type_info(field.type)
    return isinstance(kind.type if isinstance(kind, inspect.Metadata) else kind, inspect.BoolType)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise Problem(
            BAD_REQUEST, f"the query is no list of at most {_MAX_PARAMETERS} NAME=VALUE in percent-encoded UTF-8"
        ) from None


def content_type(request: Request) -> str:
    """What the request says of its body; empty for what curl says without being asked."""
    given = request.headers.get("content-type", "").strip()
    return "" if given.partition(";")[0].lower() == CURL_DEFAULT else given


def essence(media_type: str) -> str:
    """A media type without its parameters, in small letters."""
    return media_type.partition(";")[0].strip().lower()


def check_json(request: Request, *also: str) -> None:
    """Raises Problem (unsupported-content) if the body is said to be anything but JSON."""
    given = essence(request.headers.get("content-type", JSON))
    if given != JSON and given not in also:
        raise Problem(UNSUPPORTED_CONTENT, f"the body is {given[:100]!r}; send {JSON} (curl --json does)")


class JsonBody:
    """Reads the JSON body of one endpoint, strictly. An empty body counts as ``{}``."""

    def __init__(self, kind: type[Struct]) -> None:
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, body: bytes) -> Any:
        """The body. Raises Problem (bad-request), with the place in the JSON."""
        try:
            return self._decoder.decode(body or b"{}")
        except msgspec.ValidationError as error:
            raise Problem(BAD_REQUEST, f"in the body: {_sentence(error)}") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(BAD_REQUEST, f"the body is no JSON: {error}") from None


def _sentence(error: Exception) -> str:
    return str(error).replace("Object", "it", 1) if str(error).startswith("Object") else str(error)


def content(request: Request, body: bytes) -> dict[str, Any]:
    """What a raw body says as a message: payload, content type, and the properties in ``Mom-Property-NAME`` headers,
    where HTTP leaves no difference between capital and small letters. Raises Problem (bad-request)."""
    headers = request.headers
    given = {
        "content_type": content_type(request),
        "properties": [
            (name[len(PROPERTY) :], _utf8(name, value)) for name, value in headers.items() if name.startswith(PROPERTY)
        ],
    }
    try:
        return {"payload": body, **fields_of(msgspec.convert(given, _Described))}
    except msgspec.ValidationError as error:
        raise Problem(BAD_REQUEST, f"in the headers: {_sentence(error)}") from None


_Described: Final = part_of(OutMessage, ["content_type", "properties"], "Described")


def _utf8(name: str, value: str) -> str:
    # ASGI gives bytes, Starlette reads them as Latin-1.
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(BAD_REQUEST, f"the header {name[:100]!r} is not UTF-8") from None
