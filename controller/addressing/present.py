"""Rows as the API shows them, with what is to be and what is beside what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from controller.addressing.differences import Configured, Difference, as_json, differences
from controller.addressing.life import NEXT_STEP, Facts, state_of
from controller.addressing.prefix_checks import checks_of
from controller.addressing.rows import Parts
from controller.addressing.tables import BgpPrefixRow, BindingRow, PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.views import Observed, Operational, OperationalView, Provisioning
from controller.bgp import Prefix, covers
from controller.validation.checks import warnings

DIFFERENCES_SHOWN = 20
"""How many differences a prefix shows of all its parts; each BGP prefix shows all of its own."""

GRAVEST_FIRST = ("failed", "held", "rolling", "unknown", "announced", "withdrawn")


class Eye(Protocol):
    """Where operational and observed state come from: a view, or what is known while writing."""

    def operational(self, account_id: str, bgp_prefix_id: str) -> Operational:
        """Return what is to be of one BGP prefix."""
        ...

    def observed(self, prefix: Prefix) -> Observed:
        """Return what routers hold."""
        ...

    def provisioning(self, account_id: str, binding_id: str) -> Provisioning:
        """Return how far a binding is."""
        ...


class WhileWriting:
    """In a write nothing has been rolled out yet, and nobody waits for routers with the store locked."""

    def __init__(
        self,
        view: OperationalView,
        change_set_id: Callable[[str], str],
        touched: frozenset[str],
        now: datetime,
    ) -> None:
        self._view = view
        self._change_set_id = change_set_id
        self._touched = touched
        self._now = now

    def operational(self, account_id: str, bgp_prefix_id: str) -> Operational:
        """Return "rolling" for what this write changes."""
        if bgp_prefix_id in self._touched:
            reason = f"accepted as change-set {self._change_set_id(account_id)}, not rolled out yet"
            return Operational("rolling", rfc3339(self._now), reason)
        return self._view.operational(account_id, bgp_prefix_id)

    def observed(self, prefix: Prefix) -> Observed:
        """Return "unknown": a GET looks."""
        return Observed("unknown", reason="not looked at while writing: GET this object")

    def provisioning(self, account_id: str, binding_id: str) -> Provisioning:
        """Return ``provisioning`` for what this write changes."""
        if binding_id in self._touched:
            return "provisioning"
        return self._view.provisioning(account_id, binding_id)


def prefix_facts(row: PrefixRow, parts: Parts) -> Facts:
    """Return what the state of a prefix is derived from."""
    bound = [Prefix(b.cidr) for b in parts.bindings]
    return Facts(
        validation_asked=parts.validation_asked,
        approved=row.approved,
        bound=bool(bound),
        stands=any(covers(outer, Prefix(b.cidr)) for b in parts.bgp for outer in bound),
        advertised=any(b.advertised for b in parts.bgp),
        once_advertised=parts.once_advertised,
        tombstoned=row.deleted_at is not None,
    )


def prefix_body(row: PrefixRow, parts: Parts, eye: Eye) -> dict[str, Any]:
    """Return a prefix with what stands in it."""
    bgp, checks = parts.bgp, checks_of(parts.checks)
    own = next((b for b in bgp if b.cidr == row.cidr), None)
    latest = max((b.advertised_modified_at for b in bgp if b.advertised_modified_at), default=None)
    advertised = any(b.advertised for b in bgp)
    state = state_of(prefix_facts(row, parts))
    told = [(b, eye.operational(b.account_id, b.id), eye.observed(Prefix(b.cidr))) for b in bgp]
    differs = [d for b, operational, observed in told for d in _differs(b, operational, observed)]
    return {
        "id": row.id,
        "account_id": row.account_id,
        "cidr": row.cidr,
        "asn": row.asn,
        "description": row.description,
        "approved": "V" if row.approved else "P",
        "advertised": own.advertised if own else advertised,
        "advertised_modified_at": rfc3339(own.advertised_modified_at if own else latest),
        "on_demand_enabled": True,
        "on_demand_locked": any(b.locked for b in bgp),
        "loa_document_id": row.loa_document_id,
        "delegate_loa_creation": row.delegate_loa_creation,
        "irr_validation_state": checks["irr"].state,
        "rpki_validation_state": checks["rpki"].state,
        "ownership_validation_state": checks["ownership"].state,
        "ownership_validation_token": row.ownership_token,
        "created_at": rfc3339(row.created_at),
        "modified_at": rfc3339(row.modified_at),
        "configured": {
            "state": state.value,
            "next_step": NEXT_STEP[state],
            "advertised": advertised,
            "pending_delete": row.pending_delete_at is not None,
            "bgp_prefixes": [{"id": b.id, "cidr": b.cidr, **_wanted(b)} for b in bgp],
        },
        "operational": _summary([(b, operational) for b, operational, _ in told]),
        "observed": {
            **_observed(_seen(row, [observed for _, _, observed in told], eye), differs[:DIFFERENCES_SHOWN]),
            "warnings": [w for check in checks.values() for w in warnings(check, datetime.now(UTC))],
        },
    }


def _wanted(row: BgpPrefixRow) -> dict[str, Any]:
    return {"advertised": row.advertised, "sites": row.sites, "prepends": row.asn_prepend_count}


def _differs(row: BgpPrefixRow, operational: Operational, observed: Observed) -> tuple[Difference, ...]:
    sites = None if row.sites is None else tuple(row.sites)
    return differences(Configured(Prefix(row.cidr), row.advertised, sites), operational, observed)


def _observed(observed: Observed, differs: Sequence[Difference]) -> dict[str, Any]:
    return {**msgspec.to_builtins(observed), "differs": as_json(differs)}


def _summary(states: Sequence[tuple[BgpPrefixRow, Operational]]) -> dict[str, Any]:
    """Return the gravest state among the BGP prefixes, saying whose it is when there are several."""
    if not states:
        return msgspec_dict(Operational("withdrawn", reason="it has no BGP prefix"))
    row, gravest = min(states, key=lambda s: GRAVEST_FIRST.index(s[1].state))
    body = msgspec_dict(gravest)
    if len(states) > 1 and gravest.reason:
        body["reason"] = f"{row.cidr}: {gravest.reason}"
    return body


def _seen(row: PrefixRow, parts: Sequence[Observed], eye: Eye) -> Observed:
    """Return what is observed of the prefix itself, or of the first part of it that is visible."""
    seen = parts or [eye.observed(Prefix(row.cidr))]
    return next((s for s in seen if s.state == "visible"), seen[0])


def msgspec_dict(value: Operational) -> dict[str, Any]:
    """Return the struct as plain JSON types."""
    found: dict[str, Any] = msgspec.to_builtins(value)
    return found


def bgp_prefix_body(row: BgpPrefixRow, eye: Eye) -> dict[str, Any]:
    """Return a BGP prefix."""
    operational, observed = eye.operational(row.account_id, row.id), eye.observed(Prefix(row.cidr))
    return {
        "id": row.id,
        "cidr": row.cidr,
        "asn": row.asn,
        "asn_prepend_count": row.asn_prepend_count,
        "auto_advertise_withdraw": row.auto_advertise_withdraw,
        "bgp_signal_opts": {"enabled": False, "modified_at": None},
        "on_demand": {
            "advertised": row.advertised,
            "advertised_modified_at": rfc3339(row.advertised_modified_at),
            "on_demand_enabled": True,
            "on_demand_locked": row.locked,
        },
        "created_at": rfc3339(row.created_at),
        "modified_at": rfc3339(row.modified_at),
        "configured": _wanted(row),
        "operational": msgspec_dict(operational),
        "observed": _observed(observed, _differs(row, operational, observed)),
    }


def status_body(row: BgpPrefixRow | None) -> dict[str, Any]:
    """Return the deprecated form of the advertisement; without a BGP prefix it is withdrawn."""
    if row is None:
        return {"advertised": False, "advertised_modified_at": None}
    return {"advertised": row.advertised, "advertised_modified_at": rfc3339(row.advertised_modified_at)}


def binding_body(row: BindingRow, service_name: str, eye: Eye) -> dict[str, Any]:
    """Return a binding."""
    return {
        "id": row.id,
        "cidr": row.cidr,
        "service_id": row.service_id,
        "service_name": service_name,
        "provisioning": {"state": eye.provisioning(row.account_id, row.id)},
    }
