"""A fleet of customers as an export: thousands of prefixes that a lab's controller begins with.

Written by way of a store of its own, so that what comes out is what any store would export.
"""

from __future__ import annotations

import ipaddress
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import insert

from controller.addressing.rules import bounds
from controller.addressing.tables import AccountRow, BgpPrefixRow, BindingRow, PrefixRow, ServiceRow
from controller.bgp import Prefix
from controller.exports.writing import export_lines
from controller.snapshots import store as snapshots
from controller.snapshots.compile import candidate
from controller.snapshots.model import BgpPrefixObject, BindingObject, Change, ChangeSet, PrefixObject
from controller.store import open_store

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
BASE4 = ipaddress.IPv4Network("100.64.0.0/10")
"""Shared address space (RFC 6598): 16,384 /24s that nobody's network announces to a lab."""


@dataclass(frozen=True, slots=True)
class Customer:
    """An account and its prefixes, each with its BGP prefix's id."""

    account_id: str
    prefixes: tuple[tuple[Prefix, str], ...]


def write_fleet(file: Path, *, prefixes: int, accounts: int, seed: int = 1) -> list[Customer]:
    """Write the export of a fleet to ``file``: every prefix a /24, approved, bound and advertised everywhere.

    Accounts' sizes are drawn from a heavy-tailed distribution. The same arguments give the same customers.
    """
    if not accounts <= prefixes <= BASE4.num_addresses // 256:
        raise ValueError(f"{accounts} accounts cannot share {prefixes} prefixes (at most 16384)")
    customers = list(_customers(prefixes, accounts, random.Random(seed)))
    with tempfile.TemporaryDirectory(prefix="herald-fleet-") as folder:
        store = open_store(Path(folder) / "fleet.db")
        try:
            with store.write() as session:
                session.add(ServiceRow(id="cdn", name="CDN", created_at=BEGAN))
                session.flush()
                for table, rows in _rows(customers).items():
                    session.execute(insert(table), rows)
                for customer in customers:
                    change_set = _onboarding(customer)
                    snapshots.commit(session, candidate({}, None, change_set), change_set)
            with file.open("wb") as out:
                out.writelines(export_lines(store))
        finally:
            store.close()
    return customers


def _customers(prefixes: int, accounts: int, chance: random.Random) -> Iterator[Customer]:
    weights = [chance.paretovariate(1.2) for _ in range(accounts)]
    total = sum(weights)
    counts = [1 + int((prefixes - accounts) * w / total) for w in weights]
    for i in range(prefixes - sum(counts)):
        counts[i % accounts] += 1
    networks = (Prefix(f"{a}") for a in BASE4.subnets(new_prefix=24))
    for i, count in enumerate(counts, start=1):
        named = tuple((next(networks), UUID(int=chance.getrandbits(128)).hex) for _ in range(count))
        yield Customer(f"customer-{i:05}", named)


def ids_beside(bgp_id: str) -> tuple[str, str]:
    """Return the ids of the prefix and of the binding that belong to a BGP prefix of the fleet."""
    number = int(bgp_id, 16)
    return UUID(int=number ^ 1).hex, UUID(int=number ^ 2).hex


def _rows(customers: Sequence[Customer]) -> dict[type, list[dict[str, object]]]:
    rows: dict[type, list[dict[str, object]]] = {
        AccountRow: [],
        PrefixRow: [],
        BgpPrefixRow: [],
        BindingRow: [],
    }
    for customer in customers:
        rows[AccountRow].append({"id": customer.account_id, "name": customer.account_id, "created_at": BEGAN})
        for cidr, bgp_id in customer.prefixes:
            prefix_id, binding_id = ids_beside(bgp_id)
            low, high = bounds(cidr)
            common = {"account_id": customer.account_id, "cidr": cidr, "created_at": BEGAN}
            rows[PrefixRow].append(
                {**common, "id": prefix_id, "low": low, "high": high, "asn": None, "description": "",
                 "delegate_loa_creation": False, "ownership_token": prefix_id, "approved": True,
                 "approved_at": BEGAN, "modified_at": BEGAN}
            )  # fmt: skip
            rows[BgpPrefixRow].append(
                {**common, "id": bgp_id, "prefix_id": prefix_id, "asn": None, "asn_prepend_count": 0,
                 "auto_advertise_withdraw": False, "advertised": True, "locked": False, "sites": None,
                 "modified_at": BEGAN}
            )  # fmt: skip
            rows[BindingRow].append({**common, "id": binding_id, "prefix_id": prefix_id, "service_id": "cdn"})
    return rows


def _onboarding(customer: Customer) -> ChangeSet:
    changes: list[Change] = []
    for cidr, bgp_id in customer.prefixes:
        prefix_id, binding_id = ids_beside(bgp_id)
        changes += [
            Change(prefix=PrefixObject(prefix_id, cidr, None)),
            Change(binding=BindingObject(binding_id, prefix_id, cidr, "cdn")),
            Change(bgp_prefix=BgpPrefixObject(bgp_id, prefix_id, cidr, None, advertised=True)),
        ]
    at = BEGAN.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    id_ = f"{customer.account_id}-onboarding"[-32:]
    return ChangeSet(id_, customer.account_id, "import", "fleet", at, tuple(changes))
