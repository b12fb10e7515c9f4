"""What the journal asks to take away and what therefore stands as it was, until the guard lets it go (pure).

A command is journalled whole; but what it would take away (a route withdrawn, its path made longer, its
origin changed; a binding removed) becomes a :class:`StandingRoute` or :class:`StandingBinding` first. So what
the site has is, at any time, what its chunks ask for with what stands laid over it: :func:`effective`.
Whoever asked is noted when the command is journalled, from its intents, each of which counts once for each
effect: brought again later, it takes away nothing that was announced anew.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from controller.bgp import Prefix, Route
from controller.safety.effects import Effect, EffectVerb
from controller.safety.intents import Intent, IntentError, covers_effect, verify_signature
from controller.snapshots.projection import SiteBinding, SiteState

Authority = Literal["", "owner", "delegate", "operators"]
"""Whose intent asks for an effect; empty: nobody's."""

SpentKey = tuple[Prefix, str]
"""What of an intent was used: the prefix and the verb of an effect."""

OWN_BUDGET = ("emergency", "drain")
"""Lanes that have a budget of their own."""

_STRENGTH: Mapping[Authority, int] = {"": 0, "operators": 1, "delegate": 2, "owner": 3}


class StandingRoute(msgspec.Struct, frozen=True):
    """A route as it stands. ``verbs``: what the journal asks of it; ``needs``: the bindings it stands on.

    ``sites``: those that the BGP prefix was to be announced at (None: all), among which its keepers are.
    """

    account_id: str
    prefix: Prefix
    as_path: tuple[int, ...]
    verbs: tuple[EffectVerb, ...]
    needs: tuple[SiteBinding, ...]
    sites: tuple[str, ...] | None
    by: Authority
    lane: str

    @property
    def route(self) -> Route:
        """What the speaker is to go on announcing."""
        return Route(self.prefix, self.as_path)


class StandingBinding(msgspec.Struct, frozen=True):
    """A binding that is still held. ``under``: the prefixes that stay announced and stood on it."""

    binding: SiteBinding
    under: tuple[Prefix, ...]
    by: Authority
    lane: str


