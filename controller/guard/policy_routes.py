"""``GET /herald/v1/policy``: what this controller's guards allow."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from fastapi import APIRouter, Response

from controller.addressing.auth import CallerDep
from controller.addressing.envelope import json_response
from controller.guard.bodies import PolicyBody
from controller.safety.policy import Policy


def build_policy_router(policy: Callable[[], Policy]) -> APIRouter:
    """Return the route."""
    router = APIRouter(prefix="/herald/v1/policy", tags=["policy"])

    @router.get("", response_model=PolicyBody)
    def get_policy(caller: CallerDep) -> Response:
        """The policy of the guards, by section, with what its file left out (operators)."""
        caller.require_operator()
        return json_response({"policy": msgspec.to_builtins(policy())})

    return router
