"""Errors of the task-runner.

::

    TaskError                 root; the text is one line for a person
    ├── ScheduleError         a schedule says nothing that a clock could follow
    ├── DeclarationError      a task's declaration contradicts itself, or two have one name
    ├── PlanError             a task's plan contradicts itself, or stands on a list that is not whole
    ├── OutsideScopeError     a call lies outside the foreseen scope; it never left (guard ``tasks``)
    ├── CallRefusedError      the API refused a call
    └── TaskStoppedError      the task was stopped, or its run is no longer this process's
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.errors import HeraldError

if TYPE_CHECKING:
    from controller.tasks.plan import Proposal


class TaskError(HeraldError):
    """Root of the errors of this package."""


class ScheduleError(TaskError):
    """A schedule cannot be followed."""


class DeclarationError(TaskError):
    """A task's declaration contradicts itself."""


class PlanError(TaskError):
    """What a task planned cannot be carried out as it stands."""


class OutsideScopeError(TaskError):
    """A task tried what its declaration does not foresee; the call never left the runner.

    ``proposal``: the whole plan that it belongs to, so that it can be looked at; None for a read.
    """

    proposal: Proposal | None = None


class CallRefusedError(TaskError):
    """The API refused a task's call; the text is the server's, ``status`` its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class TaskStoppedError(TaskError):
    """Somebody stopped the task: no further call leaves."""