class Standing(msgspec.Struct, frozen=True):
    """All of one account's."""

    routes: tuple[StandingRoute, ...] = ()
    bindings: tuple[StandingBinding, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything stands."""
        return bool(self.routes or self.bindings)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command brings: verified intents, and what of which intents was used before."""

    account_id: str
    site: str
    lane: str
    intents: Sequence[Intent] = ()
    spent: Mapping[str, AbstractSet[SpentKey]] | None = None

    def by(self, prefix: Prefix, verbs: Iterable[EffectVerb]) -> tuple[Authority, list[tuple[str, SpentKey]]]:
        """Return the weakest authority among those that ask for each verb, and what is used by it."""
        weakest: Authority = "owner"
        used: list[tuple[str, SpentKey]] = []
        for verb in verbs:
            best: Authority = ""
            for intent in self.intents:
                key = (prefix, verb)
                fits = intent.account_id == self.account_id and covers_effect(
                    intent, Effect(self.site, prefix, verb)
                )
                if not fits or key in (self.spent or {}).get(intent.nonce, ()):
                    continue
                used.append((intent.nonce, key))
                if _STRENGTH[intent.authority] > _STRENGTH[best]:
                    best = intent.authority
            if _STRENGTH[best] < _STRENGTH[weakest]:
                weakest = best
        return weakest, used


def read_intents(
    texts: Iterable[str], public_keys: Sequence[bytes], now: datetime, skew_s: float
) -> tuple[list[Intent], list[str]]:
    """Return the intents that hold at ``now``, and why each of the others does not.

    The clock that signed may run ahead by ``skew_s``; what has expired by the site's own has.
    """
    sound: list[Intent] = []
    refused: list[str] = []
    for text in texts:
        try:
            intent = verify_signature(text, public_keys)
        except IntentError as error:
            refused.append(str(error))
            continue
        if now + timedelta(seconds=skew_s) < intent.not_before:
            refused.append(f"it holds from {intent.not_before.isoformat()} on")
        elif now >= intent.expires_at:
            refused.append(f"it expired at {intent.expires_at.isoformat()}")
        else:
            sound.append(intent)
    return sound, refused


def route_verbs(old: Route, new: Route | None) -> tuple[EffectVerb, ...]:
    """Return what taking ``old`` to ``new`` takes away; empty when nothing."""
    if new is None:
        return ("withdraw",)
    if old == new:
        return ()
    (own, prepends), (_, more) = _origin(old), _origin(new)
    verbs: list[EffectVerb] = []
    if own != _origin(new)[0]:
        verbs.append("reorigin")
    if more > prepends:
        verbs.append("more-prepend")
    return tuple(verbs)


def _origin(route: Route) -> tuple[tuple[int, ...], int]:
    """Return the path behind our own AS, and how often that stands in front of it."""
    first = route.as_path[:1]
    count = next((i for i, hop in enumerate(route.as_path) if (hop,) != first), len(route.as_path))
    return route.as_path[count:], count


def standing_after(
    before: SiteState,
    stands: Standing,
    after: SiteState,
    *,
    asked: Asked,
    reach: AbstractSet[Prefix] | None,
    sites: Mapping[Prefix, tuple[str, ...] | None],
) -> tuple[Standing, dict[str, tuple[SpentKey, ...]]]:
    """Return what of one account stands once its chunk asks for ``after``, and what of which intents is used.

    ``before``: what its chunk asked for; ``stands``: what stood already. ``reach``: the prefixes that are or
    may be out there, None when that is not known: then all of them. ``sites`` of each BGP prefix of before.
    """
    held = {s.prefix: s for s in stands.routes}
    new = {r.prefix: r for r in after.routes}
    used: dict[str, set[SpentKey]] = {}
    routes: list[StandingRoute] = []
    since = _under(held, before.bindings)
    for prefix, old in sorted({**{r.prefix: r for r in before.routes}, **_routes(held)}.items()):
        was = held.get(prefix)
        verbs = route_verbs(old, new.get(prefix))
        if not verbs or (was is None and reach is not None and prefix not in reach):
            continue
        by = _authority(asked, prefix, verbs, was.by if was is not None and was.verbs == verbs else "", used)
        stood_on = before.needs.get(prefix, frozenset()) if was is None else {*was.needs, *since[prefix]}
        needs = tuple(sorted(stood_on))
        at = was.sites if was is not None else sites.get(prefix)
        lane = _lane(asked, None if was is None else was.lane)
        routes.append(StandingRoute(asked.account_id, prefix, old.as_path, verbs, needs, at, by, lane))
    again = {prefix: bound for prefix, bound in since.items() if prefix in new}
    return Standing(tuple(routes), _bindings(before, stands, after, asked, used, again=again)), {
        nonce: tuple(sorted(keys)) for nonce, keys in used.items()
    }


def _bindings(
    before: SiteState,
    stands: Standing,
    after: SiteState,
    asked: Asked,
    used: dict[str, set[SpentKey]],
    *,
    again: Mapping[Prefix, AbstractSet[SiteBinding]],
) -> tuple[StandingBinding, ...]:
    """Return the bindings that stand; ``again``: those under routes that stood and are desired anew."""
    held = {s.binding: s for s in stands.bindings}
    under: dict[SiteBinding, set[Prefix]] = {}
    for route in after.routes:
        for binding in (*before.needs.get(route.prefix, ()), *again.get(route.prefix, ())):
            under.setdefault(binding, set()).add(route.prefix)
    found: list[StandingBinding] = []
    for binding in sorted((before.bindings | held.keys()) - after.bindings):
        was = held.get(binding)
        by = _authority(asked, binding.cidr, ("unbind",), was.by if was is not None else "", used)
        lane = _lane(asked, None if was is None else was.lane)
        stood = under.get(binding, set()) | set(was.under if was is not None else ())
        found.append(StandingBinding(binding, tuple(sorted(stood)), by, lane))
    return tuple(found)


def _under(prefixes: Iterable[Prefix], bindings: Iterable[SiteBinding]) -> dict[Prefix, set[SiteBinding]]:
    """Return the bindings that lie in, or cover, each of ``prefixes``: a route that stands has them, too."""
    wanted = set(prefixes)
    found: dict[Prefix, set[SiteBinding]] = {prefix: set() for prefix in wanted}
    if not wanted:
        return found
    by_cidr: dict[Prefix, set[SiteBinding]] = {}
    for binding in bindings:
        by_cidr.setdefault(binding.cidr, set()).add(binding)
    for cidr, held in by_cidr.items():
        for outer in wanted.intersection(_around(cidr)):
            found[outer] |= held
    for prefix in wanted:
        for outer in by_cidr.keys() & set(_around(prefix)):
            found[prefix] |= by_cidr[outer]
    return found


def _around(prefix: Prefix) -> list[Prefix]:
    """Return ``prefix`` and all that it lies in."""
    network = ipaddress.ip_network(prefix)
    return [Prefix(str(network.supernet(new_prefix=length))) for length in range(network.prefixlen + 1)]


def _authority(
    asked: Asked,
    prefix: Prefix,
    verbs: tuple[EffectVerb, ...],
    had: Authority,
    used: dict[str, set[SpentKey]],
) -> Authority:
    by, keys = asked.by(prefix, verbs)
    for nonce, key in keys:
        used.setdefault(nonce, set()).add(key)
    return by if _STRENGTH[by] > _STRENGTH[had] else had


def _lane(asked: Asked, had: str | None) -> str:
    """Return whose budget an effect is charged to: a later emergency or drain takes over what is held."""
    return asked.lane if had is None or asked.lane in OWN_BUDGET else had


def _routes(held: Mapping[Prefix, StandingRoute]) -> dict[Prefix, Route]:
    return {prefix: s.route for prefix, s in held.items()}


def kept_bindings(desired: SiteState, effectively: SiteState) -> frozenset[SiteBinding]:
    """Return the bindings that stand though they are desired no more."""
    return frozenset() if effectively is desired else effectively.bindings - desired.bindings


def effective(desired: SiteState, standing: Iterable[Standing]) -> SiteState:
    """Return what the site is to have now: what is desired, with what stands laid over it."""
    stands = [s for s in standing if s]
    if not stands:
        return desired
    wanted = {r.prefix: r for r in desired.routes}
    routes = dict(wanted)
    needs = dict(desired.needs)
    bindings = set(desired.bindings)
    for one in stands:
        for s in one.routes:
            routes[s.prefix] = s.route
            if s.prefix not in wanted:
                needs[s.prefix] = frozenset(s.needs)
                bindings.update(s.needs)
        bindings.update(b.binding for b in one.bindings)
    return SiteState(frozenset(routes.values()), frozenset(bindings), needs)
