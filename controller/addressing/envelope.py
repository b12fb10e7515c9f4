"""The envelope of the compatible API, and answers in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import Response

from controller.addressing.errors import Kind, Refusal

JSON = "application/json"


def success(result: object) -> dict[str, Any]:
    """Return the envelope around one object."""
    return {"success": True, "errors": [], "messages": [], "result": result}


def bare() -> dict[str, Any]:
    """Return the envelope of a delete: without a result."""
    return {"success": True, "errors": [], "messages": []}


def listing(results: Sequence[object]) -> dict[str, Any]:
    """Return the envelope around a whole list, on one page."""
    count = len(results)
    info = {"page": 1, "per_page": count, "count": count, "total_count": count, "total_pages": 1}
    return {**success(results), "result_info": info}


def failure(refusals: Sequence[Refusal]) -> dict[str, Any]:
    """Return the envelope of a refusal; ``result`` is null."""
    errors: list[dict[str, Any]] = []
    for refusal in refusals:
        error: dict[str, Any] = {"code": refusal.kind.code, "message": _encodable(str(refusal))}
        if refusal.pointer is not None:
            error["source"] = {"pointer": _encodable(refusal.pointer)}
        errors.append(error)
    return {"success": False, "errors": errors, "messages": [], "result": None}


def unavailable_response() -> Response:
    """Return the answer while the store is away; why is for the log, it names our own insides."""
    return refusal_response(Refusal(Kind.UNAVAILABLE, "the store cannot be used now: try again"))


def _encodable(text: str) -> str:
    """Return ``text`` with what UTF-8 cannot write (a caller's lone surrogates) spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


PASSING = (Kind.UNAVAILABLE, Kind.RATE_LIMITED)
"""What is over by itself after a while."""


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return ``body`` as a JSON answer."""
    return Response(msgspec.json.encode(body), status, headers, media_type=JSON)


def refusal_response(*refusals: Refusal, retry_after_s: int = 1) -> Response:
    """Return the answer to a refused request.

    ``X-Should-Retry`` tells the SDK not to repeat what cannot succeed (it repeats 409 and 5xx by itself).
    ``retry_after_s``: when a refusal that passes by itself is worth another try.
    """
    kind = refusals[0].kind
    headers = {}
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if kind is Kind.BODY_TOO_SLOW:
        headers["Connection"] = "close"  # what may still come of the body is no next request
    if kind in PASSING:
        headers["Retry-After"] = str(retry_after_s)
    else:
        headers["X-Should-Retry"] = "false"
    return json_response(failure(refusals), kind.status, headers)
