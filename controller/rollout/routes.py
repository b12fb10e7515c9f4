"""Herald's own routes over change-sets, roll-outs and sites.

Operators see all; customers what is their account's, and no sites.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from controller.addressing.auth import CallerDep
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.rollout import reports
from controller.rollout.driver import Driver
from controller.rollout.errors import UnknownChangeSetError, UnknownSiteError
from controller.rollout.site import SiteFollower
from controller.timeline.bell import rung_within
from controller.transport.errors import TransportError

LONGEST_WAIT_S = 60.0
UNDER_WAY = frozenset({"queued", "rolling"})

T = TypeVar("T")
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_S)]
Limit = Annotated[int, Query(ge=1, le=1000)]


def build_router(driver: Driver) -> APIRouter:
    """Return the routes over ``driver`` and its store."""
    router = APIRouter(prefix="/herald/v1", tags=["rollouts"])

    async def read(what: Callable[[Session], T]) -> T:
        def in_thread() -> T:
            with driver.store.read() as session:
                return what(session)

        return await asyncio.to_thread(in_thread)

    @router.get("/change-sets/{change_set_id}")
    async def change_set(change_set_id: str, caller: CallerDep, wait: Wait = 0.0) -> Response:
        """How far a change-set is; with ``wait`` once it is over, or after so many seconds."""
        deadline = time.monotonic() + wait
        moved = driver.watch(change_set_id)
        try:
            while True:
                moved.clear()
                try:
                    found = await read(lambda session: reports.change_set(session, change_set_id))
                except UnknownChangeSetError as error:
                    raise Refusal(Kind.NOT_FOUND, str(error)) from error
                if not caller.sees_all_accounts and caller.account_id != found.account_id:
                    raise Refusal(Kind.NOT_FOUND, f"there is no change-set {change_set_id}")
                left = deadline - time.monotonic()
                over = found.state not in UNDER_WAY or driver.ending or left <= 0
                if over or not await rung_within(moved, left):
                    return json_response(found)
        finally:
            driver.unwatch(change_set_id, moved)

    @router.get("/rollouts")
    async def rollouts(caller: CallerDep, limit: Limit = 100) -> Response:
        """What was rolled out, newest first."""
        return json_response(await read(lambda s: reports.rollouts(s, caller.account_id, limit)))

    @router.get("/sites")
    async def sites(caller: CallerDep) -> Response:
        """Each site: reachable or not, and its agent's last status."""
        caller.require_operator()
        return json_response([reports.standing(f.view) for _, f in sorted(driver.sites.items())])

    @router.get("/sites/{site}/adj-rib-out")
    async def adj_rib_out(site: str, caller: CallerDep) -> Response:
        """What the site's speaker sends, as it says itself."""
        caller.require_operator()
        rows: list[Any]
        try:
            rows = list(await _follower(driver, site).link.adj_rib_out())
        except UnknownSiteError as error:
            raise Refusal(Kind.NOT_FOUND, str(error)) from error
        except TransportError as error:
            raise Refusal(Kind.UNAVAILABLE, str(error)) from error
        return json_response(rows)

    return router


def _follower(driver: Driver, site: str) -> SiteFollower:
    if site not in driver.sites:
        known = ", ".join(sorted(driver.sites)) or "none"
        raise UnknownSiteError(f"no site is called {site!r}: there are {known}")
    return driver.sites[site]
