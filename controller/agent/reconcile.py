"""What a site is to do next, from what it is to have and what it has (pure; SAFETY 7).

Level-triggered: the same facts give the same plan, whatever happened before. Make before break:

- machines hold the desired bindings *and* those of every route that is, or may be, still announced;
- a route becomes announced only when the announce quorum of live machines holds its bindings (I2);
- one that is announced and still desired stays, though the quorum is lost: ``degraded-held``;
- one that is no more desired goes; its bindings only after the speaker has acknowledged that (I3);
- a route that this journal never asked for is left alone, and reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.agent.policy import FLOOR, AgentPolicy, quorum
from controller.bgp import Prefix, Route
from controller.snapshots.projection import SiteBinding, SiteState
from controller.transport.messages import Waiting

FOREIGN = "kept: the speaker had it, and this journal never asked for it"
ADOPTED = (
    "kept: the speaker had it when the journal was lost; machines keep what they hold until an account asks "
    "for it, or it is gone"
)


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """One machine. ``held``: what it acknowledged last, as far as it is known; empty if it is not.

    ``fresh``: it has answered a question that was asked after the last command. What it said before is
    no ground to announce on: it may have stopped since, and count as live until its deadline. ``absent``:
    prefixes whose bindings it says are absent, though it holds them; ``known``: ``held`` is what it said, and
    no cautious nothing.
    """

    name: str
    live: bool
    held: frozenset[SiteBinding]
    fresh: bool = True
    absent: frozenset[Prefix] = frozenset()
    known: bool = False

    def serves(self, needs: frozenset[SiteBinding]) -> bool:
        """Tell whether it holds ``needs``, and does not say of any that it is absent."""
        return needs <= self.held and not (self.absent and any(b.cidr in self.absent for b in needs))


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a plan depends on.

    ``desired``: what the journal asks for, with what the guard holds laid over it. ``left``: what the chunks
    asked for that accounts moved away from since the last release. ``announced``: what the speaker has
    acknowledged, None while it is not attached; ``in_flight``: what it is being given now, empty when it is
    not; ``refused``: routes that it said no to. ``kept``: those of the desired bindings that only the guard
    still holds: a route that stands on one must be remembered to, for when it is let go.
    ``taken``: prefixes that emergencies took off, or announced for a time, at this site, and those that are
    withdrawn for their health. ``adopted``: prefixes that stand though no account here asks for them, after a
    journal was lost: that one of them was left before is no reason to take it off.
    """

    desired: SiteState
    left: tuple[SiteState, ...]
    announced: frozenset[Route] | None
    in_flight: frozenset[Route]
    refused: frozenset[Route]
    machines: tuple[MachineFacts, ...]
    policy: AgentPolicy = FLOOR
    kept: frozenset[SiteBinding] = frozenset()
    taken: frozenset[Prefix] = frozenset()
    adopted: frozenset[Prefix] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. ``routes`` None: not attached, so nothing; ``release``: what was left is needed no more.

    ``settled``: the speaker announces exactly what is desired, and each live machine holds exactly that.
    """

    bindings: frozenset[SiteBinding]
    routes: frozenset[Route] | None
    waiting: tuple[Waiting, ...]
    release: bool
    settled: bool


def reconcile(facts: Facts) -> Plan:
    """Return the next plan."""
    routes, waiting = _routes(facts)
    needed = _needed_of_left(facts)
    bindings = facts.desired.bindings | needed
    live = [m for m in facts.machines if m.live]
    settled = (
        facts.announced is not None
        and not facts.in_flight
        and not needed
        and facts.announced == facts.desired.routes
        and all(m.held == facts.desired.bindings for m in live)
        and bool(live or not facts.machines)
    )
    release = (
        bool(facts.left)
        and facts.announced is not None
        and not facts.in_flight
        and not needed
        and routes == facts.announced
    )
    return Plan(bindings, routes, tuple(waiting), release, settled)


def stands(facts: Facts, prefix: Prefix, *, standing: bool) -> str | None:
    """Return why the desired route for ``prefix`` has no announce quorum, or None when it has one.

    A site without machines needs none. ``standing``: it is announced; for one that is not, only fresh
    machines count.
    """
    if not facts.machines:
        return None
    needs = facts.desired.needs.get(prefix, frozenset())
    if not needs:
        return "nothing is bound to it"
    live = [m for m in facts.machines if m.live]
    if not live:
        return "no announce quorum: no machine of the site answers"
    holding = sum(1 for m in live if m.serves(needs) and (m.fresh or standing))
    least = quorum(len(live), facts.policy)
    if holding < least:
        return f"no announce quorum: {holding} of {len(live)} live machines hold its bindings, {least} must"
    return None


def _routes(facts: Facts) -> tuple[frozenset[Route] | None, list[Waiting]]:
    now = {r.prefix: r for r in facts.announced or ()}
    wanted: set[Route] = set()
    waiting: list[Waiting] = []
    fresh = 0  # that become announced; one that goes makes room once it is gone
    for route in sorted(facts.desired.routes):
        current = now.get(route.prefix)
        standing = current is not None
        refused = route in facts.refused
        reason = "the speaker refused it" if refused else stands(facts, route.prefix, standing=standing)
        if reason is None and not standing and len(now) + fresh >= facts.policy.ceiling:
            reason = f"ceiling: this site announces {facts.policy.ceiling} BGP prefixes at most"
        fresh += reason is None and not standing
        if reason is None:
            wanted.add(route)
            if facts.announced is None:
                waiting.append(Waiting(route.prefix, "the speaker cannot be reached"))
        elif current is None:
            waiting.append(Waiting(route.prefix, reason))
        else:
            wanted.add(current)
            held = "degraded-held" if current == route else "kept as it was"
            waiting.append(Waiting(route.prefix, f"{held}: {reason}"))
    desired = {r.prefix for r in facts.desired.routes}
    once = {r.prefix for state in facts.left for r in state.routes}
    for prefix, route in sorted(now.items()):
        if prefix in desired:
            continue
        if (prefix in once and prefix not in facts.adopted) or prefix in facts.taken:
            waiting.append(Waiting(prefix, "it is being withdrawn"))
        else:
            wanted.add(route)
            waiting.append(Waiting(prefix, ADOPTED if prefix in facts.adopted else FOREIGN))
    return (frozenset(wanted) if facts.announced is not None else None), waiting


def _needed_of_left(facts: Facts) -> frozenset[SiteBinding]:
    """Return the bindings that are no more desired, and that a route out there may still stand on."""
    if not facts.left:
        return frozenset()
    if facts.announced is None:
        return _bindings(facts.left) - (facts.desired.bindings - facts.kept)
    desired = {r.prefix for r in facts.desired.routes}
    needed: set[SiteBinding] = set()
    announced = {r.prefix for r in facts.announced}
    for prefix in announced | {r.prefix for r in facts.in_flight}:
        # Desired, and standing on what is desired: what it stood on before may go.
        if prefix in desired and stands(facts, prefix, standing=prefix in announced) is None:
            continue
        for state in facts.left:
            needed |= state.needs.get(prefix, frozenset())
    return frozenset(needed) - (facts.desired.bindings - facts.kept)


def _bindings(states: Iterable[SiteState]) -> frozenset[SiteBinding]:
    return frozenset(b for state in states for b in state.bindings)
