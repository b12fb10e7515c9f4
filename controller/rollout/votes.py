"""How each kind of observer votes on one site of a wave (pure): evidence → :class:`Vote`.

A vote is about three things: whether the prefixes of the change are as they should be, whether prefixes that
the change does not touch were lost, and whether anything can be told at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from controller.bgp import AsPath, Family, Prefix, family_of
from controller.observe.evidence import Kind, Moment, Probed, Sight
from controller.rollout.delivery import Footprint
from controller.snapshots.model import BgpPrefixObject

SHRUNK = 0.5
"""An observer that tells of less than this share of what it told before is not believed (guards.md, 7)."""
SHRUNK_FLOOR = 6
"""Of fewer routes than this nobody can tell a shrunken source from a small change, unless none is left."""
NAMED = 5


class Says(IntEnum):
    """A vote, from the best to the worst."""

    GOOD = 0
    NO_DATA = 1
    LATE = 2  # not yet as it should be: a route takes time to get there
    ERROR = 3  # a source that has shrunk, or answers nonsense
    BAD = 4


@dataclass(frozen=True, slots=True)
class Vote:
    """What one kind of observer says of one site; ``why`` in numbers."""

    kind: Kind
    site: str
    says: Says
    why: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Before and after, and what of it the change was to alter.

    ``gone``: prefixes outside of the change that nobody wants at the site any more: other changes took them
    away meanwhile. ``lost_share``: more of the unchanged ones lost than this is bad. ``shrinkage``: whether a
    source that has shrunk is recognised. Functions below take ``changed``: the site is one of the wave; else
    it is the control, where all must stay.
    """

    before: Moment
    after: Moment
    footprint: Footprint
    gone: frozenset[Prefix]
    lost_share: float
    shrinkage: bool


def wanted_at(bgp: BgpPrefixObject | None, site: str) -> bool:
    """Tell whether a BGP prefix is to be announced at a site."""
    return bgp is not None and bgp.advertised and (bgp.sites is None or site in bgp.sites)


def path_fits(bgp: BgpPrefixObject, path: AsPath) -> bool:
    """Tell whether an AS path is the one that a BGP prefix asks for; an empty one tells nothing."""
    own = path[:1] * (1 + bgp.prepends)
    return not path or path == own + (() if bgp.asn is None else (bgp.asn,))


def routes_vote(scene: Scene, kind: Kind, site: str, *, changed: bool) -> Vote:
    """Return what RIBs or the wire say of a site."""
    needed = {family_of(prefix) for prefix, _ in scene.footprint.bgp} or set(Family)
    found: list[tuple[Says, str]] = []
    for family in Family:
        then = scene.before.sights_of(kind, site, family)
        now = scene.after.sights_of(kind, site, family)
        if family in needed or any(s.state == "told" for s in then.values()):
            found.append(_family_vote(scene, site, family, then, now, changed=changed))
    return _worst(kind, site, found)


def _family_vote(
    scene: Scene,
    site: str,
    family: Family,
    then: Mapping[str, Sight],
    now: Mapping[str, Sight],
    *,
    changed: bool,
) -> tuple[Says, str]:
    broken = [_broken(s, then.get(s.observer), shrinkage=scene.shrinkage) for s in now.values()]
    faults = [why for why in broken if why]
    usable = [s for s, why in zip(now.values(), broken, strict=True) if s.state == "told" and not why]
    spoke = sum(s.state == "told" for s in then.values()) or len(now)
    if 2 * len(usable) <= spoke:
        silent = "; ".join(faults) or "; ".join(sorted({s.why for s in now.values() if s.why}))
        said = f"{len(usable)} of {spoke} routers tell of {family.value}: {silent or 'no data'}"
        return (Says.ERROR if faults else Says.NO_DATA), said
    results = [(Says.ERROR, why) for why in faults]
    results.append(_lost(scene, site, family, then, usable))
    results.append(_footprint(scene, site, family, then, usable, changed=changed))
    return max(results, key=lambda r: r[0])


def _broken(sight: Sight, before: Sight | None, *, shrinkage: bool) -> str:
    """Say why an answer is not to be believed; empty when it is."""
    if sight.state == "garbled":
        return f"{sight.observer}: {sight.why}"
    if not shrinkage or sight.state != "told" or before is None or before.state != "told":
        return ""
    few = before.total < SHRUNK_FLOOR
    if sight.total == 0 < before.total or (not few and sight.total < SHRUNK * before.total):
        return f"{sight.observer} has shrunk: {sight.total} routes, {before.total} before"
    return ""


def _lost(
    scene: Scene, site: str, family: Family, then: Mapping[str, Sight], usable: Iterable[Sight]
) -> tuple[Says, str]:
    """Judge the prefixes that the change does not touch."""
    touched = {prefix for prefix, _ in scene.footprint.bgp} | scene.gone
    pairs = [(then[s.observer], s) for s in usable if s.observer in then and then[s.observer].state == "told"]
    held: dict[Prefix, list[bool]] = {}
    for old, new in pairs:
        for prefix in old.holds.keys() - touched:
            held.setdefault(prefix, []).append(prefix in new.holds)
    lost = [p for p, still in held.items() if 2 * sum(still) < len(still) or not any(still)]
    return _loss(lost, len(held), scene.lost_share, f"unchanged {family.value} prefixes")


def _loss(lost: list[Prefix], of: int, share: float, what: str) -> tuple[Says, str]:
    if not lost:
        return Says.GOOD, f"{of} {what} as before"
    said = f"{len(lost)} of {of} {what} lost ({named(lost)})"
    if len(lost) > share * of:
        return Says.BAD, f"{said}, more than {share:.0%}"
    return Says.GOOD, said


