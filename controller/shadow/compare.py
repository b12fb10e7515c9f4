"""What a candidate would have taken away (pure): a copy before and after, and what its tasks meant to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from controller.bgp import Prefix, covers
from controller.safety.effects import Effect, effects, subtractive
from controller.shadow.facts import ChangeSetFact, Facts
from controller.snapshots.compile import apply
from controller.snapshots.model import Chunk, SnapshotError

DELETIONS = "/herald/v1/prefix_deletions"
PURGES = "/herald/v1/prefix_purges"

BROKEN = frozenset({"refused", "failed", "stopped", "interrupted", "lapsed"})
"""Ends of a run after which nobody knows all that its task would do."""


class Taken(msgspec.Struct, frozen=True, order=True):
    """One thing that would have been taken away; ``asked``: its owner had asked for that."""

    account_id: str
    cidr: str
    what: str
    asked: bool
    sites: int = 0


class Meant(msgspec.Struct, frozen=True):
    """An object that a task named in a call that writes; ``outcome``: what became of that call."""

    account_id: str
    cidr: str
    what: str
    asked: bool
    outcome: str


class TaskReport(msgspec.Struct, frozen=True):
    """How a task's run went; ``refused``: what the API, or the runner, answered its calls with."""

    name: str
    state: str
    reason: str
    meant: tuple[Meant, ...]
    refused: tuple[str, ...]


class HeldReport(msgspec.Struct, frozen=True):
    """A change-set that the candidate's own guards held, and why."""

    change_set_id: str
    account_id: str
    actor: str
    reason: str


class CompiledReport(msgspec.Struct, frozen=True):
    """An account that the candidate compiles otherwise than this release does; what that would take away."""

    account_id: str
    taken: tuple[Taken, ...]
    additive: int


class Report(msgspec.Struct, frozen=True):
    """All of it. ``problems``: what could not be judged, which is never a pass.

    ``unasked``: how much would have been taken away that no owner had asked for, tried or done.
    """

    tasks: tuple[TaskReport, ...]
    configured: tuple[Taken, ...]
    operational: tuple[Taken, ...]
    held: tuple[HeldReport, ...]
    compiled: tuple[CompiledReport, ...]
    problems: tuple[str, ...]

    @property
    def unasked(self) -> int:
        """Count what nobody asked for."""
        meant = sum(not m.asked for t in self.tasks for m in t.meant)
        done = sum(not t.asked for t in (*self.configured, *self.operational))
        return meant + done + sum(not t.asked for c in self.compiled for t in c.taken)

    @property
    def safe(self) -> bool:
        """Whether nothing would have been taken away but what owners asked for, and all was judged."""
        return not self.unasked and not self.problems


@dataclass(frozen=True, slots=True)
class Compiled:
    """Each account's chunk, compiled from the configured rows: by this release, and by the candidate."""

    ours: Mapping[str, Chunk]
    theirs: Mapping[str, Chunk]


def compare(
    before: Facts, after: Facts, runs: Sequence[Mapping[str, Any]], compiled: Compiled, sites: Sequence[str]
) -> Report:
    """Return what lies between two states of a copy; ``runs``: as the API shows the runs of tasks."""
    problems = [
        f"task {r['task']} ended as {r['state']}: {r['reason']}" for r in runs if r["state"] in BROKEN
    ]
    known = {c.id for c in before.change_sets}
    new = [c for c in after.change_sets if c.id not in known]
    return Report(
        tasks=tuple(_task(before, run) for run in runs),
        configured=tuple(sorted(_configured(before, after))),
        operational=tuple(sorted(_operational(before, after, new, sites, problems))),
        held=tuple(HeldReport(c.id, c.account_id, c.actor, c.reason) for c in new if c.state == "held"),
        compiled=tuple(_compiled(before, compiled, sites)),
        problems=tuple(problems),
    )


# -- tasks ----------------------------------------------------------------------------------------------


def _task(before: Facts, run: Mapping[str, Any]) -> TaskReport:
    plan = run.get("plan") or {"steps": [], "left_out": []}
    done = sum(not c["dry_run"] and c["method"] != "GET" and c["status"] == 200 for c in run["calls"])
    meant: list[Meant] = []
    for number, told in enumerate(plan["steps"]):
        meant += _meant(before, told["step"], "done" if number < done else f"not reached: {run['reason']}")
    for told in plan["left_out"]:
        meant += _meant(before, told["step"], f"refused: {told['refusal']}")
    if not plan["steps"] and not plan["left_out"]:  # it did not come to a plan: what it tried is in its calls
        meant += _tried(before, run["calls"])
    refused = dict.fromkeys(c["outcome"] for c in run["calls"] if c["outcome"])
    return TaskReport(run["task"], run["state"], run["reason"], tuple(meant), tuple(refused))


