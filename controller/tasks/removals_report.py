"""A report (pure): which removals wait, and for whom; it changes nothing."""

from __future__ import annotations

from controller.tasks.api import TaskApi
from controller.tasks.declaration import Foreseen, Task
from controller.tasks.plan import Plan
from controller.tasks.schedule import Cron


async def plan(api: TaskApi) -> Plan:
    """Return notes alone: what is asked for, and what can still be brought back."""
    pending = await api.prefixes(pending_delete=True)
    tombstones = await api.tombstones(grace_over=False)
    return Plan(
        notes=(
            *(
                f"{p.account_id}: {p.cidr} is to go since {p.pending_delete_at}"
                + (", and is still advertised" if p.advertised else "")
                for p in pending
            ),
            *(f"{t.account_id}: {t.cidr} can be brought back until {t.grace_ends_at}" for t in tombstones),
        )
    )


REMOVALS_REPORT = Task(
    name="removals-report",
    purpose="Lists the removals that owners asked for, and what can still be brought back.",
    foreseen=(
        Foreseen("prefixes", frozenset({"read"}), selector={"pending_delete": True}),
        Foreseen("prefix_deletions", frozenset({"read"}), selector={"grace_over": False}),
    ),
    plan=plan,
    schedule=Cron("0 6 * * *"),
)
