"""Regions of regional hostnames: Herald has none, and says so with a whole list."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel

from controller.addressing.bodies import Listing
from controller.addressing.context import AccountDep
from controller.addressing.envelope import json_response, listing

router = APIRouter(tags=["regional_hostnames"])


class RegionBody(BaseModel):
    """A region in which a host name could be kept."""

    key: str
    label: str


@router.get(
    "/client/v4/accounts/{account_id}/addressing/regional_hostnames/regions",
    response_model=Listing[RegionBody],
)
def list_regions(account: AccountDep) -> Response:
    """No regions: bindings go to every site, and names of zones are no part of Herald."""
    return json_response(listing([]))
