"""``GET /herald/v1/store``: the store, and whether the sites know more than it does."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from controller.addressing.auth import CallerDep
from controller.addressing.envelope import json_response
from controller.rollout import records
from controller.rollout.driver import Driver
from controller.rollout.reports import rfc3339
from controller.snapshots import store as snapshots
from controller.store.migrate import revisions

MOST_CONFLICTS = 1000
MOST_PREFIXES = 1000


class ConflictBody(BaseModel):
    """An account's chunk at a site that this store never gave it; nothing replaces it.

    ``wanted``: the chunk that this store would have there, null when it knows nothing of the account.
    """

    site: str
    account_id: str
    held: str
    wanted: str | None
    known: bool
    generation: int
    since: str


class StoreSiteBody(BaseModel):
    """A site beside the store: ``given`` is the highest generation that the store knows of.

    ``remembered``: the life of its journal and the highest generation that it acknowledged; ``journal``: what
    is wrong with the one that it came back with, and what to do; empty: nothing.

    ``unknown_prefixes``: what its speaker was given though no account here has it, at most 1,000 of them;
    looked for only where there is a conflict.
    """

    site: str
    reachable: bool
    given: int
    generation: int | None
    remembered: str | None
    journal: str
    conflicts: int
    unknown_prefixes: list[str]


class StoreBody(BaseModel):
    """``shrunk``: sites hold what this store does not know or never sent: it is older, or another one."""

    kind: Literal["sqlite", "postgresql"]
    address: str
    schema_version: str
    durable: bool
    shrunk: bool
    sites: list[StoreSiteBody]
    conflicts: list[ConflictBody]


def build_store_router(driver: Driver) -> APIRouter:
    """Return the route over ``driver`` and its store."""
    router = APIRouter(prefix="/herald/v1", tags=["store"])

    @router.get("/store", response_model=StoreBody)
    async def store(caller: CallerDep) -> Response:
        """The store, each site beside it, and every conflict (operators)."""
        caller.require_operator()
        durable = await asyncio.to_thread(driver.store.is_durable)
        conflicts, cidrs = await asyncio.to_thread(_read, driver)
        found = StoreBody(
            kind=driver.store.address.kind,
            address=str(driver.store.address),
            schema_version=revisions()[-1],
            durable=durable,
            shrunk=bool(conflicts),
            sites=[_site(driver, site, conflicts, cidrs) for site in sorted(driver.sites)],
            conflicts=[_complete(driver, c) for c in conflicts[:MOST_CONFLICTS]],
        )
        return json_response(found.model_dump())

    return router


def _read(driver: Driver) -> tuple[list[ConflictBody], frozenset[str]]:
    """Return the conflicts, and the CIDRs that this store knows to be announced or announceable."""
    with driver.store.read() as session:
        found = [
            ConflictBody(
                site=row.site,
                account_id=row.account_id,
                held=row.hash,
                wanted=None,
                known=False,
                generation=row.generation,
                since=rfc3339(row.since),
            )
            for row in records.conflicts(session)
        ]
        return found, _known_cidrs(session) if found else frozenset()


def _known_cidrs(session: Session) -> frozenset[str]:
    return frozenset(
        bgp.cidr
        for hash_ in snapshots.head(session).values()
        for bgp in snapshots.chunk(session, hash_).bgp_prefixes
    )


def _complete(driver: Driver, conflict: ConflictBody) -> ConflictBody:
    targets = driver.targets(conflict.site) if conflict.site in driver.sites else {}
    wanted = targets.get(conflict.account_id)
    return conflict.model_copy(
        update={"wanted": None if wanted is None else wanted.hash, "known": conflict.held in driver.known}
    )


def _site(driver: Driver, site: str, conflicts: list[ConflictBody], cidrs: frozenset[str]) -> StoreSiteBody:
    view, known = driver.sites[site].view, driver.journals.at(site)
    count = sum(c.site == site for c in conflicts)
    sent = (
        [] if view.status is None or not count else sorted(str(p) for p in view.status.sent if p not in cidrs)
    )
    return StoreSiteBody(
        site=site,
        reachable=view.reachable is True,
        given=driver.conflicts.given(site),
        generation=None if view.status is None else view.status.generation,
        remembered=None if known is None else f"{known.epoch}:{known.generation}",
        journal=driver.journals.fault(site) or ("" if view.status is None else view.status.fault),
        conflicts=count,
        unknown_prefixes=sent[:MOST_PREFIXES],
    )