def _meant(before: Facts, step: Mapping[str, Any], outcome: str) -> Iterator[Meant]:
    what = {DELETIONS: "delete", PURGES: "purge"}.get(step["path"], step["method"].lower())
    for thing in step["objects"]:
        asked = _asked(before, what, thing["id"])
        yield Meant(thing["account_id"], thing["cidr"], what, asked, outcome)


def _tried(before: Facts, calls: Iterable[Mapping[str, Any]]) -> Iterator[Meant]:
    for call in calls:
        what = {DELETIONS: "delete", PURGES: "purge"}.get(call["target"])
        for id_ in (call["body"] or {}).get("ids", ()) if what is not None else ():
            prefix = before.prefixes.get(id_)
            account, cidr = (prefix.account_id, prefix.cidr) if prefix else ("", id_)
            yield Meant(account, cidr, what or "", _asked(before, what or "", id_), call["outcome"] or "done")


def _asked(before: Facts, what: str, prefix_id: str) -> bool:
    """Tell whether somebody wanted this; edits are judged by what they change, not by their names."""
    if what == "delete":
        return prefix_id in before.prefixes and before.prefixes[prefix_id].asked
    if what == "purge":
        return before.tombstones.get(prefix_id, False)
    return True


# -- the two states -------------------------------------------------------------------------------------


def _configured(before: Facts, after: Facts) -> Iterator[Taken]:
    """What customers would find missing from what they asked for."""
    for id_, prefix in before.prefixes.items():
        if id_ not in after.prefixes:
            yield Taken(prefix.account_id, prefix.cidr, "deleted", prefix.asked)
    for id_, bgp in before.bgp_prefixes.items():
        now = after.bgp_prefixes.get(id_)
        if bgp.advertised and (now is None or not now.advertised):
            yield Taken(bgp.account_id, bgp.cidr, "withdrawn", _prefix_asked(before, bgp.prefix_id))
    for id_, binding in before.bindings.items():
        if id_ not in after.bindings:
            yield Taken(binding.account_id, binding.cidr, "unbound", _prefix_asked(before, binding.prefix_id))
    for id_, over in before.tombstones.items():
        if id_ not in after.tombstones and id_ not in after.prefixes and not over:
            yield Taken("", id_, "purged within its grace", False)


def _prefix_asked(before: Facts, prefix_id: str) -> bool:
    return prefix_id in before.prefixes and before.prefixes[prefix_id].asked


def _operational(
    before: Facts, after: Facts, new: Sequence[ChangeSetFact], sites: Sequence[str], problems: list[str]
) -> Iterator[Taken]:
    """What sites would lose, were all that was queued carried out, whatever the candidate's guards hold."""
    for account in sorted(before.head.keys() | after.head.keys() | {c.account_id for c in new}):
        old = before.head.get(account)
        if account in before.head and old is None:
            problems.append(f"the operational chunk of {account} cannot be read")
            continue
        queued = [c for c in new if c.account_id == account]
        try:
            chunk = _carried_out(old, queued) if queued else after.head.get(account)
        except SnapshotError as error:
            problems.append(f"{account}: {error}")
            continue
        if chunk is None and (queued or account in after.head):
            problems.append(f"this release cannot read what the candidate made of {account}")
            continue
        yield from _lost(before, account, effects(old, chunk, sites))


def _carried_out(chunk: Chunk | None, queued: Iterable[ChangeSetFact]) -> Chunk | None:
    for fact in queued:
        if fact.body is None:
            return None
        if fact.state != "failed":
            chunk = apply(chunk, fact.body)
    return chunk


def _lost(before: Facts, account: str, found: Iterable[Effect]) -> Iterator[Taken]:
    """Return the subtractive effects, once for each prefix and verb, with the number of sites."""
    wanted = [Prefix(p.cidr) for p in before.prefixes.values() if p.account_id == account and p.asked]
    sites: dict[tuple[str, Prefix], int] = {}
    for effect in subtractive(found):
        sites[effect.verb, effect.cidr] = sites.get((effect.verb, effect.cidr), 0) + 1
    for (verb, cidr), count in sites.items():
        yield Taken(account, cidr, verb, any(covers(p, cidr) for p in wanted), count)


def _compiled(before: Facts, compiled: Compiled, sites: Sequence[str]) -> Iterator[CompiledReport]:
    for account in sorted(compiled.ours.keys() | compiled.theirs.keys()):
        ours, theirs = compiled.ours.get(account), compiled.theirs.get(account)
        if ours != theirs:
            found = effects(ours, theirs, sites)
            lost = tuple(sorted(_lost(before, account, found)))
            # Nobody can have asked for what comes of a release.
            taken = tuple(msgspec.structs.replace(t, asked=False) for t in lost)
            yield CompiledReport(account, taken, len(found) - len(subtractive(found)))
