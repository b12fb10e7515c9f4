"""What the compatible API has and this version does not: each answers so, and changes nothing."""

from __future__ import annotations

from fastapi import APIRouter, Request

from controller.addressing.errors import Kind, Refusal

LATER = {
    "/client/v4/accounts/{account_id}/addressing/prefixes/{prefix_id}/validate": "validation",
}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

router = APIRouter(include_in_schema=False)


def _refuse(path: str, what: str) -> None:
    def not_yet(request: Request) -> None:
        raise Refusal(Kind.NOT_IN_THIS_VERSION, f"{what}: not in this version of Herald")

    router.add_api_route(path, not_yet, methods=METHODS, name=f"no {what}")


for _path, _what in LATER.items():
    _refuse(_path, _what)


@router.api_route("/client/v4/zones/{rest:path}", methods=METHODS)
def zones(request: Request) -> None:
    """Regional hostnames hang on zones, which are no part of Herald."""
    raise Refusal(Kind.NOT_FOUND, "zones and their regional hostnames are not part of Herald")