def _footprint(
    scene: Scene,
    site: str,
    family: Family,
    then: Mapping[str, Sight],
    usable: list[Sight],
    *,
    changed: bool,
) -> tuple[Says, str]:
    mine = [(p, bgp) for p, bgp in scene.footprint.bgp if family_of(p) is family]
    if not changed:
        old = [then[s.observer] for s in usable if s.observer in then and then[s.observer].state == "told"]
        kept = [p for p, _ in mine if 2 * sum(p in s.holds for s in old) > len(old)]
        lost = [p for p in kept if p not in scene.gone and not any(p in s.holds for s in usable)]
        if lost:
            return Says.BAD, f"the control lost {named(lost)}, which this wave does not change there"
        return Says.GOOD, f"the control holds {len(kept)} prefixes of the change as before"
    wrong: list[str] = []
    for prefix, bgp in mine:
        if bgp is not None and wanted_at(bgp, site):
            with_it = sum(prefix in s.holds and path_fits(bgp, s.holds[prefix]) for s in usable)
            if 2 * with_it <= len(usable):
                wrong.append(f"{prefix} at {with_it} of {len(usable)}")
        elif any(prefix in s.holds for s in usable):
            still = sum(prefix in s.holds for s in usable)
            wrong.append(f"{prefix} still at {still} of {len(usable)}")
    if wrong:
        return Says.LATE, f"{_some(wrong)} routers"
    return Says.GOOD, f"{len(mine)} changed {family.value} prefixes as asked at {len(usable)} routers"


def probes_vote(scene: Scene, site: str, *, changed: bool) -> Vote:
    """Return what probes say: those through the site, and those that follow the routes to it."""
    now = [p for p in scene.after.probes_of(site) if p.through != "unsent"]
    if not now:
        why = next((p.why for p in scene.after.probes_of(site) if p.why), "no probe could be sent")
        return Vote("probe", site, Says.NO_DATA, why)
    found: list[tuple[Says, str]] = []
    if changed:
        found += [_probed(site, p, bgp, [r for r in now if r.prefix == p]) for p, bgp in scene.footprint.bgp]
        found += _unreached(scene, now)
    found.append(_health(scene, site, now, changed=changed))
    return _worst("probe", site, found)


def _probed(site: str, prefix: Prefix, bgp: BgpPrefixObject | None, rows: list[Probed]) -> tuple[Says, str]:
    if not rows:
        return Says.NO_DATA, f"{prefix} was not probed"
    if bgp is not None and wanted_at(bgp, site):
        answers = sum(r.through == "answered" for r in rows)
        if 2 * answers <= len(rows):
            return Says.LATE, f"{prefix} answers {answers} of {len(rows)} probes through {site}"
        return Says.GOOD, f"{prefix} answers {answers} of {len(rows)} probes through {site}"
    carried = [r.observer for r in rows if site in r.led_to]
    if carried:
        return Says.LATE, f"{prefix} still carries traffic to {site} from {named(carried)}"
    return Says.GOOD, f"{prefix} carries no traffic to {site}"


def _unreached(scene: Scene, now: list[Probed]) -> list[tuple[Says, str]]:
    """Judge whether what is still to be announced somewhere is still reached from where it was."""
    found: list[tuple[Says, str]] = []
    before = {(r.observer, r.prefix) for r in scene.before.probes if r.led == "answered"}
    for prefix, bgp in scene.footprint.bgp:
        if bgp is None or not bgp.advertised or bgp.sites == ():
            continue
        rows = [r for r in now if r.prefix == prefix and (r.observer, prefix) in before]
        cut = [r.observer for r in rows if r.led not in ("answered", "unsent")]
        if 2 * len(cut) > len(rows):
            found.append((Says.LATE, f"{prefix} is not reached any more from {named(cut)}"))
    return found


def _served(rows: Iterable[Probed]) -> dict[Prefix, bool]:
    """Return the prefixes that were probed, and whether most probes through the site were answered."""
    answers: dict[Prefix, list[bool]] = {}
    for row in rows:
        if row.through != "unsent":
            answers.setdefault(row.prefix, []).append(row.through == "answered")
    return {p: 2 * sum(a) > len(a) for p, a in answers.items()}


def _health(scene: Scene, site: str, now: list[Probed], *, changed: bool) -> tuple[Says, str]:
    """Compare what answered through the site before with now: the changed account's, and the others'."""
    touched = {p for p, _ in scene.footprint.bgp} if changed else set()
    before = _served(scene.before.probes_of(site))
    kept = {p for p, answered in before.items() if answered and p not in touched | scene.gone}
    still = _served(now)
    lost = [p for p in kept if still.get(p) is False]
    mine = {r.prefix for r in now if r.mine}.intersection(lost)
    if not mine:
        return _loss(lost, len(kept), scene.lost_share, "unchanged prefixes that answered")
    said = f"{len(lost)} of {len(kept)} unchanged prefixes that answered do not any more ({named(lost)})"
    return Says.BAD, f"{said}, {len(mine)} of them of the account that is changed"


def _worst(kind: Kind, site: str, found: list[tuple[Says, str]]) -> Vote:
    worst = max(says for says, _ in found)
    whys = dict.fromkeys(why for says, why in found if says is worst)
    return Vote(kind, site, worst, _some(list(whys), "; "))


def named(values: Iterable[str]) -> str:
    """Return the first few in order, and how many more there are."""
    return _some(sorted(values))


def _some(values: list[str], between: str = ", ") -> str:
    more = f" and {len(values) - NAMED} more" if len(values) > NAMED else ""
    return between.join(values[:NAMED]) + more
