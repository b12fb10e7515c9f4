"""From a task to a proposal: it plans, and the API's own dry run foretells each step."""

from __future__ import annotations

from typing import Protocol

import structlog

from controller.tasks.api import Reader, TaskApi
from controller.tasks.declaration import Task
from controller.tasks.errors import CallRefusedError, OutsideScopeError, PlanError
from controller.tasks.plan import Foretold, Plan, Proposal, Step

log = structlog.get_logger()

REFUSED = frozenset({409, 423})
"""What the API answers where the state of things does not allow a step; the others may still be done."""


class Foreteller(Reader, Protocol):
    """Reads, and has the API try a step without doing it."""

    async def foretell(self, step: Step) -> dict[str, object]:
        """Return the answer of the API's dry run."""
        ...


async def foretell(task: Task, client: Foreteller, most: int) -> Proposal:
    """Return what ``task`` would do now; ``most``: how many objects any run may change.

    Raises :class:`OutsideScopeError` when it would change more, or anything that was not foreseen;
    :class:`CallRefusedError` when a call is malformed or not allowed at all, or nothing of the plan is;
    :class:`PlanError` for a plan that contradicts itself.
    """
    plan = await task.plan(TaskApi(client))
    _check(plan)
    try:
        _within(task, plan, most)
        return await _foretold(plan, client)
    except OutsideScopeError as error:
        refused = tuple(Foretold(s, None, str(error)) for s in plan.steps)
        error.proposal = Proposal((), refused, plan.notes)
        raise


async def _foretold(plan: Plan, client: Foreteller) -> Proposal:
    can: list[Foretold] = []
    cannot: list[Foretold] = []
    for step in plan.steps:
        try:
            answer = await client.foretell(step)
        except CallRefusedError as error:
            if error.status not in REFUSED:
                raise
            cannot.append(Foretold(step, None, str(error)))
            continue
        told = answer.get("plan")
        can.append(Foretold(step, told if isinstance(told, dict) else None))
    return Proposal(tuple(can), tuple(cannot), plan.notes)


def _check(plan: Plan) -> None:
    """Refuse a plan whose steps do not name their objects, or name one twice."""
    seen: set[tuple[str, str]] = set()
    for step in plan.steps:
        ids = [o.id for o in step.objects]
        if not ids or ("ids" in step.body and step.body["ids"] != ids):
            raise PlanError(f"{step.method} {step.path} does not name the objects that it says it changes")
        for id_ in ids:
            if (step.path, id_) in seen:
                raise PlanError(f"{step.method} {step.path} names {id_} twice")
            seen.add((step.path, id_))


def _within(task: Task, plan: Plan, most: int) -> None:
    objects = sum(len(s.objects) for s in plan.steps)
    if objects > most:
        raise OutsideScopeError(
            f"task {task.name} would change {objects} objects in a run: the policy allows {most} "
            "(tasks.most_a_run)"
        )
