"""I1 to I11 of SAFETY.md as predicates, each looking at the facts of one step and the world after it.

They stand on what the harness noted and on what the models' speakers and machines truly have, never on what
the product says of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from controller.rollout.states import RolloutState
from controller.safety.breaker import scopes_of
from controller.safety.effects import Effect, subtractive
from controller.safety.keepers import keepers
from controller.snapshots.diff import apply_to_tree
from tests.simulation.actors import OWNER
from tests.simulation.records import (
    Acknowledged,
    Admitted,
    Announced,
    Calm,
    Fact,
    Handed,
    HeldBack,
    Journalled,
    Refused,
    Restarted,
    Unbound,
    Withdrew,
)
from tests.simulation.universe import BEGINNING, SITES
from tests.simulation.world import World


class BrokenError(AssertionError):
    """An invariant does not hold. ``name`` is the predicate's, such as ``i02_…``."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(f"{name}: {says}")
        self.name = name


def i01_no_site_withdraws_more_than_its_budget(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Withdrew):
            for limit in world.settings.agent.budget:
                since = fact.at - limit.seconds
                count = sum(1 for w in world.withdrawn if w.site == fact.site and since < w.at <= fact.at)
                if count > limit.number:
                    return f"{fact.site} withdraws {count} in {limit.seconds:g} s, {limit.number} may"
    return None


