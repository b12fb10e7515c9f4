"""Why what is configured, what is to be, and what is observed differ, and what to do about it (pure)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from controller.addressing.views import DRAINED, Observed, Operational, SiteOperational
from controller.bgp import Prefix

RETRIED = "nothing to do: it is tried again until it works"
OPERATOR = "an operator must put that right at the site, then ask for it again"
UNDONE = "an operator keeps or drops what was asked for; announcing, and whatever only adds, works meanwhile"
DECIDE = "it is held: wait for the decision, or ask for the opposite to take it back"


class Configured(msgspec.Struct, frozen=True):
    """What was asked for of one BGP prefix. ``sites`` None: all."""

    cidr: Prefix
    advertised: bool
    sites: tuple[str, ...] | None = None

    @property
    def words(self) -> str:
        """Say what was asked for."""
        return f"{self.cidr} was asked to be {'advertised' if self.advertised else 'withdrawn'}"

    def at(self, site: str) -> bool:
        """Tell whether the route was asked for at a site."""
        return self.advertised and (self.sites is None or site in self.sites)


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as it was asked; ``site``: where, None when it is not about one site.

    ``reason``: what differs, and why as far as it is known. ``remedy``: what its owner can do.
    """

    cidr: Prefix
    site: str | None
    reason: str
    remedy: str


def differences(
    configured: Configured, operational: Operational, observed: Observed
) -> tuple[Difference, ...]:
    """Return what differs: first at the sites, then as a whole, then at other networks' routers.

    What is unknown is no difference, unless somebody said why it is unknown at a site.
    """
    undone = _is_undone(configured, operational)
    at_sites = tuple(
        found
        for site, part in sorted(operational.sites.items())
        # A site that has what production is to have is not what differs: what was asked for was undone.
        if (found := _at_site(configured, site, part)) is not None
        and not (undone and part.state == operational.state)
    )
    whole = _as_a_whole(configured, operational, told=bool(at_sites))
    seen = _seen(configured, operational, observed, differs=bool(at_sites) or whole is not None)
    return (*at_sites, *(d for d in (whole, seen) if d is not None))


def _is_undone(configured: Configured, operational: Operational) -> bool:
    """Tell whether a rollback undid what was asked for: production is settled otherwise, and says why."""
    wanted = "announced" if configured.advertised else "withdrawn"
    return operational.state in {"announced", "withdrawn"} - {wanted} and bool(operational.reason)


def _at_site(configured: Configured, site: str, part: SiteOperational) -> Difference | None:
    wanted = configured.at(site)
    if part.state == ("announced" if wanted else "withdrawn"):
        return None
    lacks = f"{site} has not got it" if wanted else f"{site} still has it"
    if part.state == "unknown":
        lacks = f"{site} has not told what it has"
    why = f": {part.reason}" if part.reason else ""
    remedy = {"failed": OPERATOR, "held": DECIDE}.get(part.state, RETRIED)
    if part.reason == DRAINED:
        remedy = "nothing to do: it is announced there again once the site is back in use"
    return Difference(configured.cidr, site, f"{configured.words}; {lacks}{why}", remedy)


def _as_a_whole(configured: Configured, operational: Operational, *, told: bool) -> Difference | None:
    """Tell of a change-set that is held, failed or waits: sites tell only of what was handed to them."""
    wanted = "announced" if configured.advertised else "withdrawn"
    if operational.state in (wanted, "unknown") or (operational.state == "rolling" and told):
        return None
    why = f": {operational.reason}" if operational.reason else ""
    state = {
        "held": "its change-set is held",
        "failed": "its change-set failed",
        "rolling": "its change-set is under way",
    }.get(operational.state, f"it is to be {operational.state}")
    remedy = {
        "held": DECIDE,
        "failed": "see why, have it put right, then ask for it again",
        "rolling": "nothing to do: it is being rolled out",
    }.get(operational.state, UNDONE if _is_undone(configured, operational) else "ask for it again")
    return Difference(configured.cidr, None, f"{configured.words}; {state}{why}", remedy)


def _seen(
    configured: Configured, operational: Operational, observed: Observed, *, differs: bool
) -> Difference | None:
    of = "" if observed.of is None else f" of {observed.of}"
    if configured.advertised and observed.state == "absent":
        if differs:
            remedy = "nothing to do here: see what keeps it from being announced"
        else:
            remedy = "look at its ROA and route object: networks refuse what these do not allow"
        where = "no router" if observed.of is None else f"none of {observed.of} routers"
        return Difference(
            configured.cidr, None, f"{configured.words}; {where} that we can look at holds it", remedy
        )
    if not configured.advertised and observed.state == "visible":
        return Difference(
            configured.cidr,
            None,
            f"{configured.words}; {observed.seen_by}{of} routers still hold it",
            "wait: networks try stale paths for some minutes; what stays longer is stuck there, "
            "or somebody else announces it",
        )
    return None


def as_json(found: Iterable[Difference]) -> list[dict[str, str | None]]:
    """Return differences as the API shows them."""
    return [{"cidr": d.cidr, "site": d.site, "reason": d.reason, "remedy": d.remedy} for d in found]
