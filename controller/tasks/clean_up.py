"""The clean-up (pure): removes what owners asked to have removed, and purges tombstones past their grace.

On 2026-02-20 such a task asked for a list without saying of what, and deleted everything on it. This one asks
with a boolean and checks that the answer is about that; it names each prefix and their number, account by
account; and an owner's signed request is what lets the API delete: the task has no intent of its own.
"""

from __future__ import annotations

from collections import defaultdict

from controller.tasks.api import PrefixLine, TaskApi, deletion, purge
from controller.tasks.declaration import Foreseen, Task
from controller.tasks.plan import Plan, Step
from controller.tasks.schedule import Every

MOST = 100
"""Prefixes that one run removes, and likewise purges; the next run goes on."""

REASON = "its owner asked for it"


async def plan(api: TaskApi) -> Plan:
    """Return the deletions that owners asked for, an account at a time, then the purges."""
    steps: list[Step] = []
    notes: list[str] = []
    left = MOST
    of_account: dict[str, list[PrefixLine]] = defaultdict(list)
    for prefix in await api.prefixes(pending_delete=True):
        of_account[prefix.account_id].append(prefix)
    for account_id, prefixes in sorted(of_account.items()):
        why = _stays(prefixes)
        if why is not None:
            notes.append(f"{account_id}: {why}")
        elif len(prefixes) > left:
            notes.append(f"{account_id}: its {len(prefixes)} prefixes are for a later run")
        else:
            selector = {"pending_delete": True, "account_id": account_id}
            steps.append(deletion([p.touched for p in prefixes], selector, REASON))
            left -= len(prefixes)
    tombstones = [t.touched for t in await api.tombstones(grace_over=True)]
    if tombstones and left:
        steps.append(purge(tombstones[:left]))
    if len(tombstones) > left:
        notes.append(f"{len(tombstones) - left} tombstones are for a later run")
    return Plan(tuple(steps), tuple(notes))


def _stays(prefixes: list[PrefixLine]) -> str | None:
    """Return why nothing of an account is removed now, or None."""
    advertised = [p.cidr for p in prefixes if p.advertised]
    if advertised:
        return f"{', '.join(advertised)} is still advertised: its owner withdraws it first"
    if len(prefixes) > MOST:
        return f"{len(prefixes)} removals are more than a run may do: herald deletions add, by an operator"
    return None


CLEAN_UP = Task(
    name="clean-up",
    purpose="Removes the prefixes whose owners asked for it, and purges tombstones past their grace.",
    foreseen=(
        Foreseen("prefixes", frozenset({"read"}), selector={"pending_delete": True}),
        Foreseen("prefix_deletions", frozenset({"read"}), selector={"grace_over": True}),
        Foreseen("prefix_deletions", frozenset({"create"}), MOST, {"pending_delete": True}),
        Foreseen("prefix_purges", frozenset({"create"}), MOST),
    ),
    plan=plan,
    schedule=Every(3600),
)
