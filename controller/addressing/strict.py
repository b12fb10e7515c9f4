"""Refuses what a route does not declare: one mechanism in front of all routes.

FastAPI takes the last of repeated query parameters and ignores unknown ones in silence, and Python's JSON
reader takes the last of repeated keys. What a route declares is read from the application's own OpenAPI
description, so that a new route is covered without doing anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.addressing.envelope import refusal_response
from controller.addressing.errors import Kind, Refusal

LARGEST_BODY = 1 << 20
"""Bytes of a JSON body; a bigger one is refused unread."""

UNTEXTUAL = re.compile("[\0\ud800-\udfff]")
LARGEST_UPLOAD = 11 << 20
"""Bytes of a form with a file in it: 10 MB of document, and what the form adds."""

BODY_DEADLINE_S = 30.0
"""Seconds in which a body must have come: who sends slower holds a connection for nothing."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What one route takes. ``media``: the body's media types, empty when it takes none.

    ``flags``: those of the query's parameters that are booleans. ``resource``: the route's one tag.
    """

    path: re.Pattern[str]
    resource: str
    query: frozenset[str]
    flags: frozenset[str]
    media: frozenset[str]

    @property
    def largest_body(self) -> int:
        """Bytes that a body may have."""
        return LARGEST_UPLOAD if "multipart/form-data" in self.media else LARGEST_BODY


class StrictMiddleware:
    """Checks query string and body of each request against what its route declares.

    It also leaves ``request_hash`` in the request's state: the SHA-256 of method, path, query
    and body.
    """

    def __init__(self, app: ASGIApp, described: Callable[[], FastAPI]) -> None:
        self._app = app
        self._routes = DeclaredRoutes(described)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with a refusal that names what is wrong."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if "\0" in scope["path"]:  # no name has one, and not every store can be asked for one
                raise Refusal(Kind.NOT_FOUND, "nothing has a NUL character in its path")  # noqa: TRY301
            route = self._routes.find(scope["method"], scope["path"])
            if route is not None:
                check_query(scope["query_string"], route.query, route.flags)
            body = await read_body(
                receive, LARGEST_BODY if route is None else route.largest_body, BODY_DEADLINE_S
            )
            if route is not None:
                check_body(body, Headers(scope=scope), route.media)
        except Refusal as refusal:
            await refusal_response(refusal)(scope, receive, send)
            return
        digest = hashlib.sha256(
            f"{scope['method']} {scope['path']}\n".encode() + scope["query_string"] + b"\n"
        )
        digest.update(body)  # by itself: an upload is not copied for it
        scope.setdefault("state", {})["request_hash"] = digest.hexdigest()
        await self._app(scope, _replay(body, receive), send)


class DeclaredRoutes:
    """The routes of an application by method and path, read from its description when first asked for."""

    def __init__(self, described: Callable[[], FastAPI]) -> None:
        self._described = described
        self._routes: dict[str, list[Declared]] | None = None

    def find(self, method: str, path: str) -> Declared | None:
        """Return what the route declares that will answer; None when nothing that is described will."""
        if self._routes is None:
            self._routes = declared_routes(self._described().openapi())
        return next((r for r in self._routes.get(method, []) if r.path.match(path)), None)


def declared_routes(openapi: dict[str, Any]) -> dict[str, list[Declared]]:
    """Return what each route declares, by method, from an OpenAPI description."""
    found: dict[str, list[Declared]] = {}
    for path, operations in openapi.get("paths", {}).items():
        for method, operation in operations.items():
            query = {p["name"]: p["schema"] for p in operation.get("parameters", ()) if p["in"] == "query"}
            flags = (name for name, schema in query.items() if _is_flag(schema))
            media = operation.get("requestBody", {}).get("content", {})
            route = Declared(
                compile_path(path)[0],
                ",".join(operation.get("tags", ())),
                frozenset(query),
                frozenset(flags),
                frozenset(media),
            )
            found.setdefault(method.upper(), []).append(route)
    return found


def methods_at(openapi: dict[str, Any], path: str) -> list[str]:
    """Return the methods that a path takes, for the Allow header (RFC 9110, 10.2.1)."""
    routes = declared_routes(openapi)
    return sorted(m for m, declared in routes.items() if any(r.path.match(path) for r in declared))


def _is_flag(schema: dict[str, Any]) -> bool:
    choices = schema.get("anyOf", [schema])
    return any(choice.get("type") == "boolean" for choice in choices)


def check_query(raw: bytes, declared: frozenset[str], flags: frozenset[str] = frozenset()) -> None:
    """Refuse an unknown, empty or repeated parameter (400), naming it; and a boolean that is none.

    A boolean is ``true`` or ``false``: readers differ on what ``1``, ``yes`` or ``True`` would be.
    """
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise Refusal(Kind.MALFORMED_QUERY, f"the query string cannot be read: {error}") from error
    seen: set[str] = set()
    for name, value in pairs:
        pointer = f"/query/{name}"
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise Refusal(
                Kind.MALFORMED_QUERY, f"unknown parameter {name!r}: this route takes {known}", pointer
            )
        if name in seen:
            raise Refusal(Kind.MALFORMED_QUERY, f"parameter {name!r} is given twice: give it once", pointer)
        if not value:
            raise Refusal(
                Kind.MALFORMED_QUERY, f"parameter {name!r} is empty: give a value or leave it out", pointer
            )
        if "\0" in value:
            raise Refusal(Kind.MALFORMED_QUERY, f"parameter {name!r} has a NUL character", pointer)
        if name in flags and value not in ("true", "false"):
            raise Refusal(
                Kind.MALFORMED_QUERY, f"parameter {name!r} is {value!r}: give true or false", pointer
            )
        seen.add(name)


def check_body(body: bytes, headers: Headers, media: frozenset[str]) -> None:
    """Refuse a body that the route does not take, or that is no JSON without repeated keys."""
    if not media:
        if body.strip() not in (b"", b"{}"):  # SDKs send one of these where there is nothing to say
            raise Refusal(Kind.MALFORMED_BODY, "this route takes no body: leave it out")
        return
    if "application/json" not in media:
        return
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/json":
        raise Refusal(Kind.MEDIA_TYPE, f"the body is {kind or 'of no type'}: send application/json")
    parse_json(body)


def parse_json(body: bytes) -> Any:
    """Return the JSON value in ``body``; refused with repeated keys, NaN, or what is no JSON at all."""
    if not body:
        raise Refusal(Kind.MALFORMED_BODY, "this route needs a JSON body")
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        _check_text(found, "")
    except RecursionError as error:
        raise Refusal(Kind.MALFORMED_BODY, "the body is nested too deeply") from error
    except ValueError as error:
        raise Refusal(Kind.MALFORMED_BODY, f"the body is not JSON: {error}") from error
    return found


def _check_text(value: Any, pointer: str) -> None:
    """Refuse what JSON can write and no text has: NUL, and halves of characters (lone surrogates)."""
    if isinstance(value, str):
        if UNTEXTUAL.search(value):
            raise Refusal(
                Kind.MALFORMED_BODY, "a text has a NUL character or half of a surrogate pair", pointer
            )
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key, f"{pointer}/{key}")
            _check_text(inner, f"{pointer}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_text(inner, f"{pointer}/{index}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Refusal(Kind.MALFORMED_BODY, f"field {key!r} is given twice: give it once", f"/{key}")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise Refusal(Kind.MALFORMED_BODY, f"{name} is not JSON")


async def read_body(receive: Receive, largest: int, deadline_s: float) -> bytes:
    """Return a request's body; refused (413, 408) over ``largest`` bytes or after ``deadline_s`` seconds."""
    body = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    break
                body += message.get("body", b"")
                if len(body) > largest:
                    raise Refusal(Kind.BODY_TOO_LARGE, f"the body is over {largest} bytes")
                if not message.get("more_body", False):
                    break
    except TimeoutError as error:
        raise Refusal(
            Kind.BODY_TOO_SLOW, f"the body was not there after {deadline_s:g} s: send it faster"
        ) from error
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
