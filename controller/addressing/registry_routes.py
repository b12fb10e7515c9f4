"""The registry as people read it: what an account may announce at all, and the key that agents check with."""

from __future__ import annotations

import base64

from fastapi import APIRouter, Response
from pydantic import BaseModel

from controller.addressing.auth import CallerDep
from controller.addressing.context import AccountDep
from controller.addressing.envelope import json_response
from controller.addressing.life_bodies import IntentKeyList
from controller.addressing.registry import RegistryIssuer
from controller.safety.intents import key_id


class RegisteredBody(BaseModel):
    """A prefix and its parts, down to the length ``longest``; an origin of null is the operator's own AS."""

    cidr: str
    longest: int
    origins: list[int | None]


class RevokedBody(BaseModel):
    """What is not announced anew, nor what overlaps it."""

    cidr: str
    why: str


class RegistryBody(BaseModel):
    """``serial`` null: no site has been told of this yet; the next command of the account brings it."""

    account_id: str
    serial: int | None
    registered: list[RegisteredBody]
    revoked: list[RevokedBody]


def build_registry_router(issuer: RegistryIssuer) -> APIRouter:
    """Return the routes over what ``issuer`` issues."""
    router = APIRouter(prefix="/herald/v1", tags=["registry"])

    @router.get("/registry/keys", response_model=IntentKeyList)
    def list_registry_keys(caller: CallerDep) -> Response:
        """The public key that entries are checked with: agents need it in their file of keys."""
        key = issuer.public_key
        shown = {"id": key_id(key), "algorithm": "ed25519", "public_key": base64.b64encode(key).decode()}
        return json_response({"result": [{**shown, "signs": True}]})

    @router.get("/accounts/{account_id}/registry", response_model=RegistryBody)
    def get_registry(account: AccountDep) -> Response:
        """What the account may announce at all; what is announced already stays, whatever it says."""
        entry, serial = issuer.look(account)
        body = {
            "account_id": account,
            "serial": serial,
            "registered": [
                {"cidr": r.cidr, "longest": r.longest, "origins": list(r.origins)} for r in entry.registered
            ],
            "revoked": [{"cidr": r.cidr, "why": r.why} for r in entry.revoked],
        }
        return json_response(body)

    return router
