"""A seeded dataset as an operator has it: many small accounts, a few large ones, both families."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import insert

from controller.addressing.rules import bounds
from controller.addressing.tables import AccountRow, BgpPrefixRow, BindingRow, PrefixRow, ServiceRow
from controller.bgp import Prefix
from controller.store import Store

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LARGE = 20_000
"""Prefixes of the largest account, so that a long list is seen, too."""

BATCH = 2_000


def fill(store: Store, *, accounts: int, prefixes: int, seed: int = 1) -> list[tuple[str, list[str]]]:
    """Put ``prefixes`` into an empty store; return each account with the ids of its prefixes.

    Each prefix is approved and bound, and has a BGP prefix, as after onboarding; a third are advertised.
    """
    chance = random.Random(seed)
    shares = _shares(accounts, prefixes, chance)
    names = [f"acc{n:05}" for n in range(accounts)]
    with store.write() as session:
        session.add(ServiceRow(id="cdn", name="CDN", created_at=BEGAN))
        session.execute(
            insert(AccountRow), [{"id": a, "name": f"Customer {a}", "created_at": BEGAN} for a in names]
        )
    found: list[tuple[str, list[str]]] = [(a, []) for a in names]
    owners = [n for n, count in enumerate(shares) for _ in range(count)]
    chance.shuffle(owners)
    networks = _networks(prefixes)
    for start in range(0, prefixes, BATCH):
        rows: dict[type, list[dict[str, object]]] = {PrefixRow: [], BgpPrefixRow: [], BindingRow: []}
        for number in range(start, min(start + BATCH, prefixes)):
            account, ids = found[owners[number]]
            ids.append(_prefix(rows, account, next(networks), number, chance))
        with store.write() as session:
            for table, values in rows.items():
                session.execute(insert(table), values)
    return found


def _shares(accounts: int, prefixes: int, chance: random.Random) -> list[int]:
    """Return how many prefixes each account has: one very large, the others by a heavy-tailed draw."""
    large = min(LARGE, prefixes // 2)
    weights = [chance.paretovariate(1.2) for _ in range(accounts - 1)]
    total, left = sum(weights), prefixes - large
    shares = [int(left * w / total) for w in weights]
    for n in range(left - sum(shares)):
        shares[n % len(shares)] += 1
    return [large, *shares]


def _networks(count: int) -> Iterator[Prefix]:
    """Give IPv4 /24s and, each fourth, IPv6 /48s that do not overlap."""
    for number in range(count):
        if number % 4:
            yield Prefix(str(ipaddress.IPv4Network(((20 << 24) + (number << 8), 24))))
        else:
            yield Prefix(str(ipaddress.IPv6Network(((0x2A00 << 112) + (number << 80), 48))))


def _prefix(
    rows: dict[type, list[dict[str, object]]],
    account: str,
    cidr: Prefix,
    number: int,
    chance: random.Random,
) -> str:
    ids = [UUID(int=chance.getrandbits(128)).hex for _ in range(3)]
    low, high = bounds(cidr)
    at = BEGAN + timedelta(seconds=number)
    common = {"account_id": account, "cidr": cidr, "created_at": at}
    rows[PrefixRow].append(
        {**common, "id": ids[0], "low": low, "high": high, "asn": None, "description": f"prefix {number}",
         "delegate_loa_creation": False, "ownership_token": ids[0], "approved": True, "approved_at": at,
         "modified_at": at}
    )  # fmt: skip
    rows[BgpPrefixRow].append(
        {**common, "id": ids[1], "prefix_id": ids[0], "asn": None, "asn_prepend_count": 0,
         "auto_advertise_withdraw": False, "advertised": chance.random() < 1 / 3, "locked": False,
         "sites": None, "modified_at": at}
    )  # fmt: skip
    rows[BindingRow].append({**common, "id": ids[2], "prefix_id": ids[0], "service_id": "cdn"})
    return ids[0]
