"""How the API learns what is to be and what is: the one thing it asks of the layers below.

``configured`` is in our own tables. ``operational`` and ``observed`` come from whoever implements
:class:`OperationalView` (``herald serve`` does); :class:`NullView` says "unknown" and why.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from controller.bgp import Prefix

OperationalKind = Literal["announced", "withdrawn", "rolling", "held", "failed", "unknown"]
ObservedKind = Literal["visible", "absent", "unknown"]
Provisioning = Literal["provisioning", "active"]

DRAINED = "the site is out of use for a while (drained): others announce it"
"""The reason of a site at which a prefix is not announced, or by a longer path, since it is drained."""


class SiteOperational(msgspec.Struct, frozen=True):
    """One site's part: its state, and why it is not there yet (empty when it is)."""

    state: OperationalKind
    reason: str = ""


class Operational(msgspec.Struct, frozen=True):
    """What is to be. ``since``: RFC 3339 UTC, or None when unknown; ``reason`` is empty when all is well."""

    state: OperationalKind
    since: str | None = None
    reason: str = ""
    sites: dict[str, SiteOperational] = {}  # msgspec copies it


class Observed(msgspec.Struct, frozen=True):
    """What independent routers hold: ``seen_by`` of ``of`` routers have it; ``at``: when they were asked."""

    state: ObservedKind
    seen_by: int | None = None
    of: int | None = None
    at: str | None = None
    reason: str = ""


class OperationalView(Protocol):
    """Answers at once, from memory; never raises for an object it does not know ("unknown" and why)."""

    def operational(self, account_id: str, bgp_prefix_id: str) -> Operational:
        """Return what is to be of one BGP prefix."""
        ...

    def observed(self, prefix: Prefix) -> Observed:
        """Return what the routers that we can look at hold of ``prefix``."""
        ...

    def provisioning(self, account_id: str, binding_id: str) -> Provisioning:
        """Return ``active`` once a majority of the sites hold the binding."""
        ...


class NullView:
    """The view of a process that has nothing below it."""

    reason = "this process does not roll out: nothing below the API reports to it"

    def operational(self, account_id: str, bgp_prefix_id: str) -> Operational:
        """Return "unknown"."""
        return Operational("unknown", reason=self.reason)

    def observed(self, prefix: Prefix) -> Observed:
        """Return "unknown"."""
        return Observed("unknown", reason=self.reason)

    def provisioning(self, account_id: str, binding_id: str) -> Provisioning:
        """Return ``provisioning``: nobody has said that it is more."""
        return "provisioning"
