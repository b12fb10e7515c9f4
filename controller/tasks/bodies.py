"""What the routes of tasks take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Request(BaseModel):
    """A body: strict, and nothing in it that is not declared."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CreateTaskRun(Request):
    """``dry_run``: plan, have the API foretell it, and change nothing."""

    dry_run: bool


class ApproveTaskRun(Request):
    """``plan_hash``: that of the very plan that was looked at."""

    plan_hash: Hash


class ForeseenBody(BaseModel):
    """A part of a foreseen scope; ``at_most``: objects that a run may change by it."""

    resource: str
    verbs: list[Literal["read", "create", "edit", "delete"]]
    at_most: int
    selector: dict[str, bool | str]


class StoppedBody(BaseModel):
    """Who stopped a task; ``all``: they stopped all of them."""

    at: str
    by: str
    reason: str
    all: bool


class TaskRunLineBody(BaseModel):
    """A run in a list. ``started_by``: an actor, or ``schedule``; ``objects``: what its plan would change."""

    id: str
    task: str
    state: Literal[
        "queued", "planning", "waiting", "approved", "confirming", "carrying_out", "done", "planned",
        "refused", "failed", "stopped", "interrupted", "lapsed",
    ]  # fmt: skip
    reason: str
    dry_run: bool
    started_by: str
    why: str
    plan_hash: str | None
    objects: int
    steps: int
    done: int
    approved_by: str | None
    created_at: str
    modified_at: str
    ended_at: str | None


class TaskCallBody(BaseModel):
    """A call that a run tried. ``status`` null: it never left, or the runner ended before the answer."""

    number: int
    at: str
    method: str
    target: str
    dry_run: bool
    body: dict[str, Any] | None
    status: int | None
    outcome: str | None
    change_sets: list[str]


class TouchedBody(BaseModel):
    """An object that a step changes."""

    id: str
    account_id: str
    cidr: str


class StepBody(BaseModel):
    """A writing call that names its objects."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str
    body: dict[str, Any]
    objects: list[TouchedBody]


class ForetoldBody(BaseModel):
    """A step, and what the API foretold of it: its dry run's ``plan``, or why it would refuse."""

    step: StepBody
    plan: dict[str, Any] | None
    refusal: str | None


class ProposalBody(BaseModel):
    """What a run would do; ``left_out``: what the API would refuse now; ``notes``: for people."""

    steps: list[ForetoldBody]
    left_out: list[ForetoldBody]
    notes: list[str]


class ChangedBody(BaseModel):
    """What one call changed."""

    path: str
    objects: list[TouchedBody]
    change_sets: list[str]


class TaskRunBody(TaskRunLineBody):
    """A run with all that is kept of it."""

    plan: ProposalBody | None
    changed: list[ChangedBody]
    calls: list[TaskCallBody]


class TaskBody(BaseModel):
    """A declared task. ``next_at`` null: only when somebody starts it, or while it is stopped."""

    name: str
    purpose: str
    schedule: str | None
    next_at: str | None
    foreseen: list[ForeseenBody]
    stopped: StoppedBody | None
    last_run: TaskRunLineBody | None


class TaskList(BaseModel):
    """In the order of their names."""

    result: list[TaskBody]


class TaskRunPage(BaseModel):
    """Newest first; ``next``: the ``after`` of the next page."""

    result: list[TaskRunLineBody]
    next: int | None


class SwitchedBody(BaseModel):
    """A task, or ``all``, and whether it is stopped now."""

    name: str
    stopped: bool
