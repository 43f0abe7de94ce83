"""The .proto and the catalogue of operations say the same, and the code made from the .proto is up to date."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from msgspec import NODEFAULT, UNSET, inspect, structs

import mombroker.api.grpc
from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.operations.catalogue import BY_REQUEST, OPERATIONS

ROOT = Path(__file__).parents[3]
FOLDER = Path("mombroker/api/grpc")
STREAMS = {"Produce", "Consume", "Serve", "RequestParts"}
METHODS = {method.name: method for service in pb.DESCRIPTOR.services_by_name.values() for method in service.methods}
INPUT_ONLY_AS_BYTES = {"InMessage", "Part", "Task"}


@pytest.mark.parametrize("name", ["mombroker_pb2.py", "mombroker_pb2.pyi", "mombroker_pb2_grpc.py"])
def test_what_is_made_from_the_proto_is_up_to_date(name, tmp_path):
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I.", str(FOLDER / "mombroker.proto")]
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([*protoc, *outputs], cwd=ROOT, check=True)
    made = (tmp_path / FOLDER / name).read_text(encoding="utf-8")
    assert (ROOT / FOLDER / name).read_text(encoding="utf-8") == made, f"{name} is out of date: run `make proto`"


def test_every_operation_has_a_call_and_every_call_an_operation():
    assert set(METHODS) - STREAMS == {request.__name__ for request in BY_REQUEST}
    assert len(METHODS) - len(STREAMS) == len(OPERATIONS)


PAIRS = [(operation.request, METHODS[operation.request.__name__].input_type) for operation in OPERATIONS.values()] + [
    (operation.response, METHODS[operation.request.__name__].output_type) for operation in OPERATIONS.values()
]


def pairs(struct: Any, message: Descriptor, seen: set[str]) -> Any:
    """A Struct and its message, and those within."""
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    yield struct, message
    for field in structs.fields(struct):
        inner = inner_struct(field.type)
        if inner is not None:
            yield from pairs(inner, message.fields_by_name[field.name].message_type, seen)


def inner_struct(kind: Any) -> Any:
    """The Struct that a field holds, one or many of it."""
    details = inspect.type_info(kind)
    while True:
        match details:
            case inspect.Metadata(type=inner) | inspect.VarTupleType(item_type=inner):
                details = inner
            case inspect.UnionType(types=types):
                details = next(one for one in types if not isinstance(one, inspect.NoneType))
            case inspect.StructType(cls=cls):
                return cls
            case _:
                return None


_SEEN: set[str] = set()
ALL = [found for struct, message in PAIRS for found in pairs(struct, message, _SEEN)]


@pytest.mark.parametrize(("struct", "message"), ALL, ids=lambda value: value.name if hasattr(value, "name") else "")
def test_a_message_has_the_fields_of_its_struct(struct, message):
    expected = {field.name for field in structs.fields(struct)}
    if message.name in INPUT_ONLY_AS_BYTES:
        expected -= {"text"}
    assert {field.name for field in message.fields} == expected


REQUESTS = [(struct, message) for struct, message in ALL if struct.__struct_config__.forbid_unknown_fields]


@pytest.mark.parametrize(
    ("struct", "message"), REQUESTS, ids=lambda value: value.name if hasattr(value, "name") else ""
)
def test_what_is_left_out_of_a_request_is_told_from_zero_where_that_is_not_the_default(struct, message):
    for field in structs.fields(struct):
        theirs: FieldDescriptor = message.fields_by_name[field.name]
        if field.default is NODEFAULT or isinstance(field.default, msgspec.Struct | tuple):
            continue
        if field.default is UNSET or field.default is None or field.default:
            assert theirs.has_presence, f"{message.name}.{field.name} has to be optional"
        else:
            assert not theirs.has_presence or theirs.containing_oneof is not None, f"{message.name}.{field.name}"


@pytest.mark.parametrize("name", ["mombroker.proto", "mombroker_pb2.pyi"])
def test_clients_can_be_made_from_an_installation(name):
    assert (Path(mombroker.api.grpc.__path__[0]) / name).is_file()
