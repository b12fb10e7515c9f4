"""Paths that the reference has beside ours, and Herald has not: each says so, and changes nothing."""

from __future__ import annotations

from fastapi import APIRouter, Request

from controller.addressing.errors import Kind, Refusal

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

router = APIRouter(include_in_schema=False)


@router.api_route("/client/v4/zones/{rest:path}", methods=METHODS)
def zones(request: Request) -> None:
    """Regional hostnames hang on zones, which are no part of Herald."""
    raise Refusal(Kind.NOT_FOUND, "zones and their regional hostnames are not part of Herald")
