"""What owners, operators and tasks write; and what they may be said to have wanted."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.safety.effects import Effect, effects, subtractive
from controller.safety.intents import Intent, needed, sign
from controller.snapshots.compile import apply
from controller.snapshots.model import BgpPrefixObject, Change, ChangeSet, Chunk, ChunkHash, SnapshotError
from tests.simulation.universe import SITES, bgp, binding

KEY = Ed25519PrivateKey.from_private_bytes(b"the histories' own intent key 32")
PUBLIC_KEYS = (KEY.public_key().public_bytes_raw(),)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
VALID_S = 3600.0
OWNER, OPERATOR, TASK = "customer:owner-{}", "operator:op1", "task:clean-up"


@functools.lru_cache(maxsize=200_000)
def signed(  # noqa: PLR0917 (a cache's key)
    account: str,
    kind: str,
    prefixes: tuple[str, ...],
    sites: tuple[str, ...],
    generation: ChunkHash | None,
    at: int,
    asked_by: tuple[str, ...],
) -> str:
    """Return the text of an intent; ``at`` in seconds since :data:`EPOCH`. The nonce is its own content."""
    issued = EPOCH + timedelta(seconds=at)
    intent = Intent(
        account, kind, prefixes, sites if kind == "narrow" else None, generation, issued, issued,  # type: ignore[arg-type]
        issued + timedelta(seconds=VALID_S), f"{account}-{kind}-{at}",
        "owner" if len(asked_by) == 1 else "operators", asked_by,
    )  # fmt: skip
    return sign(intent, KEY)


def toggle(account: str, part: int, advertised: bool) -> list[Change]:
    return [Change(bgp_prefix=bgp(account, part, advertised))]


def narrow(account: str, part: int, sites: tuple[str, ...] | None) -> list[Change]:
    return [Change(bgp_prefix=bgp(account, part, sites=sites))]


def prepend(account: str, part: int, times: int) -> list[Change]:
    return [Change(bgp_prefix=bgp(account, part, prepends=times))]


def bind(account: str, part: int, service: str) -> list[Change]:
    return [Change(binding=binding(account, part, service))]


def unbind(account: str, part: int, service: str) -> list[Change]:
    return [Change(remove=("binding", binding(account, part, service).id))]


def malformed(account: str, which: int) -> tuple[list[Change], str]:
    """Return changes that no compiler may take, with the word that the refusal must have in it."""
    part = which // 8 % 2
    choices: list[tuple[list[Change], str]] = [
        ([Change()], "exactly one thing"),
        ([Change(bgp_prefix=bgp(account, part), remove=("binding", "x"))], "exactly one thing"),
        ([Change(remove=("bgp_prefix", "nobody"))], "nobody"),
        ([Change(bgp_prefix=bgp(account, part, prepends=9))], "prepends"),
        ([Change(bgp_prefix=BgpPrefixObject("new", f"{account}-p", "0.0.0.0/0", None))], "0.0.0.0/0"),  # type: ignore[arg-type]
        ([Change(bgp_prefix=BgpPrefixObject("new", "gone", "192.0.2.0/24", None))], "gone"),  # type: ignore[arg-type]
        (
            [Change(bgp_prefix=BgpPrefixObject(f"{account}-g0", f"{account}-p", "192.0.2.0/24", None))],
            "192.0.2.0/24",
        ),  # type: ignore[arg-type]
        ([Change(bgp_prefix=BgpPrefixObject("new", f"{account}-p", "198.18.0.1/24", None))], "198.18.0.1/24"),  # type: ignore[arg-type]
    ]
    return choices[which % len(choices)]


@functools.lru_cache(maxsize=50_000)
def taken_away(chunk: Chunk, changes: tuple[Change, ...]) -> tuple[tuple[Effect, ...], Chunk]:
    """Return what changes take away from ``chunk``, and what it is then; nothing if they do not fit."""
    try:
        new = apply(chunk, ChangeSet("", chunk.account_id, "", "", "", changes))
    except SnapshotError:
        return (), chunk
    return subtractive(effects(chunk, new, SITES)), new


def intents_for(
    account: str, found: Iterable[Effect], generation: ChunkHash | None, at: float, asked_by: tuple[str, ...]
) -> tuple[str, ...]:
    """Return what the intent service signs for these effects."""
    return tuple(
        signed(account, kind, tuple(prefixes), tuple(sites), generation, int(at), asked_by)
        for kind, prefixes, sites in needed(found, SITES)
    )
