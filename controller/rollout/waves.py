"""Which sites take a change first, which next, and how long each wave bakes (pure): SAFETY.md, 5 and 6.

A gated roll-out goes to canaries, then to growing shares of the sites, then to all. One site that the change
touches stays unchanged until the end where there are enough of them: it is the control that a gate compares
with. Who is a canary is drawn from the roll-out's id, so that it is not always the same site that pays.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.safety.policy import Waves

GATED = frozenset({"staged", "migration"})
"""Lanes whose changes go wave by wave. A drain is one site by itself; an emergency waits for nobody."""


@dataclass(frozen=True, slots=True)
class WavePlan:
    """``waves``: disjoint, in order, together all sites. ``control``: stays as it is until the last wave.

    ``gated``: each wave waits for the gate of the one before.
    """

    waves: tuple[tuple[str, ...], ...]
    control: tuple[str, ...] = ()
    gated: bool = False


def is_gated(lane: str, *, subtractive: bool, staged: bool = True) -> bool:
    """Tell whether a change in ``lane`` takes gates; ``staged``: the guard of that name is armed.

    A rollback's additive half goes at once; what it takes away goes as everything else does.
    """
    return staged and (lane in GATED or (lane == "rollback" and subtractive))


def plan_waves(
    rollout_id: str,
    sites: Sequence[str],
    policy: Waves,
    *,
    gated: bool,
    touched: Collection[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    unfit: Collection[str] = (),
) -> WavePlan:
    """Return how a change goes over ``sites``.

    ``touched``: where it has any effect (None: everywhere); a site where it has none tells nothing as a
    canary, and goes with the last wave. ``kinds``: what makes sites unlike one another (their speakers).
    ``unfit``: sites whose own baseline fails, which are no canaries and no control. With one site that is
    touched there is one wave, with two they go one after the other.
    """
    names = sorted(set(sites))
    hit = [s for s in _drawn(rollout_id, names) if touched is None or s in touched]
    rest = tuple(s for s in names if s not in set(hit))
    if not gated or not names:
        return WavePlan((tuple(names),) if names else ())
    if not hit:
        return WavePlan((rest,), gated=True)
    fit = [s for s in hit if s not in unfit]
    canaries = _diverse(fit or hit, _canaries(len(hit), policy), kinds or {})
    left = [s for s in hit if s not in canaries]
    # Those that are not fit go late, where the others' health is known; the control goes last of all.
    left.sort(key=lambda s: s in unfit)
    control = tuple(s for s in left if s not in unfit)[: policy.control if len(left) > 0 else 0]
    order = [s for s in left if s not in control] + list(control)
    waves: list[tuple[str, ...]] = [tuple(canaries)]
    done = len(canaries)
    for share in policy.shares:
        upto = max(done, math.ceil(share * len(hit)))
        if share < 1.0:
            upto = min(upto, len(hit) - len(control))
        if upto > done:
            waves.append(tuple(order[done - len(canaries) : upto - len(canaries)]))
            done = upto
    waves[-1] = (*waves[-1], *rest)
    return WavePlan(tuple(tuple(sorted(w)) for w in waves), tuple(sorted(control)), gated=True)


def bake_s(prefixes_lost: int, policy: Waves) -> float:
    """Return how long each wave bakes: zero for what is purely additive, capped by the policy.

    It grows with the root of the number of BGP prefixes that lose something: what harms many shows sooner, so
    a hundred times the prefixes needs ten times the wait, not a hundred.
    """
    return min(policy.bake_s * math.sqrt(prefixes_lost), policy.bake_most_s) if prefixes_lost else 0.0


def _canaries(count: int, policy: Waves) -> int:
    """Of so few sites that canaries and control do not fit, the first goes alone."""
    return policy.canaries if count >= policy.canaries + max(1, policy.control) else 1


def _drawn(rollout_id: str, sites: Iterable[str]) -> list[str]:
    """Return the sites in an order that the roll-out's id decides."""
    return sorted(sites, key=lambda s: hashlib.sha256(f"{rollout_id}/{s}".encode()).digest())


def _diverse(sites: Sequence[str], count: int, kinds: Mapping[str, str]) -> list[str]:
    """Return the first ``count``, preferring those of a kind that is not there yet."""
    found: list[str] = []
    seen: set[str] = set()
    for site in sites:
        if len(found) < count and kinds.get(site, "") not in seen:
            found.append(site)
            seen.add(kinds.get(site, ""))
    found += [s for s in sites if s not in found][: count - len(found)]
    return found
