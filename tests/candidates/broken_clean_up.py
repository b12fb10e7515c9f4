"""The clean-up of 2026-02-20: it runs by itself, and takes a list for what it is not.

``WITHOUT_A_VALUE`` is the outage's own call: the key, and no value. ``EVERYTHING`` is what a quick fix of the
400 would have made of it: the list call is well-formed and asks for nothing in particular, the declared scope
is wide enough for all of it, and each prefix that comes back is deleted.
"""

from __future__ import annotations

from controller.tasks.api import PREFIXES, TaskApi, deletion
from controller.tasks.declaration import Foreseen, Task
from controller.tasks.plan import Plan, Touched

WIDE = (
    Foreseen("prefixes", frozenset({"read"})),
    Foreseen("prefix_deletions", frozenset({"create"}), 1_000_000),
)


async def without_a_value(api: TaskApi) -> Plan:
    """Ask for the prefixes to be removed as the outage's sub-task did."""
    found = await api.get(PREFIXES, ("pending_delete", ""))
    prefixes = [Touched(p["id"], p["account_id"], p["cidr"]) for p in found["result"]]
    return Plan((deletion(prefixes, None, "clean-up"),))


async def everything(api: TaskApi) -> Plan:
    """Delete whatever the list has, one call a prefix, so that no call looks large."""
    return Plan(tuple(deletion([p.touched], None, "clean-up") for p in await api.prefixes()))


WITHOUT_A_VALUE = Task("clean-up-without-a-value", "Removes prefixes.", WIDE, without_a_value)
EVERYTHING = Task("clean-up", "Removes prefixes.", WIDE, everything)
