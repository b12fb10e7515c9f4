"""What a task is (pure): a declaration, and a function that plans and does nothing else.

The function is given an API that only reads (:class:`controller.tasks.api.TaskApi`) and returns a
:class:`~controller.tasks.plan.Plan`: calls to make, each naming its objects. Whatever a task may cause is in
its declaration: its token's scopes are made from it, and each call is held against it before it leaves.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from controller.addressing.permissions import VERBS, Scopes, Verb
from controller.tasks.api import TaskApi
from controller.tasks.errors import DeclarationError
from controller.tasks.plan import Plan
from controller.tasks.schedule import Schedule

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
ALL = "all"
"""Stands for every task where one is stopped or started; no task is called so."""

Selected = bool | str


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A part of the foreseen scope: on one resource (the tag of its routes), what may be done.

    ``at_most``: how many objects a run may change by it; 0 where it only reads. ``selector``: what each call
    must state with exactly these values: a read in its query, a write in its body's ``selector``. A value of
    ``True`` is the boolean, and nothing that merely looks like one.
    """

    resource: str
    verbs: frozenset[Verb]
    at_most: int = 0
    selector: Mapping[str, Selected] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.resource or self.resource == "*" or not self.verbs:
            raise DeclarationError("a foreseen scope names one resource, and at least one verb")
        if self.verbs == {"read"} and self.at_most:
            raise DeclarationError(f"{self.resource}: who only reads changes no objects: leave at_most out")
        if self.verbs != {"read"} and self.at_most < 1:
            raise DeclarationError(f"{self.resource}: say how many objects a run may change at most")


@dataclass(frozen=True, slots=True)
class Task:
    """A declared task. ``schedule`` None: only when somebody starts it.

    ``plan`` reads and says what is to be done; it may be run at any time, and several times.
    """

    name: str
    purpose: str
    foreseen: tuple[Foreseen, ...]
    plan: Callable[[TaskApi], Awaitable[Plan]]
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        if NAME.fullmatch(self.name) is None or self.name == ALL:
            raise DeclarationError(f"{self.name!r} is no name of a task: lower case, digits and hyphens")

    @property
    def scopes(self) -> Scopes:
        """The scopes of its token: what it declares, and nothing else."""
        found: dict[str, frozenset[Verb]] = {}
        for part in self.foreseen:
            found[part.resource] = found.get(part.resource, frozenset()) | part.verbs
        return found

    def foresees(self) -> list[dict[str, object]]:
        """Return the foreseen scope as it is shown."""
        return [
            {
                "resource": f.resource,
                "verbs": [v for v in VERBS if v in f.verbs],
                "at_most": f.at_most,
                "selector": dict(f.selector),
            }
            for f in self.foreseen
        ]


def by_name(tasks: Iterable[Task]) -> dict[str, Task]:
    """Return tasks by their names; raises :class:`DeclarationError` when two have the same."""
    found: dict[str, Task] = {}
    for task in tasks:
        if task.name in found:
            raise DeclarationError(f"two tasks are called {task.name!r}: rename one")
        found[task.name] = task
    return found
