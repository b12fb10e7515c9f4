"""The OpenAPI description: what each route can answer, errors among it, and what all routes share.

A route names the refusals of its own by ``responses=refuses(Kind.A, …)``; those that its shape implies
(no token, an unknown parameter, a body that is no JSON, …) are added here for all routes alike, so that a
route added later is described without doing anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from controller.addressing.errors import Kind
from controller.addressing.headers import OF_WRITES
from controller.addressing.links import add_links
from controller.addressing.meanings import example

Responses = dict[int | str, dict[str, Any]]

BY_LABEL = {kind.label: kind for kind in Kind}

FAILURE = "Failure"
REF = {"$ref": f"#/components/schemas/{FAILURE}"}

ALWAYS = (
    Kind.UNAUTHENTICATED,
    Kind.FORBIDDEN,
    Kind.OUT_OF_SCOPE,
    Kind.MALFORMED_QUERY,
    Kind.BODY_TOO_SLOW,
    Kind.HEADERS_TOO_LARGE,
    Kind.RATE_LIMITED,
    Kind.UNAVAILABLE,
    Kind.INTERNAL,
)
WITH_BODY = (Kind.MALFORMED_BODY, Kind.MEDIA_TYPE, Kind.BODY_TOO_LARGE)
WRITES = (
    Kind.REASON_REQUIRED,
    Kind.MALFORMED_HEADER,
    Kind.MALFORMED_BODY,
    Kind.BODY_TOO_LARGE,
    Kind.KEY_REUSED,
    Kind.PRECONDITION_FAILED,
    Kind.WITHDRAWAL_LOCKED,
    Kind.INTENT_DOES_NOT_COVER,
    Kind.INTENT_NOT_USABLE,
)


def refuses(*kinds: Kind) -> Responses:
    """Return the ``responses`` of a route that refuses with ``kinds``, an example each."""
    by_status: dict[int, list[Kind]] = defaultdict(list)
    for kind in dict.fromkeys(kinds):
        by_status[kind.status].append(kind)
    return {status: _response(found) for status, found in sorted(by_status.items())}


def _response(kinds: Iterable[Kind]) -> dict[str, Any]:
    found = list(kinds)
    return {
        "description": "; ".join(f"{k.label} ({k.code})" for k in found),
        "content": {"application/json": {"schema": REF, "examples": {k.label: _example(k) for k in found}}},
    }


def _example(kind: Kind) -> dict[str, Any]:
    error = {"code": kind.code, "message": example(kind)}
    return {"value": {"success": False, "errors": [error], "messages": [], "result": None}}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what replaces ``app.openapi``: the whole description, made once."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_describe(app))
        return made

    return openapi


def _describe(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        routes=app.routes,
        description="The Addressing API: typed, strict, audited, idempotent. Times are RFC 3339 UTC.",
        tags=app.openapi_tags,
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas[FAILURE] = _failure_schema()
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A token of herald tokens create."}
    }
    found["security"] = [{"bearer": []}]
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    add_links(found)
    return found


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add to one operation what its shape implies."""
    implied = list(ALWAYS)
    if "{" in path:
        implied.append(Kind.NOT_FOUND)
    if "{prefix_id}" in path:
        implied.append(Kind.NOT_THE_OWNER)
    if "requestBody" in operation:
        implied += WITH_BODY
    if method != "get":
        implied += WRITES
        operation.setdefault("parameters", []).extend(
            {
                "name": header.name, "in": "header", "required": False, "description": header.meaning,
                "schema": {
                    "type": "string", "minLength": 1, "maxLength": header.longest, "pattern": header.pattern,
                },
            }
            for header in OF_WRITES
        )  # fmt: skip
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]
    for status, response in refuses(*implied).items():
        mine = responses.get(str(status))
        named = [] if mine is None else mine["content"]["application/json"]["examples"]
        kinds = [BY_LABEL[label] for label in (*named, *response["content"]["application/json"]["examples"])]
        responses[str(status)] = _response(dict.fromkeys(kinds))
    operation["responses"] = dict(sorted(responses.items()))


def _failure_schema() -> dict[str, Any]:
    pointer = {"type": "object", "properties": {"pointer": {"type": "string"}}, "required": ["pointer"]}
    error = {
        "type": "object",
        "properties": {
            "code": {"type": "integer", "minimum": 1000},
            "message": {"type": "string"},
            "source": pointer,
        },
        "required": ["code", "message"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "description": "The answer to a refused request; nothing was changed.",
        "properties": {
            "success": {"const": False},
            "errors": {"type": "array", "items": error, "minItems": 1},
            "messages": {"type": "array", "items": {}},
            "result": {"type": "null"},
        },
        "required": ["success", "errors", "messages", "result"],
        "additionalProperties": False,
    }
