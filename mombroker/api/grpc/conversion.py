"""Between protobuf messages and the operations' Structs, by the names of their fields.

Both ways lead over dicts of plain values: msgspec checks them against a Struct's types and ranges, and the constructor
of a protobuf message takes them. So a message needs no code of its own, and what is written here is only where the two
differ: an enum is a word in a Struct, properties are pairs, and a list that may be left out is a message around a list
in protobuf.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, Generic, TypeVar

import msgspec
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from msgspec import Struct, structs

from mombroker.operations import admin, messages, queues, services
from mombroker.operations.problems import BAD_REQUEST, Problem

S = TypeVar("S", bound=Struct)
Plain = dict[str, Any]

_STRUCTS: Final[dict[str, type[Struct]]] = {
    name: kind
    for module in (admin, messages, queues, services)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Struct)
}


class Reader(Generic[S]):
    """Reads one kind of Struct from protobuf."""

    def __init__(self, message: type[Message], struct: type[S]) -> None:
        self._message = message
        self._struct = struct
        self._shape = shape_of(message.DESCRIPTOR)

    def read(self, data: bytes) -> S:
        """The Struct that these bytes stand for. Raises Problem (bad-request)."""
        return checked(self._shape.plain(parsed(self._message, data)), self._struct)


def plain(message: Message) -> Plain:
    """The fields of a message that are set, as plain values."""
    return shape_of(message.DESCRIPTOR).plain(message)


def parsed(kind: type[Message], data: bytes) -> Any:
    """The protobuf message. Raises Problem (bad-request)."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Problem(BAD_REQUEST, f"the request is no {kind.DESCRIPTOR.full_name}: {error}") from None


def checked(values: Plain, struct: type[S]) -> S:
    """The Struct with these values. Raises Problem (bad-request), with the place of the one that is wrong."""
    try:
        return msgspec.convert(values, struct)
    except msgspec.ValidationError as error:
        raise Problem(BAD_REQUEST, f"in the request: {error}") from None


class Writer:
    """Writes one kind of protobuf message from its Struct."""

    def __init__(self, message: type[Message]) -> None:
        self._message = message
        self._shape = shape_of(message.DESCRIPTOR)

    def write(self, struct: Struct) -> bytes:
        """The bytes that stand for the Struct."""
        return self._message(**self.fields(struct)).SerializeToString()

    def fields(self, struct: Struct) -> Plain:
        """What the message's constructor takes; a message around it takes the same in the place of the message."""
        return self._shape.filled(msgspec.to_builtins(struct, builtin_types=(bytes,)))


class Shape:
    """How the fields of one kind of message are turned into plain values and back; most need no turning."""

    __slots__ = ("_to_plain", "_to_fields", "_defaults", "_no_text")

    def __init__(self, descriptor: Descriptor) -> None:
        self._to_plain = [(field.name, turn) for field in descriptor.fields if (turn := _to_plain(field)) is not None]
        self._to_fields = [(field.name, turn) for field in descriptor.fields if (turn := _to_field(field)) is not None]
        self._defaults = tuple(_unlike_zero(descriptor))
        names = {field.name for field in descriptor.fields}
        self._no_text = "payload" in names and "text" not in names

    def plain(self, message: Message) -> Plain:
        """The fields that are set; protobuf has no others but those that are zero or empty."""
        values = {field.name: value for field, value in message.ListFields()}
        for name, turn in self._to_plain:
            if name in values:
                values[name] = turn(values[name])
        return values

    def filled(self, values: Plain) -> Plain:
        """The values of a Struct as fields of the message. Changes ``values``."""
        for name, default in self._defaults:
            values.setdefault(name, default)
        if self._no_text and (text := values.pop("text", None)) is not None:
            values["payload"] = text.encode()
        for name, turn in self._to_fields:
            if name in values:
                values[name] = turn(values[name])
        return values


def _unlike_zero(descriptor: Descriptor) -> Iterator[tuple[str, object]]:
    """Defaults that a Struct leaves out when it is written, and that protobuf would take for zero."""
    struct = _STRUCTS.get(descriptor.name)
    if struct is not None and struct.__struct_config__.omit_defaults:
        for field in structs.fields(struct):
            if isinstance(field.default, int | float | str | bytes) and field.default:
                yield field.name, field.default


@cache
def shape_of(descriptor: Descriptor) -> Shape:
    """The shape of a kind of message."""
    return Shape(descriptor)


Turn = Callable[[Any], Any]


def _to_plain(field: FieldDescriptor) -> Turn | None:
    """What turns a field's value into a plain one; None if it is one."""
    if field.enum_type is not None:
        words = {number: word for word, number in _words(field.enum_type).items()}
        if field.is_repeated:
            return lambda numbers: [words.get(number, number) for number in numbers]
        return lambda number: words.get(number, number)
    if field.message_type is None:
        return list if field.is_repeated else None
    if field.message_type.name == "Property":
        return lambda properties: [(one.name, one.value) for one in properties]
    if _is_optional_list(field):
        (inner,) = field.message_type.fields
        return lambda message: list(getattr(message, inner.name))
    plain = shape_of(field.message_type).plain
    return (lambda items: [plain(item) for item in items]) if field.is_repeated else plain


def _to_field(field: FieldDescriptor) -> Turn | None:
    """What turns a plain value into the field's; None if the message takes it as it is."""
    if field.enum_type is not None:
        numbers = _words(field.enum_type)
        return (lambda words: [numbers[word] for word in words]) if field.is_repeated else numbers.__getitem__
    if field.message_type is None:
        return None
    if field.message_type.name == "Property":
        return lambda pairs: [{"name": name, "value": value} for name, value in pairs]
    if _is_optional_list(field):
        (inner,) = field.message_type.fields
        return lambda items: {inner.name: items}
    filled = shape_of(field.message_type).filled
    return (lambda items: [filled(item) for item in items]) if field.is_repeated else filled


def _words(enum: EnumDescriptor) -> dict[str, int]:
    """The words of an enum, as OVERFLOW_DROP_OLDEST is ``drop-oldest``, and their numbers."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower().replace("_", "-"): value.number for value in enum.values}


def _is_optional_list(field: FieldDescriptor) -> bool:
    """Whether the field's message is only there to tell a list that is left out from an empty one."""
    inner = field.message_type
    return (
        inner is not None
        and not field.is_repeated
        and inner.containing_type is not None
        and len(inner.fields) == 1
        and bool(inner.fields[0].is_repeated)
    )


def message_class(descriptor: Descriptor) -> type[Message]:
    """The Python class of a kind of message."""
    return message_factory.GetMessageClass(descriptor)
