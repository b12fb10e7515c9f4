"""What there is in every history, and the settled state in which each begins."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from controller.agent.journal_records import Applied, Opened, Settled, encode_record
from controller.bgp import Prefix, Route
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    ChunkHash,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.snapshots.projection import SiteState, project

OUR_AS = 64500
SITES = ("s1", "s2", "s3")
MACHINES = ("m1", "m2")
ONBOARDED = {"a": Prefix("198.18.0.0/23"), "b": Prefix("198.18.4.0/23"), "c": Prefix("2001:db8::/47")}
ACCOUNTS = tuple(ONBOARDED)
PARTS = {
    "a": tuple(Prefix(f"198.18.{n}.0/24") for n in range(2)),
    "b": tuple(Prefix(f"198.18.{4 + n}.0/24") for n in range(2)),
    "c": (Prefix("2001:db8::/48"), Prefix("2001:db8:1::/48")),
}
PREFIXES = tuple(itertools.chain.from_iterable(PARTS.values()))
OWNER = {prefix: account for account, parts in PARTS.items() for prefix in parts}
SERVICE = "cdn"
LATER = "other"
"""A service to which nothing is bound at first."""


def bgp(account: str, part: int, advertised: bool = True, **more: object) -> BgpPrefixObject:
    return BgpPrefixObject(
        f"{account}-g{part}", f"{account}-p", PARTS[account][part], None, advertised, **more
    )  # type: ignore[arg-type]


def binding(account: str, part: int, service: str = SERVICE) -> BindingObject:
    return BindingObject(f"{account}-b{part}-{service}", f"{account}-p", PARTS[account][part], service)


def first_chunk(account: str) -> Chunk:
    """Return an account with all of its parts bound, and announced at all sites."""
    parts = range(len(PARTS[account]))
    return Chunk(
        account,
        (PrefixObject(f"{account}-p", ONBOARDED[account], None),),
        tuple(bgp(account, n) for n in parts),
        tuple(binding(account, n) for n in parts),
    )


@dataclass(frozen=True)
class Beginning:
    """The settled state, as bytes and values that histories copy and never change."""

    chunks: dict[ChunkHash, bytes]
    head: dict[str, ChunkHash]
    journals: dict[str, bytes]
    routes: frozenset[Route]
    desired: SiteState


def beginning() -> Beginning:
    chunks = {account: first_chunk(account) for account in ACCOUNTS}
    bodies = {account: encode_chunk(chunk) for account, chunk in chunks.items()}
    head = {account: hash_chunk(body) for account, body in bodies.items()}
    journals = {}
    for site in SITES:
        log = encode_record(Opened(site, "first"))
        for generation, account in enumerate(ACCOUNTS, 1):
            log += encode_record(
                Applied(generation, f"r-{account}", account, None, head[account], bodies[account])
            )
        journals[site] = log + encode_record(Settled(len(ACCOUNTS)))
    desired = project(chunks, SITES[0], OUR_AS)
    return Beginning({head[a]: bodies[a] for a in ACCOUNTS}, head, journals, desired.routes, desired)


BEGINNING = beginning()
