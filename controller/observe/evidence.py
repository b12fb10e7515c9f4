"""What was seen of a site at one moment, by whom (pure): what gates compare before and after.

Observers are of independent kinds: another router's RIB, the wire (what the messages on it say that a peer
holds), a probe. One that cannot tell says so: ``silent`` is no data, and never an empty set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from controller.bgp import AsPath, Family, Prefix, family_of
from controller.transport.messages import SiteStatus

Kind = Literal["rib", "wire", "probe"]
Told = Literal["told", "silent", "garbled"]
"""``silent``: nobody answers, or the session over which it would know is down; ``garbled``: an answer that
makes no sense, or a refusal."""


class Sight(msgspec.Struct, frozen=True):
    """What one router holds *from one site*, in one family; ``kind`` says how that is known.

    ``holds``: the prefixes with their AS paths as received from the site. ``total``: how many routes the
    observer told of altogether, from whomever: by that a source which has shrunk is recognised.
    """

    kind: Kind
    observer: str
    site: str
    family: Family
    state: Told = "told"
    why: str = ""
    holds: dict[Prefix, AsPath] = {}
    total: int = 0


Fate = Literal["answered", "unreachable", "timed-out", "looped", "unsent"]
"""What became of a probe; ``unsent``: it could not be sent, which says nothing about who was to answer."""


class Probed(msgspec.Struct, frozen=True):
    """Two probes from ``observer`` to one address inside ``prefix``.

    ``through``: forced out of the link to ``site``, whatever BGP says: does the site still serve the prefix?
    ``led``: by the observer's own route, the worst of all its next hops; ``led_to``: the sites at which its
    traffic may arrive by it. ``mine``: the prefix belongs to the account whose change the gate is about.
    """

    observer: str
    site: str
    prefix: Prefix
    through: Fate
    led: Fate
    led_to: tuple[str, ...] = ()
    mine: bool = False
    why: str = ""


class Word(msgspec.Struct, frozen=True):
    """What a site's agent says, and its Adj-RIB-Out as the speaker was asked for it just now.

    ``status`` None: the agent did not answer; ``sent`` None: the speaker could not be asked; ``why`` tells.
    """

    site: str
    status: SiteStatus | None
    sent: dict[Prefix, AsPath] | None
    why: str = ""


class Moment(msgspec.Struct, frozen=True):
    """All that was seen around some sites at one moment.

    ``kinds``: the kinds of observer that there are to ask, whether they answered or not.
    """

    words: tuple[Word, ...] = ()
    sights: tuple[Sight, ...] = ()
    probes: tuple[Probed, ...] = ()
    kinds: frozenset[Kind] = frozenset()

    def word(self, site: str) -> Word | None:
        """Return what the site's agent said."""
        return next((word for word in self.words if word.site == site), None)

    def sights_of(self, kind: Kind, site: str, family: Family) -> dict[str, Sight]:
        """Return the observers of one kind that look at a site, by name."""
        return {
            s.observer: s for s in self.sights if s.kind == kind and s.site == site and s.family is family
        }

    def seen_at(self, observers: int) -> dict[Prefix, frozenset[str]]:
        """Return the sites that each prefix is observed at: by ``observers`` kinds, and by all that can tell.

        Kinds that can look at routes, or all there are if fewer. One that cannot tell of a site is not
        counted for it; where too few can, nothing is observed.
        """
        needed = max(1, min(observers, len(self.kinds - {"probe"})))
        telling: dict[tuple[str, Family], set[Kind]] = {}
        holding: dict[tuple[str, Prefix], set[Kind]] = {}
        for sight in self.sights:
            if sight.state == "told":
                telling.setdefault((sight.site, sight.family), set()).add(sight.kind)
                for prefix in sight.holds:
                    holding.setdefault((sight.site, prefix), set()).add(sight.kind)
        found: dict[Prefix, set[str]] = {}
        for (site, prefix), kinds in holding.items():
            if len(kinds) >= needed and kinds == telling[site, family_of(prefix)]:
                found.setdefault(prefix, set()).add(site)
        return {prefix: frozenset(sites) for prefix, sites in found.items()}

    def probes_of(self, site: str) -> tuple[Probed, ...]:
        """Return the probes through one site that could be sent."""
        return tuple(p for p in self.probes if p.site == site)


def families(prefixes: Mapping[Prefix, object]) -> tuple[Family, ...]:
    """Return the address families that occur, IPv4 first."""
    found = {family_of(prefix) for prefix in prefixes}
    return tuple(f for f in Family if f in found)
