"""What an assessment says of one candidate (pure): admit, stage or hold; with the numbers in it."""

from __future__ import annotations

from typing import Literal

import msgspec

from controller.bgp import Prefix

Lane = Literal["express", "staged", "rollback", "emergency", "drain", "migration"]
"""How fast a change goes, and past which gates: SAFETY.md, 5."""

Decision = Literal["admit", "stage", "hold"]

OPENING = frozenset({"budget-fleet", "budget-actor", "budget-account", "budget-class", "breadth"})
"""The checks that open the breaker in the scope that they name; the others only hold the change-set."""


class Finding(msgspec.Struct, frozen=True):
    """One named check that has something to say.

    ``check``: its name, as in docs/guards.md. ``says``: one sentence with the numbers and the remedy.
    ``scope``: the breaker's scope that it is about, such as ``actor:task:…``; empty when it is about none.
    ``first``: when the first effect came that counts towards it, in seconds; None: this is the first one.
    """

    check: str
    says: str
    scope: str = ""
    first: float | None = None


class SiteRadius(msgspec.Struct, frozen=True):
    """What a candidate does at one site, in numbers of effects."""

    additive: int
    subtractive: int
    withdrawn: tuple[Prefix, ...]


class Radius(msgspec.Struct, frozen=True):
    """The blast radius foreseen.

    ``prefixes``: different BGP prefixes that lose something anywhere, ``gone`` those that would be announced
    nowhere any more. ``share_of_account`` and ``share_of_all``: of the announced ones. ``addresses``: IPv4
    addresses, and IPv6 /48s, that would be announced nowhere.
    """

    sites: dict[str, SiteRadius]
    prefixes: int
    gone: int
    accounts: int
    share_of_account: float
    share_of_all: float
    addresses: tuple[int, int]


class Verdict(msgspec.Struct, frozen=True):
    """``hold`` keeps the change-set out of the operational state until somebody decides."""

    decision: Decision
    lane: Lane
    findings: tuple[Finding, ...]
    radius: Radius

    @property
    def opens(self) -> tuple[Finding, ...]:
        """The findings that open the breaker in their scope."""
        return tuple(f for f in self.findings if f.check in OPENING)

    @property
    def reason(self) -> str:
        """Say it in one line."""
        return "; ".join(f"{f.check}: {f.says}" for f in self.findings)