def i02_no_route_before_its_quorum(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Announced):
            most = min(fact.live, max(2, (fact.live + 1) // 2))
            if not fact.live or fact.holding < most:
                return f"{fact.site} announces {fact.route.prefix} on {fact.holding} of {fact.live} machines"
    return None


def i03_no_binding_leaves_under_a_route(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Unbound) and fact.under:
            return f"{fact.site}/{fact.machine} drops bindings under {fact.under[0]}"
    return None


def i04_what_comes_back_is_the_last_admitted_state(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Restarted) and fact.before != fact.after:
            return f"the agent of {fact.site} came back with another journal than it left"
    if any(isinstance(fact, Calm) for fact in new):
        for site in world.sites.values():
            if site.fault:
                continue
            desired = site.effectively()
            bound = {r for r in desired.routes if desired.needs[r.prefix]}
            found = {r for r in site.rib.values() if desired.needs.get(r.prefix)}
            if found != bound:
                return f"{site.name} announces {sorted(found ^ bound)} otherwise than its journal has it"
    return None


def i05_no_acknowledged_write_is_lost_or_done_twice(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Acknowledged) and world.store.keys.get(fact.key) != fact.change_set_id:
            return f"the write {fact.key} was acknowledged as {fact.change_set_id} and is not there"
    for fact in new:
        if isinstance(fact, Admitted):
            times = sum(row.change_set.id == fact.change_set_id for row in world.store.snapshots)
            if times != 1:
                return f"change-set {fact.change_set_id} was carried out {times} times"
    if any(isinstance(fact, Calm) for fact in new):
        for key, id_ in world.acknowledged.items():
            row = world.store.change_sets.get(id_)
            if row is None:
                return f"the acknowledged write {key} is lost"
    return None


def i06_operational_state_changes_by_recorded_steps_alone(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Admitted):
            (row,) = (r for r in world.store.snapshots if r.change_set.id == fact.change_set_id)
            if not row.change_set.actor or not row.change_set.reason or row.effects != fact.effects:
                return f"the snapshot of {fact.change_set_id} does not say who, why, and with what effects"
            tree = dict(BEGINNING.head)
            for step in world.store.snapshots:
                tree = apply_to_tree(tree, (step.step,))
            if tree != world.store.head:
                return f"the head is not what its snapshots add up to after {fact.change_set_id}"
        elif isinstance(fact, Withdrew):
            if fact.rollout_id is None:
                return f"{fact.site} withdraws {fact.prefix} and no roll-out says so"
            asked = _asked(world, fact, "")
            if _times(world, fact) > asked:
                return (
                    f"{fact.site} withdraws {fact.prefix} more often than the {asked} times it was asked to"
                )
    return None


def _asked(world: World, fact: Withdrew, by: str) -> int:
    """Return how often somebody entitled (``by``: actors that begin so) asked for a withdrawal."""
    effect = Effect(fact.site, fact.prefix, "withdraw")
    return sum(effect in w.wanted and w.change_set.actor.startswith(by) for w in world.wanted.values())


def _times(world: World, fact: Withdrew) -> int:
    return sum(1 for w in world.withdrawn if (w.site, w.prefix) == (fact.site, fact.prefix))


def i10_no_keeper_lets_go_without_its_owner(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Withdrew) and fact.site in keepers(
            fact.prefix, SITES, world.settings.agent.keepers
        ):
            asked = _asked(world, fact, "customer:")
            if _times(world, fact) > asked:
                return f"{fact.site} keeps {fact.prefix}, and its owner asked {asked} times to let it go"
    return None


def i06_nothing_is_taken_away_unasked(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Admitted):
            wrote = world.wanted.get(fact.change_set_id)
            unasked = set(subtractive(fact.effects)) - (wrote.wanted if wrote is not None else frozenset())
            if unasked:
                return (
                    f"{fact.change_set_id} of {fact.actor} takes away {min(unasked)}, which nobody asked for"
                )
    return None


def i07_nothing_passes_an_open_breaker(world: World, new: Sequence[Fact]) -> str | None:
    """Whether it should be open is counted here anew, from what was admitted and when it was closed last."""
    for fact in new:
        if isinstance(fact, HeldBack):
            if fact.actor == OWNER.format(fact.account_id) and not subtractive(fact.effects):
                return f"the owner's additive {fact.change_set_id} is held: {fact.reason}"
        elif isinstance(fact, Admitted) and subtractive(fact.effects) and not fact.released:
            verbs = {e.verb for e in subtractive(fact.effects)}
            through = fact.open_scopes & set(scopes_of(fact.actor, fact.account_id, verbs))
            if through:
                return f"{fact.change_set_id} of {fact.actor} passes the open breaker of {min(through)}"
            excess = _excess(world, fact)
            if excess:
                return excess
    return None


def _excess(world: World, last: Admitted) -> str | None:
    """Say which window the actor (or, for an owner, the account) exceeds with ``last``."""
    owner = last.actor == OWNER.format(last.account_id)
    scope = f"account:{last.account_id}" if owner else f"actor:{last.actor}"
    windows = world.settings.policy.breaker.account if owner else world.settings.policy.breaker.actor
    for window in windows:
        since = max(last.at - window.seconds, world.store.closed.get(scope, float("-inf")))
        prefixes = {
            e.cidr
            for fact in world.admitted
            if fact.actor == last.actor and not fact.released and fact.at > since
            for e in subtractive(fact.effects)
        }
        if len(prefixes) > window.number:
            return (
                f"{scope} took {len(prefixes)} prefixes away within {window.seconds} s, {window.number} may"
            )
    return None


def s04_no_prefix_loses_its_last_site_by_itself(world: World, new: Sequence[Fact]) -> str | None:
    """guards.md, 4: but by its owner, or when a person has released it after a hold."""
    for fact in new:
        if isinstance(fact, Admitted) and fact.actor != OWNER.format(fact.account_id) and not fact.released:
            for cidr, sites in fact.announced.items():
                lost = {e.site for e in fact.effects if e.verb == "withdraw" and e.cidr == cidr}
                gained = {e.site for e in fact.effects if e.verb == "announce" and e.cidr == cidr}
                if lost and lost >= set(sites) and not gained:
                    return f"{fact.change_set_id} of {fact.actor} takes {cidr} off its last site"
    return None


def s06_broad_changes_go_by_waves(world: World, new: Sequence[Fact]) -> str | None:
    """SAFETY.md, 6: what is no owner's small change reaches canaries first, the others after their gate."""
    for fact in new:
        if not isinstance(fact, Handed):
            continue
        rollout = world.store.rollouts[fact.rollout_id]
        admitted = world.admitted_as(rollout.change_set_id)
        if admitted is None or admitted.takes_back or admitted.actor == OWNER.format(rollout.account_id):
            continue
        touched = {e.site for e in admitted.effects}
        first = set(fact.sites) & touched
        if fact.wave == 0 and len(touched) > 1 and len(first) > world.settings.policy.waves.canaries:
            return f"{fact.rollout_id} of {admitted.actor} goes to {sorted(first)} at once"
        takes = bool(subtractive(admitted.effects))  # what only adds goes on without data
        if takes and fact.wave > 0 and (fact.rollout_id, fact.wave - 1) not in world.gates_passed:
            return f"{fact.rollout_id} goes to wave {fact.wave}, and the gate before it has not passed"
    return None


def i08_sites_end_with_the_operational_tree(world: World, new: Sequence[Fact]) -> str | None:
    """As far as roll-outs have brought it: one that waits for a person leaves sites as they were."""
    if not any(isinstance(fact, Calm) for fact in new):
        return None
    for site in world.sites.values():
        if site.fault:
            continue
        held = {a: h for a, (h, _) in site.state.chunk_bytes().items()}
        for account, target in world.store.targets[site.name].items():
            rollout = world.store.rollouts.get(target.rollout_id)
            waits = rollout is not None and not rollout.may_hand(site.name)
            waits = waits or account in world.store.conflicts[site.name]
            waits = waits or held.get(account) not in world.store.chunks  # shown as a conflict, left as it is
            if held.get(account) != target.hash and not waits:
                return f"{site.name} ends with {held.get(account)} of {account}, not with {target.hash}"
        state = site.projections.desired(site.state)
        lacking = {r.prefix for r in state.routes if state.needs[r.prefix]} - site.rib.keys()
        if lacking:
            return f"{site.name} ends without {sorted(lacking)}"
    for account, hash_ in world.store.head.items():
        moving = any(r.account_id == account for r in world.controller.open.values())
        of = [r for r in world.store.rollouts.values() if r.account_id == account]
        moving = moving or any(r.state is RolloutState.FAILED for r in of)  # a person was told, and must act
        sites = [
            n for n, s in world.sites.items() if world.store.targets[n][account].hash != hash_ and not s.fault
        ]
        if sites and not moving:
            return f"{sites[0]} is to have something else of {account} than the head, and nothing moves it"
    return None


def i09_a_malformed_request_changes_nothing_and_is_told_why(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Refused) and (fact.changed or fact.field not in fact.error):
            return f"a request whose {fact.field!r} was wrong {'changed the state' if fact.changed else ''}: {fact.error!r}"  # noqa: E501
    return None


def i11_nothing_is_applied_twice_or_from_the_past(world: World, new: Sequence[Fact]) -> str | None:
    for fact in new:
        if isinstance(fact, Journalled):
            highest = world.highest.get(fact.site, 0)
            if fact.generation <= highest:
                return f"{fact.site} takes generation {fact.generation} after {highest}"
            world.highest[fact.site] = fact.generation
    return None


Invariant = Callable[[World, Sequence[Fact]], str | None]

INVARIANTS: dict[str, Invariant] = {
    check.__name__: check
    for check in (
        i01_no_site_withdraws_more_than_its_budget,
        i02_no_route_before_its_quorum,
        i03_no_binding_leaves_under_a_route,
        i04_what_comes_back_is_the_last_admitted_state,
        i05_no_acknowledged_write_is_lost_or_done_twice,
        i06_operational_state_changes_by_recorded_steps_alone,
        i06_nothing_is_taken_away_unasked,
        i07_nothing_passes_an_open_breaker,
        s04_no_prefix_loses_its_last_site_by_itself,
        s06_broad_changes_go_by_waves,
        i08_sites_end_with_the_operational_tree,
        i09_a_malformed_request_changes_nothing_and_is_told_why,
        i10_no_keeper_lets_go_without_its_owner,
        i11_nothing_is_applied_twice_or_from_the_past,
    )
}


def check(world: World) -> None:
    """Judge what the last operation did; raises :class:`BrokenError`."""
    new = world.take_new()
    if not new:
        return
    for name, predicate in INVARIANTS.items():
        says = predicate(world, new)
        if says is not None:
            raise BrokenError(name, says)
