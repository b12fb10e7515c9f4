"""A drain as the API shows it: the row, and what agents say of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from controller.addressing.times import rfc3339
from controller.drains.bodies import DrainBody, KeptBody, State, StayBody
from controller.guard.tables import DrainRow
from controller.rollout.site import SiteView
from controller.safety.drain import longer

Views = Mapping[str, SiteView]


def drain_body(
    row: DrainRow, views: Views, problems: Mapping[tuple[str, str], str], now: datetime
) -> DrainBody:
    """Return a drain; ``problems``: why agents have not taken it up, by its id and their site."""
    state, why = _state(row, views, problems, now)
    status = views[row.site].status if row.site in views else None
    here = status if status is not None and status.drains.get(row.site) == row.id else None
    return DrainBody(
        id=row.id,
        site=row.site,
        strategy=row.strategy,
        state=state,
        why=why,
        reason=row.reason,
        capacity_confirmed=row.capacity_confirmed,
        goes=row.goes,
        stays=[StayBody(**stay) for stay in row.stays],
        kept=[]
        if here is None
        else [
            KeptBody(account_id=k.account_id, cidr=k.prefix, check=k.check, reason=k.reason)
            for k in here.kept
        ],
        off=[] if here is None else list(here.drained),
        asked_by=row.asked_by,
        asked_at=rfc3339(row.asked_at),
        expires_at=rfc3339(row.expires_at),
        confirmed_by=row.confirmed_by,
        confirmed_at=rfc3339(row.confirmed_at),
        lifted_by=row.lifted_by,
        lifted_at=rfc3339(row.lifted_at),
        lifted_why=row.lifted_why,
        replaced_by=row.replaced_by,
    )


def unknown_body(site: str, id_: str, views: Views) -> DrainBody:
    """Return a drain that agents know of, and this store does not."""
    status = views[site].status if site in views else None
    here = status is not None and status.drains.get(site) == id_
    return DrainBody(
        id=id_,
        site=site,
        strategy="",
        state="unknown",
        why="this store knows nothing of it: whoever knows of no reason for it lifts it",
        reason="",
        capacity_confirmed=False,
        goes=[],
        stays=[],
        kept=[],
        off=list(status.drained) if here and status is not None else [],
        asked_by="",
        asked_at=None,
        expires_at=None,
        confirmed_by=None,
        confirmed_at=None,
        lifted_by=None,
        lifted_at=None,
        lifted_why="",
        replaced_by=None,
    )


def knowing(id_: str, views: Views) -> list[str]:
    """Return the sites whose agents last said that they know of a drain."""
    return sorted(s for s, v in views.items() if v.status is not None and id_ in v.status.drains.values())


def _state(
    row: DrainRow, views: Views, problems: Mapping[tuple[str, str], str], now: datetime
) -> tuple[State, str]:
    known_at = knowing(row.id, views)
    if row.confirmed_at is None:
        if row.lifted_at is not None:
            return "cancelled", ""
        return (
            ("expired", "ask again") if now >= row.expires_at else ("asked", "another operator confirms it")
        )
    if row.lifted_at is not None:
        waits = f"it is not lifted yet at {', '.join(known_at)}"
        return ("lifting", waits) if known_at and row.replaced_by is None else ("ended", "")
    view = views.get(row.site)
    lacking = [s for s in sorted(views) if s not in known_at]
    why = "; ".join(f"{s}: {_why(row.id, views[s], problems)}" for s in lacking)
    if view is None:
        return "draining", f"{row.site} is no site of this controller any more"
    if row.site in lacking or view.status is None:
        return "draining", why
    still = [p for p in view.status.drained if not _is_off(view.status.sent.get(p), row.strategy)]
    if still:
        why = f"{row.site} still sends {len(still)} of what it has taken off" + (f"; {why}" if why else "")
    return ("draining" if still else "drained"), why


def _is_off(path: tuple[int, ...] | None, strategy: str) -> bool:
    return path is None or (strategy == "prepend" and path == longer(path))


def _why(id_: str, view: SiteView, problems: Mapping[tuple[str, str], str]) -> str:
    if not view.reachable:
        return view.reason
    return problems.get((id_, view.site), "not told yet")
