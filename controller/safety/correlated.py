"""Health withdrawals that several sites want at about the same time (pure): guards.md, 5.

One site whose machines all say that a binding is gone may be ill; a quorum of sites that say so within a
minute or two have been told something wrong. Then none of it is withdrawn, and the breaker is told.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import msgspec

from controller.bgp import Prefix, prefix_key
from controller.safety.policy import Correlated


class Wish(msgspec.Struct, frozen=True, order=True):
    """A site whose machines positively report a binding absent, so that it would withdraw its route.

    ``since``: seconds at which it began to want that, on the clock of whoever looks.
    """

    site: str
    prefix: Prefix
    since: float


class Correlation(msgspec.Struct, frozen=True):
    """A quorum of ``of`` sites want health withdrawals: every wish of theirs is held."""

    sites: tuple[str, ...]
    of: int
    prefixes: tuple[Prefix, ...]
    began: float

    @property
    def says(self) -> str:
        """Say it in one line, with the numbers."""
        shown = ", ".join(self.prefixes[:5]) + ("" if len(self.prefixes) <= 5 else ", …")
        return (
            f"{len(self.sites)} of {self.of} sites ({', '.join(self.sites)}) want to withdraw "
            f"{len(self.prefixes)} prefixes for their health at about the same time ({shown}): all are held; "
            "look at what the sites have in common"
        )


class Wishes(msgspec.Struct, frozen=True):
    """What sites wish, and when each began; a wish that ended still counts for the policy's window."""

    wished: tuple[Wish, ...] = ()
    ended: dict[str, float] = {}
    """``site prefix`` → when the wish ended; those that last have no entry."""

    def heard(self, site: str, prefixes: Collection[Prefix], now: float, policy: Correlated) -> Wishes:
        """Return the wishes after ``site`` has said which ones it has ``now``.

        A site that does not answer is not heard: silence ends no wish and begins none.
        """
        current = set(prefixes)
        ended = dict(self.ended)
        kept: list[Wish] = []
        for wish in self.wished:
            key = _key(wish)
            if wish.site == site:
                if wish.prefix in current:
                    ended.pop(key, None)
                    current.discard(wish.prefix)
                else:
                    ended.setdefault(key, now)
            if now - ended.get(key, now) <= policy.window_s:
                kept.append(wish)
            else:
                del ended[key]
        kept += [Wish(site, prefix, now) for prefix in sorted(current, key=prefix_key)]
        return Wishes(tuple(sorted(kept)), ended)


def _key(wish: Wish) -> str:
    return f"{wish.site} {wish.prefix}"


def correlation(wishes: Wishes, sites: int, policy: Correlated) -> Correlation | None:
    """Return the correlation among ``wishes``, of a controller with so many ``sites``; None: there is none.

    The quorum is counted over sites that began within one window of each other, whichever prefixes they mean.
    """
    quorum = max(policy.least, math.ceil(policy.share * sites))
    starts = _starts(wishes)
    for begin in sorted({at for times in starts.values() for at in times}):
        within = {
            s for s, times in starts.items() if any(begin <= at <= begin + policy.window_s for at in times)
        }
        if len(within) >= quorum:
            wanting = [w for w in wishes.wished if _key(w) not in wishes.ended]
            prefixes = {w.prefix for w in wishes.wished if w.site in within} | {w.prefix for w in wanting}
            names = tuple(sorted(within | {w.site for w in wanting}))
            return Correlation(names, sites, tuple(sorted(prefixes, key=prefix_key)), begin)
    return None


def may_withdraw(wish: Wish, wishes: Wishes, sites: int, policy: Correlated) -> bool:
    """Tell whether one health withdrawal may go on: not while a quorum of sites want any."""
    found = correlation(wishes, sites, policy)
    return found is None or wish.site not in found.sites


def _starts(wishes: Wishes) -> Mapping[str, list[float]]:
    starts: dict[str, list[float]] = {}
    for wish in wishes.wished:
        starts.setdefault(wish.site, []).append(wish.since)
    return starts
