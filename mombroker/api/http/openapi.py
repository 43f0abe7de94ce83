"""The OpenAPI 3.1 document, made from the routes and the Structs of the catalogue."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Struct

from mombroker import __version__
from mombroker.api.http.endpoint import Contents, Endpoint
from mombroker.api.http.problem_documents import MEDIA_TYPE, ProblemDocument
from mombroker.api.http.routes import ROUTES
from mombroker.operations.problems import KINDS

_REF: Final = "#/components/schemas/{name}"
_ABOUT: Final = """Named queues, request-response and administration over HTTP.

Errors are `application/problem+json`; their `code` is the same over MQTT and gRPC. Without a login you are anonymous,
if the broker lets anonymous clients in; log in with Basic, or with a bearer token from `POST /v1/tokens`."""
_TAGS: Final = {
    "queues": "Queues and the messages in them",
    "leases": "Messages that a consumer has",
    "services": "Services: ask them, or work for them",
    "requests": "Requests and their replies",
    "topics": "MQTT topics",
    "grants": "Who may use whose queues",
    "tokens": "Login",
    "clients": "MQTT clients and their sessions",
    "retained": "Retained messages",
    "users": "Users that the broker keeps",
    "statistics": "The broker in numbers",
}


def openapi_document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mombroker",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": meaning} for name, meaning in _TAGS.items()],
        "security": [{}, {"basic": []}, {"bearer": []}],
        "paths": {_template(path): _path_item(path, methods) for path, methods in ROUTES.items()},
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": _schemas(),
        },
    }


def _template(path: str) -> str:
    return path.replace(":path}", "}")


def _path_item(path: str, methods: Mapping[str, Endpoint]) -> dict[str, Any]:
    return {method.lower(): _operation(path, endpoint) for method, endpoint in methods.items()}


def _operation(path: str, endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.id,
        "tags": [path.split("/")[2]],
        "summary": endpoint.summary,
        "description": endpoint.description,
        "parameters": [*_parameters(path, endpoint.parameters.kind), *_header_parameters(endpoint.headers)],
        "responses": {**_answers(endpoint), **_problems(endpoint.all_problems)},
    }
    if endpoint.body:
        operation["requestBody"] = {"content": _contents(endpoint.body)}
    return operation


def _parameters(path: str, kind: type[Struct]) -> list[dict[str, Any]]:
    (_,), components = msgspec.json.schema_components([kind], ref_template=_REF)
    schema = components[kind.__name__]
    in_path = re.findall(r"\{(\w+)", path)
    return [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in schema.get("required", ()),
            **({"description": described["description"]} if "description" in described else {}),
            "schema": {key: value for key, value in described.items() if key != "description"},
        }
        for name, described in schema["properties"].items()
    ]


def _header_parameters(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    """Those with names that OpenAPI leaves to parameters: it ignores Accept and Content-Type, and knows no patterns."""
    return [
        {"name": name, "in": "header", "required": False, "description": meaning, "schema": {"type": "string"}}
        for name, meaning in headers.items()
        if name not in ("Accept", "Content-Type")
    ]


def _answers(endpoint: Endpoint) -> dict[str, Any]:
    answers = {}
    for status, contents in endpoint.gives.items():
        answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if contents:
            answer["content"] = _contents(contents)
        if status == HTTPStatus.ACCEPTED and "request.later" in endpoint.operations:
            answer["headers"] = {"Location": {"description": "Where the reply will be.", "schema": {"type": "string"}}}
        answers[str(status)] = answer
    return answers


def _contents(contents: Contents) -> dict[str, Any]:
    return {
        media_type: {} if kind is None else {"schema": {"$ref": _REF.format(name=kind.__name__)}}
        for media_type, kind in contents.items()
    }


def _problems(codes: Iterable[str]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(KINDS[code].status, []).append(code)
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name=ProblemDocument.__name__)}}}
    return {
        str(status): {
            "description": ". ".join(f"`{code}`: {KINDS[code].title}" for code in codes) + ".",
            "content": content,
        }
        for status, codes in sorted(by_status.items())
    }


def _schemas() -> dict[str, Any]:
    kinds: dict[type[Struct], None] = {ProblemDocument: None}
    for methods in ROUTES.values():
        for endpoint in methods.values():
            for contents in (endpoint.body, *endpoint.gives.values()):
                kinds |= {kind: None for kind in contents.values() if kind is not None}
    _, components = msgspec.json.schema_components(list(kinds), ref_template=_REF)
    return dict(sorted(components.items()))
